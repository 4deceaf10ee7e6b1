"""Checks of the arguments of ``setup_mudata`` and ``setup_anndata``, before anything is registered."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from midgd.features import ChosenColumns, choose_training_columns, read_annotation
from midgd.model._names import look_like_mirnas

DEFAULT_MODALITIES = {"mrna": "rna", "mirna": "mirna"}
MRNA_KEY, MIRNA_KEY, SOURCE_KEY, LABELS_KEY = "X", "mirna", "source", "labels"


def named_modalities(mdata: MuData, modalities: Mapping[str, str] | None) -> dict[str, str]:
    """Full mapping ``{"mrna": ..., "mirna": ...}`` of names that the MuData has."""
    if not isinstance(mdata, MuData):
        raise TypeError(f"setup_mudata needs a MuData, got {type(mdata).__name__}; AnnData has setup_anndata.")
    given = dict(modalities or {})
    if unknown := set(given) - set(DEFAULT_MODALITIES):
        raise ValueError(f"modalities= has the keys {sorted(unknown)}; midgd knows {list(DEFAULT_MODALITIES)}.")
    names = DEFAULT_MODALITIES | given
    for role, name in names.items():
        if name not in mdata.mod:
            raise KeyError(
                f"no modality {name!r} for the {role} in the MuData; it has {list(mdata.mod)}."
                f" Name it with modalities={{{role!r}: ...}}."
            )
    if names["mrna"] == names["mirna"]:
        raise ValueError(f"modalities= names {names['mrna']!r} for both mRNA and miRNA.")
    return names


def check_modality(adata: AnnData, layer: str | None, where: str, argument: str) -> None:
    """Whether an AnnData has the layer and names that can be told apart."""
    if layer is not None and layer not in adata.layers:
        layers = [name for name in adata.layers if name is not None]
        raise KeyError(f"{argument}={layer!r} is no layer of {where}; there is {layers or 'none'}.")
    if layer is None and adata.X is None:
        raise ValueError(f"{where}.X is not set; name a layer with {argument}=.")
    check_unique(adata.obs_names, f"{where}.obs_names")


def check_obsm(adata: AnnData, key: str) -> None:
    """Whether ``obsm[key]`` is a table of numbers with the names of miRNAs."""
    if not isinstance(adata, AnnData):
        raise TypeError(f"setup_anndata needs an AnnData, got {type(adata).__name__}; MuData has setup_mudata.")
    if key not in adata.obsm:
        raise KeyError(f"mirna_obsm_key={key!r} is not in adata.obsm; there is {list(adata.obsm) or 'none'}.")
    table = adata.obsm[key]
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"adata.obsm[{key!r}] is {type(table).__name__} and has no miRNA names: make it a"
            " DataFrame(counts, index=adata.obs_names, columns=mirnas)."
        )
    check_unique(table.columns, f"adata.obsm[{key!r}].columns")


def check_genes(var: pd.DataFrame, where: str) -> None:
    """Whether the mRNA has genes, of different names, and not miRNAs."""
    names = var.index[training_columns(var).gene >= 0]
    if look_like_mirnas([str(name) for name in names]):
        raise ValueError(f"the mRNA has the names {list(names[:3])}, which are miRNAs: are the modalities swapped?")
    check_unique(names, f"{where}.var_names")


def training_columns(var: pd.DataFrame) -> ChosenColumns:
    """Which rows of var are genes to train on."""
    return choose_training_columns(list(var.index), read_annotation(var))


def check_unique(names: pd.Index, where: str) -> None:
    """Whether names are unique."""
    if not names.is_unique:
        twice = names[names.duplicated()]
        raise ValueError(f"{where} has {twice.nunique():,} names more than once, {twice[0]!r} for example.")


def check_column(obs: pd.DataFrame, key: str | None, argument: str) -> None:
    """Whether a column of obs exists and is filled in."""
    if key is None:
        return
    if key not in obs:
        raise KeyError(f"{argument}={key!r} is not a column of obs; it has {list(obs.columns)}.")
    missing = int(np.asarray(obs[key].isna()).sum())
    if missing:
        raise ValueError(f"obs[{key!r}] is missing for {missing:,} of {len(obs):,} rows; fill it in or drop them.")
