"""Where the spots of an AnnData are."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from scipy.spatial import KDTree


def coordinates(adata: AnnData, name: str) -> NDArray[np.float64]:
    """Where the spots are, (n, 2)."""
    if name not in adata.obsm:
        raise KeyError(f"adata.obsm has no coordinates {name!r} (there are {', '.join(adata.obsm) or 'none'}).")
    where = np.asarray(adata.obsm[name], dtype=float)
    if where.ndim != 2 or where.shape[1] != 2 or not np.isfinite(where).all():
        raise ValueError(
            f"adata.obsm[{name!r}] has shape {where.shape}{'' if np.isfinite(where).all() else ' and missing values'};"
            " coordinates are finite, one row a spot, x and y."
        )
    return where


def spacing(where: NDArray[np.float64]) -> float:
    """Median distance of a spot to its nearest neighbour at another place."""
    places = np.unique(where, axis=0)
    if len(places) < 2:
        return 1.0
    return float(np.median(KDTree(places).query(places, k=2)[0][:, 1]))
