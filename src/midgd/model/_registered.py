"""What the model takes from scvi-tools: registration of data and the record of how it was set up."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rich.pretty  # noqa: F401  scvi-tools prints with it and relies on others to have imported it
from anndata import AnnData
from mudata import MuData
from scvi.data import AnnDataManager, AnnDataManagerValidationCheck
from scvi.data._constants import _SETUP_ARGS_KEY, _SETUP_METHOD_NAME
from scvi.data.fields import (
    CategoricalObsField,
    LayerField,
    MuDataCategoricalObsField,
    MuDataLayerField,
    ObsmField,
)
from scvi.model.base import BaseModelClass

from midgd._mudata import without_pulling
from midgd.model import _setup
from midgd.model._card import CARD_KEY, registry_of
from midgd.model._training_data import check_registered
from midgd.reference.store import read


class RegisteredModel(BaseModelClass):
    """A model of registered data, or a saved one without data."""

    def _init_base(self, adata: AnnData | MuData | None, registry: dict[str, Any] | None) -> None:
        if adata is not None:
            super().__init__(adata)
            return
        if registry is None:
            raise ValueError(
                "MIDGD needs data: MIDGD.setup_mudata(mdata), then MIDGD(mdata). A saved model: MIDGD.load."
            )
        # scvi-tools < 1.4 knows no model without data but with a registry.
        takes_registry = "registry" in inspect.signature(BaseModelClass.__init__).parameters
        super().__init__(**({"registry": registry} if takes_registry else {}))
        self._adata, self._adata_manager, self.registry_ = None, None, registry
        self.summary_stats = AnnDataManager._get_summary_stats_from_registry(registry)

    @classmethod
    def setup_mudata(
        cls,
        mdata: MuData,
        *,
        modalities: Mapping[str, str] | None = None,
        mrna_layer: str | None = None,
        mirna_layer: str | None = None,
        source_key: str | None = None,
        labels_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Register a MuData of pairs.

        Rows that one modality lacks, has as NaN or as zeros only, and single NaN entries, count as not measured.
        Only genes are trained on: antibodies, guides, spike-ins and the like in the mRNA are left out and named, by
        the rules of :func:`midgd.tl.infer_mirna`.

        Parameters
        ----------
        mdata
            MuData with counts in two modalities.
        modalities
            Their names, ``{"mrna": "rna", "mirna": "mirna"}`` by default.
        mrna_layer, mirna_layer
            Layers that hold the counts; default ``X``.
        source_key
            Column of ``mdata.obs`` with the study or pipeline. Rows of one source measured the same features: one
            without any count in all of its rows is taken as not measured there, for these rows and for every later
            query with this source in the same column.
        labels_key
            Column of ``mdata.obs`` with cohorts or cell types: each gives its part of the validation samples.

        Raises
        ------
        KeyError
            If there is no such modality, layer or column.
        ValueError
            If the values are not counts, names are duplicated or a column has gaps.
        """
        modalities = _setup.named_modalities(mdata, modalities)
        setup_method_args = cls._get_setup_method_args(**locals())
        for role, layer in (("mrna", mrna_layer), ("mirna", mirna_layer)):
            name = modalities[role]
            _setup.check_modality(mdata.mod[name], layer, f"mdata[{name!r}]", f"{role}_layer")
        rna, mirna = modalities["mrna"], modalities["mirna"]
        _setup.check_genes(mdata.mod[rna].var, f"mdata[{rna!r}]")
        _setup.check_unique(mdata.mod[mirna].var_names, f"mdata[{mirna!r}].var_names")
        counts = {"is_count_data": False, "correct_data_format": False}  # checked by midgd's own rules
        fields = [
            MuDataLayerField(_setup.MRNA_KEY, mrna_layer, mod_key=modalities["mrna"], **counts),
            MuDataLayerField(_setup.MIRNA_KEY, mirna_layer, mod_key=modalities["mirna"], **counts),
        ]
        columns = {_setup.SOURCE_KEY: source_key, _setup.LABELS_KEY: labels_key}
        cls._register(mdata, fields, MuDataCategoricalObsField, columns, setup_method_args, kwargs)

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        *,
        mirna_obsm_key: str,
        layer: str | None = None,
        source_key: str | None = None,
        labels_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Register an AnnData of mRNA with the miRNA counts of the same rows in ``obsm``.

        What of the columns of ``adata`` is a gene is decided as in :meth:`setup_mudata`.

        Parameters
        ----------
        adata
            AnnData with mRNA counts.
        mirna_obsm_key
            Key of ``obsm`` with a DataFrame of miRNA counts, columns named; rows of NaN are not measured.
        layer
            Layer that holds the mRNA counts; default ``X``.
        source_key, labels_key
            As for :meth:`setup_mudata`, in ``adata.obs``.

        Raises
        ------
        TypeError
            If the miRNA counts have no names.
        KeyError
            If there is no such layer, key or column.
        ValueError
            If the values are not counts, names are duplicated or a column has gaps.
        """
        setup_method_args = cls._get_setup_method_args(**locals())
        _setup.check_obsm(adata, mirna_obsm_key)
        _setup.check_modality(adata, layer, "adata", "layer")
        _setup.check_genes(adata.var, "adata")
        fields = [
            LayerField(_setup.MRNA_KEY, layer, is_count_data=False, correct_data_format=False),
            ObsmField(_setup.MIRNA_KEY, mirna_obsm_key, correct_data_format=False),
        ]
        columns = {_setup.SOURCE_KEY: source_key, _setup.LABELS_KEY: labels_key}
        cls._register(adata, fields, CategoricalObsField, columns, setup_method_args, kwargs)

    @classmethod
    def _register(
        cls,
        data: AnnData | MuData,
        fields: list[Any],
        categorical: type,
        columns: Mapping[str, str | None],
        setup_method_args: dict[str, Any],
        kwargs: dict[str, Any],
    ) -> None:
        for name, key in columns.items():
            _setup.check_column(data.obs, key, f"{name}_key")
        fields = fields + [categorical(name, key) for name, key in columns.items() if key is not None]
        manager = AnnDataManager(
            fields,
            setup_method_args,
            # Unpaired rows are what a mosaic is made of.
            validation_checks=AnnDataManagerValidationCheck(check_fully_paired_mudata=False),
        )
        manager.register_fields(data, **kwargs)
        check_registered(manager)
        cls.register_manager(manager)

    def __getstate__(self) -> dict[str, Any]:
        """All but what scvi-tools registered, which cannot be pickled for MuData."""
        state = self.__dict__.copy()
        data = state.pop("_adata", None)
        del state["_adata_manager"]
        parts = (dict(data.mod), data.obs) if isinstance(data, MuData) else data
        return state | {"_pickled_data": parts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the data up again, as they were."""
        data = state.pop("_pickled_data")
        self.__dict__.update(state)
        self._adata = self._adata_manager = None
        if data is None:
            return
        if isinstance(data, tuple):
            with without_pulling():
                modalities, obs = data
                data = MuData(modalities)
                data.obs = obs
        getattr(type(self), self.registry_[_SETUP_METHOD_NAME])(data, **self._setup_args)
        self._adata = data
        self._adata_manager = self._get_most_recent_anndata_manager(data, required=True)

    @property
    def _setup_args(self) -> dict[str, Any]:
        return dict(self.registry_[_SETUP_ARGS_KEY])

    @staticmethod
    def load_registry(dir_path: str | Path, prefix: str | None = None) -> dict[str, Any]:
        """The set-up of a saved model, without the names and categories of its data."""
        if prefix is not None:
            raise ValueError("midgd saves a model as one folder, without prefix.")
        return registry_of(read(Path(dir_path)).card[CARD_KEY]["setup"])

    @staticmethod
    def view_setup_args(dir_path: str | Path, prefix: str | None = None) -> None:
        """Print the arguments that a saved model was set up with."""
        AnnDataManager.view_setup_method_args(RegisteredModel.load_registry(dir_path, prefix))
