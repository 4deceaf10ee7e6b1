"""A copy of the user's AnnData to write results into."""

from __future__ import annotations

import copy
from typing import Any

from anndata import AnnData

from midgd.counts import computable, is_computable


def copy_of(adata: AnnData) -> AnnData:
    """A copy in memory; sparse matrices of a type that scipy cannot copy become single precision or native."""
    if adata.isbacked:
        return adata.to_memory()
    layers = {name: adata.layers[name] for name in adata.layers if name is not None}
    raw = None if adata.raw is None else adata.raw.X
    if all(map(is_computable, (adata.X, raw, *layers.values()))):
        return adata.copy()
    parts: dict[str, Any] = {name: dict(getattr(adata, name)) for name in ("obsm", "varm", "obsp", "varp")}
    if adata.raw is not None:
        parts["raw"] = {"X": _able(raw), "var": adata.raw.var, "varm": dict(adata.raw.varm)}
    layers = {name: _able(matrix) for name, matrix in layers.items()}
    new = AnnData(_able(adata.X), obs=adata.obs, var=adata.var, layers=layers, uns=dict(adata.uns), **parts)
    return copy.deepcopy(new)


def _able(matrix: Any) -> Any:
    return matrix if is_computable(matrix) else computable(matrix)
