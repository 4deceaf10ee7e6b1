"""What a trained model answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray

from midgd.adata.results import provenance, result_arrays
from midgd.features import GeneReport
from midgd.infer import Prediction
from midgd.infer.units import in_units
from midgd.model._card import CARD_KEY
from midgd.model._query import Query, predict
from midgd.model._registered import RegisteredModel
from midgd.model._write import check_target, write
from midgd.reference import Reference

Data: TypeAlias = "AnnData | MuData | pd.DataFrame"


class PriorSample(NamedTuple):
    """Latents drawn from the prior, (n, n_latent), and their decoded shares, n x genes and n x miRNAs."""

    latent: NDArray[np.float32]
    mrna: pd.DataFrame
    mirna: pd.DataFrame


class QueryableModel(RegisteredModel):
    """Latents, miRNA and decoded mRNA of any data; samples of the prior."""

    _reference: Reference | None = None
    _device: torch.device = torch.device("cpu")

    @property
    def reference(self) -> Reference:
        """The trained model as :func:`midgd.tl.infer_mirna` takes it."""
        self._check_if_trained(warn=False, message="This MIDGD is not trained: call model.train() first.")
        assert self._reference is not None  # trained or loaded: tell mypy, not the user
        return self._reference

    def _predict(self, data: Data | None) -> tuple[Data, Query, Prediction, GeneReport]:
        if data is None and self.adata is None:
            raise ValueError("this model was loaded without data: pass the data to the method.")
        source: Data = self.adata if data is None else data
        reference = self.reference
        query = Query.read(source, self._setup_args)
        prediction, report = predict(reference, query, reference.card[CARD_KEY]["unmeasured"], self._device)
        return source, query, prediction, report

    def get_latent_representation(self, data: Data | None = None) -> NDArray[np.float32]:
        """Maximum a posteriori latents from mRNA alone.

        Rows of the training data are treated as any query, so that training and query rows can be compared and no
        row ever gets the latent of another; the latents that the training found from both modalities are in
        ``training_latents_``, by name.

        Parameters
        ----------
        data
            AnnData, MuData (the mRNA modality is enough) or DataFrame of counts; default the registered data. Genes
            may be fewer and in any order.

        Returns
        -------
        Rows x ``n_latent``; NaN for rows without mRNA.
        """
        return self._predict(data)[2].latent

    def infer_mirna(
        self,
        data: Data | None = None,
        *,
        level: str | None = None,
        units: str = "log1p_cpm",
        uncertainty: bool = False,
        write_to: str | None = None,
    ) -> pd.DataFrame | tuple[pd.DataFrame, pd.DataFrame]:
        """Infer miRNA from mRNA, as :func:`midgd.tl.infer_mirna` does.

        Parameters
        ----------
        data
            As for :meth:`get_latent_representation`.
        level
            Level of the miRNAs; default that of the training data.
        units
            ``"log1p_cpm"``, ``"cpm"`` or ``"share"``.
        uncertainty
            Also return standard deviations; needs a model trained with validation samples.
        write_to
            Also write the results: to ``obsm`` of an AnnData under this key, as a modality of this name to a MuData
            (rows with mRNA only).

        Returns
        -------
        DataFrame, rows x miRNAs, NaN for rows without mRNA; with ``uncertainty`` a pair of values and deviations.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        KeyError
            If a MuData has no modality of the name given at set-up.
        ValueError
            If too few genes match, the values are not counts, or an argument is unknown. Nothing is written then.
        """
        reference = self.reference
        level = reference.levels[-1] if level is None else level
        names = reference.mirna_table(level)["name"]
        in_units(np.zeros((0, 0), np.float32), units)  # an unknown unit must fail before the work, not after
        if data is not None or self.adata is not None:
            check_target(self.adata if data is None else data, write_to, self._setup_args)
        source, query, prediction, report = self._predict(data)
        arrays = result_arrays(reference, prediction, level, units, uncertainty)
        if write_to is not None:
            uns = provenance(reference, report, level, {"level": level, "units": units})
            write(source, write_to, arrays, names, uns)
        values = pd.DataFrame(arrays["values"], index=query.obs_names, columns=names)
        return (values, pd.DataFrame(arrays["sd"], values.index, values.columns)) if uncertainty else values

    @torch.no_grad()
    def get_normalized_expression(
        self, data: Data | None = None, *, gene_list: Sequence[str] | None = None, library_size: float = 1.0
    ) -> pd.DataFrame:
        """Decoded mRNA: the shares of genes at the latent of each row.

        Parameters
        ----------
        data
            As for :meth:`get_latent_representation`.
        gene_list
            Genes to return, also ones that the query lacks; default all genes of the model.
        library_size
            What the shares of all genes add up to: 1, or 1e6 for counts per million.

        Returns
        -------
        DataFrame, rows x genes; NaN for rows without mRNA.

        Raises
        ------
        KeyError
            If a gene is unknown to the model.
        """
        reference = self.reference
        names = list(reference.genes.symbols if gene_list is None else gene_list)
        chosen = reference.genes.match(names)
        if (chosen < 0).any():
            unknown = [name for name, index in zip(names, chosen, strict=True) if index < 0]
            raise KeyError(f"{len(unknown)} of {len(names)} genes are unknown to the model: {unknown[:3]}.")
        _, query, prediction, _ = self._predict(data)
        z = torch.from_numpy(prediction.latent).to(self._device)
        parts = [reference.decoder.log_share(chunk, "mrna").exp()[:, chosen].cpu() for chunk in z.split(1_000)]
        return pd.DataFrame(torch.cat(parts).numpy() * library_size, index=query.obs_names, columns=names)

    def sample(
        self,
        n: int,
        *,
        kind: str | Sequence[str] | None = None,
        guide: Mapping[str, float] | None = None,
        depth: float | None = None,
        level: str | None = None,
        whole: bool = False,
        seed: int = 0,
    ) -> AnnData:
        """Draw new samples with matched mRNA and miRNA, as :meth:`midgd.reference.Reference.sample` does.

        Parameters
        ----------
        n, kind, guide, depth, level, whole, seed
            See :meth:`midgd.reference.Reference.sample`. Models that were trained here have no kinds: leave it out.

        Returns
        -------
        AnnData of counts, n x genes, with ``obsm["mirna"]`` and ``obsm["X_midgd"]``.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        ValueError
            If a number is out of range.
        KeyError
            If a miRNA is unknown.
        """
        return self.reference.sample(n, kind=kind, guide=guide, depth=depth, level=level, whole=whole, seed=seed)

    @torch.no_grad()
    def sample_prior(self, n: int = 100, seed: int = 0) -> PriorSample:
        """Draw samples from the generative model.

        Parameters
        ----------
        n
            How many.
        seed
            Of the draw.

        Returns
        -------
        ``latent``, ``mrna`` and ``mirna``: shares decoded from the latent by the heads; each row adds up to 1.
        """
        reference = self.reference
        if n < 1:
            raise ValueError(f"n={n} must be at least 1.")
        decoder, prior = reference.decoder, reference.prior
        z = prior.sample(n, generator=torch.Generator(prior.means.device).manual_seed(seed))
        names = {"mrna": list(reference.genes.symbols), "mirna": reference.mirna_table(reference.levels[-1])["name"]}
        shares = {key: pd.DataFrame(decoder.log_share(z, key).exp().cpu(), columns=names[key]) for key in names}
        return PriorSample(z.cpu().numpy(), **shares)
