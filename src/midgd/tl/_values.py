"""What the tools share: the inferred values on one scale, and optional packages."""

from __future__ import annotations

import importlib
from typing import Any

from anndata import AnnData

from midgd import get
from midgd.adata.results import log_cpm, units_of


def log_values(adata: AnnData, key: str) -> AnnData:
    """Inferred miRNAs as natural log1p CPM, whatever their units; cells x miRNAs."""
    found = get.mirna(adata, key)
    if units_of(found.uns.get(key, {})) != "log1p_cpm":
        found.X = log_cpm(found, key)
        found.uns["log1p"] = {"base": None}
    return found


def optional(package: str, caller: str) -> Any:
    """A package that is not installed with midgd, or one sentence that says how to get it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{caller} needs {package}: pip install 'midgd[analysis]'") from error
