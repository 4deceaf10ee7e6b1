"""What the tools share: the inferred values on one scale, columns of ``obs``, and optional packages."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from midgd import get


def log_values(adata: AnnData, key: str) -> AnnData:
    """Inferred miRNAs as natural log1p CPM, whatever their units; cells x miRNAs."""
    found = get.mirna(adata, key)
    units = found.uns.get(key, {}).get("params", {}).get("units", "log1p_cpm")
    if units != "log1p_cpm":
        found.X = np.log1p(found.X * (1.0 if units == "cpm" else 1e6))
        found.uns["log1p"] = {"base": None}
    return found


def column(obs: pd.DataFrame, name: str, argument: str) -> pd.Series:
    """A column of ``obs``, or an error that lists what there is."""
    if name not in obs:
        raise KeyError(f"{argument}={name!r} is not a column of obs; it has {list(obs.columns)}.")
    return obs[name]


def labels(obs: pd.DataFrame, name: str, argument: str) -> pd.Categorical:
    """A column of labels without missing ones, as categories that occur; their order is kept."""
    values = column(obs, name, argument)
    if values.isna().any():
        raise ValueError(
            f"obs[{name!r}] is missing for {values.isna().sum():,} of {len(obs):,} rows; fill it in or drop them."
        )
    if not isinstance(values.dtype, pd.CategoricalDtype):
        return pd.Categorical(values.astype(str))  # type: ignore[return-value]
    kept = values.cat.remove_unused_categories()
    return pd.Categorical(kept.astype(str), categories=list(kept.cat.categories.astype(str)))


def optional(package: str, caller: str) -> Any:
    """A package that is not installed with midgd, or one sentence that says how to get it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{caller} needs {package}: pip install 'midgd[analysis]'") from error
