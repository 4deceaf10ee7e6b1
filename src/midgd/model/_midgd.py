from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray
from scvi.data._constants import _SETUP_ARGS_KEY, _SETUP_METHOD_NAME
from scvi.model._utils import parse_device_args

from midgd.model._card import CARD_KEY, history_of, model_card, registry_of
from midgd.model._queries import QueryableModel
from midgd.model._training import held_out_errors, history_frames, train_options
from midgd.model._training_data import TrainingData, held_out_rows, read_training_data
from midgd.nn import DecoderSpec
from midgd.reference import Reference
from midgd.reference.store import read, save
from midgd.train import Parts, ReadoutOptions, fit, fit_encoder, fit_readout


class MIDGD(QueryableModel):
    """Deep generative decoder of mRNA and miRNA (Zamani et al. 2026).

    One latent per sample, with a mixture of Gaussians as its prior, is decoded to the shares of both modalities.
    There is no encoder: latents are found by maximum a posteriori, those of the training samples together with the
    decoder, that of any query from its mRNA counts alone. The computation is that of :mod:`midgd.train` and
    :func:`midgd.tl.infer_mirna`; this class holds it together for data of your own.

    Parameters
    ----------
    adata
        AnnData or MuData that has been registered via :meth:`~midgd.model.MIDGD.setup_anndata` or
        :meth:`~midgd.model.MIDGD.setup_mudata`.
    n_latent
        Dimensionality of the latent space.
    n_hidden
        Number of nodes per hidden layer; 0 for a log-linear decoder.
    n_layers
        Number of hidden layers.
    n_components
        Number of components of the prior.
    likelihoods
        A name in :data:`midgd.nn.HEADS`, such as ``"nb"`` (negative binomial) or ``"poisson"``; ``{"mrna": ...,
        "mirna": ...}`` chooses for each modality. With a Poisson likelihood of mRNA there are no standard deviations
        and no out-of-domain scores.
    readout
        ``"ridges"``, ``"without_counts"``, ``"without_smoothing"``, ``"ridge"``, or ``"none"``: miRNA as decoded from
        the latent, less accurate; see :class:`~midgd.train.Parts`. True and False stand for the first and the last.
    prior
        ``"mixture"``, or ``"gaussian"`` for a single component.
    encoder
        ``"none"``: the search for a latent starts from the prior. ``"mlp"``: from a network that is trained for it.
        Queries are faster then, and training takes longer.
    objective
        What :meth:`train` maximises: ``"map"``, ``"map_downsampled"``, ``"balanced"`` or ``"mrna"``, see
        :class:`~midgd.train.TrainOptions`.
    **decoder_kwargs
        Further arguments of :class:`~midgd.nn.DecoderSpec`: ``skip``, ``dispersion_floor``, ``activation``.

    Raises
    ------
    ValueError
        If a part has an unknown name; lists the names that there are.

    Examples
    --------
    >>> midgd.model.MIDGD.setup_mudata(mdata, modalities={"mrna": "rna", "mirna": "mirna"})
    >>> model = midgd.model.MIDGD(mdata)
    >>> model.train()
    >>> mirna = model.infer_mirna(adata)

    Notes
    -----
    The validation part is held out at random. Where several samples come from one patient, choose it yourself by
    patient (``validation_indices=`` of :meth:`train`), or held-out errors look too small.
    """

    def __init__(
        self,
        adata: AnnData | MuData | None = None,
        n_latent: int = 64,
        n_hidden: int = 100,
        n_layers: int = 2,
        n_components: int = 20,
        *,
        likelihoods: Mapping[str, str] | str | None = None,
        readout: str | bool = "ridges",
        prior: str = "mixture",
        encoder: str = "none",
        objective: str = "map",
        registry: dict[str, Any] | None = None,
        **decoder_kwargs: Any,
    ) -> None:
        names = {True: "ridges", False: "none"}
        chosen = names[readout] if isinstance(readout, bool) else readout
        self.parts = Parts(likelihoods or "nb", prior, encoder, chosen, objective)
        self.spec = self.parts.spec(DecoderSpec(n_latent, n_hidden, n_layers, **decoder_kwargs))
        self.n_components = n_components
        self._init_base(adata, registry)
        self.training_latents_: pd.DataFrame | None = None
        self._model_summary_string = (
            f"MIDGD model with the following parameters: \nn_latent: {n_latent}, n_hidden: {n_hidden}, "
            f"n_layers: {n_layers}, n_components: {n_components}, likelihoods: mrna "
            f"{self.spec.likelihood('mrna')}, mirna {self.spec.likelihood('mirna')}, prior: {prior}, "
            f"encoder: {encoder}, readout: {chosen}, objective: {objective}"
        )

    def train(
        self,
        max_epochs: int = 25,
        accelerator: str = "auto",
        devices: int | list[int] | str = "auto",
        train_size: float = 0.9,
        validation_indices: Sequence[int] | None = None,
        batch_size: int = 64,
        early_stopping: bool = True,
        seed: int = 0,
        checkpoint: str | Path | None = None,
        plan_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Train the model.

        The validation samples are inferred from their mRNA as a query would be. They decide when to stop and tell
        how wrong the model is: without them there are no standard deviations and no out-of-domain scores.

        Parameters
        ----------
        max_epochs
            Length of the schedule in passes through the training samples.
        accelerator, devices
            As in scvi-tools: ``"cpu"``, ``"gpu"``, ``"auto"``, ..., and one device.
        train_size
            Part of the paired samples to train on. 1 trains on all of them: a little more accurate, but without
            early stopping and without held-out errors.
        validation_indices
            Rows of the data to hold out instead of a random choice.
        batch_size
            Minibatch size.
        early_stopping
            Stop when the held-out miRNA likelihood has not become better for a while and keep the best weights.
        seed
            Of the split, the initial weights and the order of minibatches.
        checkpoint
            File to write after each epoch and to resume from if it exists.
        plan_kwargs
            Further fields of :class:`~midgd.train.TrainOptions`, for example ``{"lr_decoder": 1e-3}``.

        Raises
        ------
        ValueError
            If there is no data, an argument is out of range, or no row has both modalities.
        """
        if self.adata is None:
            raise ValueError("this model was loaded without data: MIDGD.load(folder, adata=mdata) to train on data.")
        data = read_training_data(self.adata_manager, self._setup_args["source_key"])
        held_out = self._held_out(data, train_size, validation_indices, seed)
        training = np.setdiff1d(np.arange(len(data.rows)), held_out)
        options = train_options(
            plan_kwargs,
            max_epochs=max_epochs,
            batch_size=batch_size,
            early_stopping=early_stopping and len(held_out) > 0,
            seed=seed,
            objective=self.parts.objective,
        )
        _, _, self._device = parse_device_args(accelerator, devices, return_device="torch", validate_single_device=True)
        mosaic = data.mosaic.take(training)
        fitted = fit(
            mosaic,
            self.spec,
            n_components=self.parts.n_components(self.n_components),
            options=options,
            validation=data.mosaic.take(held_out) if len(held_out) else None,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            device=self._device,
        )
        how = self.parts.readout_options(ReadoutOptions())
        readout = None if how is None else fit_readout(fitted.decoder, fitted.prior, mosaic, how).readout
        encoder = fit_encoder(fitted.decoder, fitted.prior, mosaic) if self.parts.encoder == "mlp" else None
        self.history_ = history_frames(fitted.history)
        init = asdict(self.spec) | {"n_components": self.n_components}
        init |= {name: getattr(self.parts, name) for name in ("readout", "prior", "encoder", "objective")}
        card = model_card(data, len(training), options, init=init, registry=self.registry_, history=self.history_)
        reference = Reference(card, fitted.decoder, fitted.prior, readout, encoder=encoder)
        self._reference = replace(reference, calibration=held_out_errors(reference, data, held_out))
        self.train_indices_, self.validation_indices_ = data.rows[training], data.rows[held_out]
        # By name, not by row number: a subset or another order of the data cannot mix them up.
        self.training_latents_ = pd.DataFrame(fitted.latents, index=self.adata.obs_names[self.train_indices_])
        self.is_trained_ = True

    def _held_out(
        self, data: TrainingData, train_size: float, chosen: Sequence[int] | None, seed: int
    ) -> NDArray[np.int64]:
        """Positions in the training data that are held out."""
        if chosen is not None:
            index = np.asarray(chosen) if len(chosen) else np.empty(0, np.int64)
            wanted = np.isin(data.rows, np.arange(self.adata.n_obs)[index])
            rows = np.flatnonzero(wanted & data.paired)
            if not len(rows) or len(rows) == data.paired.sum():
                raise ValueError(
                    f"validation_indices= holds {len(rows)} of the {data.paired.sum()} rows that have both modalities;"
                    " give some, and leave some for training."
                )
            return rows
        if not 0 < train_size <= 1:
            raise ValueError(f"train_size={train_size} must be above 0 and at most 1.")
        key = self._setup_args["labels_key"]
        labels = None if key is None else self.adata.obs[key].astype(str).to_numpy()[data.rows]
        return held_out_rows(data.paired, 1.0 - train_size, labels, seed)

    @property
    def device(self) -> torch.device:
        """Where queries are computed; where the model was trained unless :meth:`to_device` says otherwise."""
        return self._device

    def to_device(self, device: str | int | torch.device) -> None:
        """Choose where queries are computed.

        Parameters
        ----------
        device
            ``"cpu"``, ``"cuda:0"`` and so on.
        """
        self._device = torch.device(device)

    def to_reference(self, path: str | Path, *, name: str | None = None, half_precision: bool = False) -> Path:
        """Write the model as a reference that :func:`midgd.tl.infer_mirna` takes.

        Parameters
        ----------
        path
            The folder; one that already holds a reference is replaced.
        name
            Name on the card; default that of the folder.
        half_precision
            Store large matrices with 16 bits: half the size, shares change by about 1e-3.

        Returns
        -------
        The folder, to be passed as ``reference=``.
        """
        card = {key: value for key, value in self.reference.card.items() if key != CARD_KEY}
        card |= {"name": name or Path(path).name, "half_precision": half_precision}
        return replace(self.reference, card=card).save(path)

    def save(self, dir_path: str | Path, *, overwrite: bool = False) -> None:
        """Save the model as a folder of safetensors and JSON; nothing in it can run when it is loaded.

        The data and the latents of its rows are not saved. The folder is a reference as well.

        Parameters
        ----------
        dir_path
            The folder.
        overwrite
            Replace a model that is already there.

        Raises
        ------
        FileExistsError
            If the folder holds a model and ``overwrite`` is False, or anything else. Nothing is changed then.
        """
        save(self.reference, Path(dir_path), overwrite=overwrite)

    @classmethod
    def load(
        cls,
        dir_path: str | Path,
        adata: AnnData | MuData | None = None,
        accelerator: str = "auto",
        device: int | str = "auto",
    ) -> MIDGD:
        """Load a saved model.

        Parameters
        ----------
        dir_path
            Folder written by :meth:`save`.
        adata
            Data to register with the model, of any number of rows. None loads the model without data: pass the data
            to its methods.
        accelerator, device
            Where queries are computed.

        Returns
        -------
        The model, ready for queries.

        Raises
        ------
        FileNotFoundError
            If there is no model in the folder.
        ValueError
            If the files are damaged, or hold a reference that this class did not write.
        """
        reference = read(Path(dir_path))
        saved = reference.card.get(CARD_KEY)
        if saved is None:
            raise ValueError(
                f"{dir_path} is a reference, not a saved MIDGD: use it with midgd.tl.infer_mirna(adata, reference=...)."
            )
        registry = registry_of(saved["setup"])
        if adata is not None:
            _set_up(cls, adata, registry[_SETUP_METHOD_NAME], registry[_SETUP_ARGS_KEY])
        model = cls(adata, registry=registry, **saved["init"])
        model._reference, model.is_trained_ = reference, True
        model.history_ = history_of(saved)
        _, _, model._device = parse_device_args(accelerator, device, return_device="torch", validate_single_device=True)
        return model


def _set_up(cls: type[MIDGD], adata: AnnData | MuData, method: object, arguments: object) -> None:
    """Set data up as a card says, by one of the two methods for it and with arguments that it has."""
    methods: dict[str, Callable[..., None]] = {"setup_anndata": cls.setup_anndata, "setup_mudata": cls.setup_mudata}
    known = inspect.signature(methods[str(method)]).parameters if str(method) in methods else {}
    if not known or not isinstance(arguments, dict) or not set(arguments) <= set(known):
        raise ValueError(f"The card of the model asks for an unknown way to set data up: {str(method)[:80]!r}.")
    methods[str(method)](adata, **arguments)
