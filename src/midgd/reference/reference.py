"""A trained model with everything that a query needs: modules, names, calibration, card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from midgd.features import GeneVocabulary, MirnaVocabulary
from midgd.nn import Decoder, GaussianMixture, KindExperts, LatentEncoder, ProfileReadout
from midgd.reference.arms import Arms
from midgd.reference.density import LatentDensity
from midgd.zeroshot.maps import ZeroShotMaps

if TYPE_CHECKING:
    from anndata import AnnData

Card = dict[str, Any]


def minimal_card(name: str, genes: Iterable[str], mirnas: Iterable[str]) -> Card:
    """The least that a card says: no ids of genes, no accessions of miRNAs.

    Parameters
    ----------
    name
        Name of the reference.
    genes, mirnas
        Symbols of the genes and names of the miRNAs, in the order of the model's outputs.

    Returns
    -------
    The card of a :class:`Reference`.

    Examples
    --------
    >>> minimal_card("mine", ["TP53"], ["hsa-mir-21"])["mirnas"]
    {'name': ['hsa-mir-21'], 'accession': ['']}
    """
    symbols, names = list(genes), list(mirnas)
    return {
        "name": name,
        "genes": {"symbol": symbols, "ensembl": [""] * len(symbols)},
        "mirnas": {"name": names, "accession": [""] * len(names)},
    }


# Sizes of Calibration.widening and Calibration.tails, in older references and now.
N_WIDENING, N_TAILS = (7, 8), (4, 20)


@dataclass(frozen=True)
class Calibration:
    """How wrong the model was on held-out samples, by evidence.

    Parameters
    ----------
    evidence
        (n_depths,) increasing: median evidence of the held-out samples at each depth, the mean reliability of all genes
        of the model.
    sd
        (n_depths, n_outputs) root mean squared error of log1p CPM at each depth: of stem-loops, then of mature miRNAs
        if the model has them.
    reliability
        (n_depths,) the same of the genes that the samples measured; None if those were all genes.
    misfit, surprise, ambiguity, unlikeness
        (n_depths, 2): median and 95th percentile of these signs in held-out samples of known kinds
        (:mod:`midgd.infer.domain`); None where they were not measured.
    widening
        (8,) how the error of a sample goes with its signs and score (:mod:`midgd.infer.uncertainty`); (7,) in older
        references, without the score; None for not at all.
    tails
        (20,) deviations that hold 50, 80, 90 and 95 % of the held-out errors, at each of five predicted levels
        (:data:`midgd.infer.uncertainty.TAIL_LEVELS`) in turn; (4,) in older references, of all predictions; None for
        those of a Gaussian.
    excess
        (n_depths,) 95th percentile of :func:`midgd.infer.domain.excess` in held-out samples of known kinds; None in
        older references, where more than 5 % of such samples have a score above 0.5.
    """

    evidence: NDArray[np.float32]
    sd: NDArray[np.float32]
    misfit: NDArray[np.float32]
    reliability: NDArray[np.float32] | None = None
    surprise: NDArray[np.float32] | None = None
    ambiguity: NDArray[np.float32] | None = None
    unlikeness: NDArray[np.float32] | None = None
    widening: NDArray[np.float32] | None = None
    tails: NDArray[np.float32] | None = None
    excess: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Reference:
    """A trained model and its card.

    Attributes
    ----------
    card
        What the JSON beside the weights says: names, data, hyperparameters, held-out accuracy, citations, sha256.
    decoder, prior
        The generative model.
    readout
        Linear readout of the denoised profile; None for a model that decodes miRNA from the latent alone.
    arms
        What binds mature miRNAs to stem-loops; None if the model knows one level only. With arms, the readout gives
        stem-loops and then mature miRNAs.
    calibration
        Held-out errors of tissues; None if they were not measured, then there are no intervals and no domain score.
    encoder
        Where the search for a latent starts; None starts it from the prior.
    kinds
        Which kinds of samples a latent is like and what they add to the readout; their names are in ``kinds_table`` of
        the card. None for a model whose samples had no labels.
    cell_calibration
        Errors on single cells of studies that were left out; None if they were not measured, then those of tissues are
        taken for cells too.
    zero_shot
        Maps of miRNAs that no training sample measured; their names are in ``zero_shot`` of the card. None without.
    density
        Where the latents of the training samples lie, for :meth:`sample` and :func:`midgd.tl.what_if`; None takes the
        prior, which is worse.
    """

    card: Card
    decoder: Decoder
    prior: GaussianMixture
    readout: ProfileReadout | None = None
    arms: Arms | None = None
    calibration: Calibration | None = None
    encoder: LatentEncoder | None = None
    kinds: KindExperts | None = None
    cell_calibration: Calibration | None = None
    zero_shot: ZeroShotMaps | None = None
    density: LatentDensity | None = None

    def __post_init__(self) -> None:
        expected = {"mrna": len(self.card["genes"]["symbol"]), "mirna": len(self.card["mirnas"]["name"])}
        found = {name: self.decoder.head(name).n_features for name in expected}
        if expected != found:
            raise ValueError(f"The card lists {expected} features, the weights have {found}.")
        if self.arms is not None:
            n_outputs = 0 if self.readout is None else self.readout.sizes["n_mirnas"]
            if n_outputs != expected["mirna"] + self.arms.n_mature:
                raise ValueError(
                    f"The readout has {n_outputs} outputs; {expected['mirna']} stem-loops and {self.arms.n_mature}"
                    " mature miRNAs need one each."
                )
        if self.kinds is not None and self.readout is None:
            raise ValueError("Kinds add to a readout, and this reference has none: leave out both or neither.")

    @property
    def name(self) -> str:
        """Name on the card."""
        return str(self.card["name"])

    @property
    def sha256(self) -> str:
        """Hash of the weights file; empty before the first save."""
        return str(self.card.get("sha256", ""))

    @cached_property
    def genes(self) -> GeneVocabulary:
        """Genes of the mRNA head, in its order."""
        genes = self.card["genes"]
        return GeneVocabulary(tuple(genes["symbol"]), tuple(genes["ensembl"]), genes.get("aliases", {}))

    @property
    def kind_names(self) -> tuple[str, ...]:
        """Names of the kinds of samples, in their order; empty for a model without kinds."""
        return tuple(self.card.get("kinds_table", {}).get("name", ()))

    @property
    def kind_groups(self) -> tuple[str, ...]:
        """``"cell"``, ``"line"`` or ``"tissue"`` of every kind."""
        return tuple(self.card.get("kinds_table", {}).get("group", ()))

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels that :func:`midgd.tl.infer_mirna` can give."""
        own = str(self.card["mirnas"].get("level", "stem-loop"))
        return ("mature", own) if self.arms is not None else (own,)

    def mirna_table(self, level: str) -> dict[str, list[str]]:
        """``{"name": [...], "accession": [...]}`` of a level, in the order of the output.

        Parameters
        ----------
        level
            ``"mature"`` or ``"stem-loop"``, one of :attr:`levels`.

        Returns
        -------
        ``"name"`` and ``"accession"``, a list each.
        """
        table = self._table(level)
        return {"name": list(table["name"]), "accession": list(table["accession"])}

    def _table(self, level: str) -> Card:
        if level not in self.levels:
            raise ValueError(f"level={level!r} is unknown to reference {self.name!r}; choose among {self.levels}.")
        return dict(self.card["matures" if self.arms is not None and level == "mature" else "mirnas"])

    def outputs(self, level: str) -> slice:
        """Which of the outputs of a prediction are miRNAs of a level: stem-loops come first, then mature miRNAs.

        Parameters
        ----------
        level
            ``"mature"`` or ``"stem-loop"``, one of :attr:`levels`.

        Returns
        -------
        Columns of the output of the readout.
        """
        n_first = len(self.card["mirnas"]["name"])
        last = n_first if self.arms is None else n_first + self.arms.n_mature
        return slice(n_first, last) if self.arms is not None and level == "mature" else slice(0, n_first)

    @property
    def n_outputs(self) -> int:
        """Number of miRNAs of all levels; zero-shot miRNAs that were asked for come after them."""
        return len(self.card["mirnas"]["name"]) + (0 if self.arms is None else self.arms.n_mature)

    def zero_shot_mirnas(self) -> MirnaVocabulary:
        """Names of the zero-shot miRNAs; none for a reference without."""
        table = self.card.get("zero_shot", {}) if self.zero_shot is not None else {}
        return MirnaVocabulary(tuple(table.get("name", ())), tuple(table.get("accession", ())), {})

    def accuracy(self, level: str) -> dict[str, NDArray[np.float32]]:
        """Held-out Spearman correlation of every miRNA of a level by depth, NaN where too few samples had it.

        Empty if the card has none.

        Parameters
        ----------
        level
            ``"mature"`` or ``"stem-loop"``, one of :attr:`levels`.

        Returns
        -------
        Name of a depth to correlations (n_mirnas,).
        """
        by_depth = self.card.get("accuracy", {}).get("per_mirna", {}).get(level, {})
        return {depth: np.array(values, dtype=np.float32) for depth, values in by_depth.items()}

    def mirnas(self, level: str) -> MirnaVocabulary:
        """Names of the miRNAs of a level, with their former names.

        Parameters
        ----------
        level
            ``"mature"`` or ``"stem-loop"``, one of :attr:`levels`.

        Returns
        -------
        Names that can be matched.
        """
        table = self._table(level)
        return MirnaVocabulary(tuple(table["name"]), tuple(table["accession"]), table.get("aliases", {}))

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
        """Draw new samples with matched mRNA and miRNA, see :func:`midgd.adata.generated.sample`.

        Parameters
        ----------
        n
            Number of samples.
        kind
            Name of a kind of cell, tissue or tumour (:attr:`kind_names`), or n names, one for each sample; None draws
            kinds as often as the training data have them.
        guide
            Wanted shifts of miRNAs against the same samples without a guide, in natural log1p CPM: ``{"hsa-miR-21-5p":
            0.69}`` doubles it. The guided samples are the most probable ones that have them.
        depth
            Expected counts of each sample over all genes; None for depths as the training samples have them.
        level
            ``"mature"`` or ``"stem-loop"``; None for the finest level that the reference has.
        whole
            Whether the mRNA must account for the whole shift. By default it moves as far as it usually does when a
            miRNA differs by so much, and the rest is a deviation of the miRNA that mRNA does not show.
        seed
            Of the draw. The same seed without a guide gives the samples that the guide began from.

        Returns
        -------
        AnnData of counts, n x genes of the reference, with the fields of :func:`midgd.tl.infer_mirna`:
        ``obsm["mirna"]`` (natural log1p CPM), ``obsm["X_midgd"]``, ``obs["mirna_ood"]``, ``obs["mirna_nearest"]``,
        ``uns["mirna"]``; and ``obs["kind"]``, the kind that each was drawn from.

        Raises
        ------
        ValueError
            If a number is out of range, or the reference has no density of the kind.
        KeyError
            If a kind or a miRNA is unknown; names close ones.

        Examples
        --------
        >>> midgd.reference.load().sample(100, kind="breast carcinoma (TCGA-BRCA)", seed=1)  # doctest: +SKIP
        """
        from midgd.adata.generated import sample

        return sample(self, n, kind=kind, guide=guide, depth=depth, level=level, whole=whole, seed=seed)

    def save(self, path: str | Path) -> Path:
        """Write the reference as a folder with ``weights.safetensors`` and ``card.json``.

        Parameters
        ----------
        path
            The folder. One that already holds a reference is replaced, as a whole; any other folder is refused.

        Returns
        -------
        The folder.
        """
        from midgd.reference.store import save

        return save(self, Path(path))

    def push_to_hub(
        self, repo_id: str, *, private: bool | None = None, message: str | None = None, token: str | None = None
    ) -> str:
        """Upload to the Hugging Face hub, see :func:`midgd.reference.push_to_hub`.

        Parameters
        ----------
        repo_id
            Name of the repository, ``"user/name"``.
        private
            Whether a new repository is private; None leaves it to the settings of the owner.
        message
            Message of the commit; default: name and version of the reference.
        token
            Token of the hub; None takes the one of this machine.

        Returns
        -------
        The address of the commit.
        """
        from midgd.reference.remote import push_to_hub

        return push_to_hub(self, repo_id, private=private, message=message, token=token)

    @staticmethod
    def pull(repo_id: str, *, revision: str | None = None, token: str | None = None) -> Reference:
        """Load from the Hugging Face hub, see :func:`midgd.reference.pull`.

        Parameters
        ----------
        repo_id
            Name of the repository, ``"user/name"``.
        revision
            Branch, tag or commit; None for the newest.
        token
            Token of the hub; None takes the one of this machine.

        Returns
        -------
        The reference.
        """
        from midgd.reference.remote import pull

        return pull(repo_id, revision=revision, token=token)

    def __repr__(self) -> str:
        n_genes, n_mirnas = (len(self.card[key][field]) for key, field in (("genes", "symbol"), ("mirnas", "name")))
        return f"Reference({self.name!r}, {n_genes:,} genes, {n_mirnas:,} miRNAs, levels {', '.join(self.levels)})"
