"""Demo cells that need no download."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from anndata import AnnData

# Stored values have three decimals, which moves the largest counts by about 0.1; 0.25 is half way to an ambiguous one.
MAX_DEVIATION = 0.25


def counts_from_log(log_values: sparse.csr_matrix, max_deviation: float = MAX_DEVIATION) -> sparse.csr_matrix:
    """Integer counts behind values that were depth-normalised and ``log1p``-transformed.

    Within a cell ``expm1(x)`` is proportional to the counts. The smallest non-zero value is taken as one
    count, so every cell needs at least one gene seen exactly once.

    Parameters
    ----------
    log_values
        Cells x genes, natural ``log1p`` of depth-normalised counts.
    max_deviation
        How far from an integer a recovered count may be.

    Returns
    -------
    Cells x genes, float32 CSR with integer values.

    Raises
    ------
    ValueError
        If a recovered count is further than ``max_deviation`` from an integer.
    """
    counts = sparse.csr_matrix(log_values, dtype=np.float64, copy=True)
    counts.eliminate_zeros()
    counts.data = np.expm1(counts.data)
    for row in range(counts.shape[0]):
        values = counts.data[counts.indptr[row] : counts.indptr[row + 1]]
        if not values.size:
            continue
        values /= values.min()
        deviation = float(np.abs(values - np.round(values)).max())
        if deviation > max_deviation:
            raise ValueError(
                f"Cell {row}: a recovered count is {deviation:.3f} away from an integer (allowed {max_deviation}): "
                "the values are not log1p of depth-normalised counts; start from the raw counts instead."
            )
        np.round(values, out=values)
    return counts.astype(np.float32)


def pbmc68k_counts() -> AnnData:
    """700 peripheral blood mononuclear cells with their raw UMI counts; ships inside scanpy, no download.

    :func:`scanpy.datasets.pbmc68k_reduced` (Zheng et al. 2017, 10x Genomics) stores log-normalised values;
    the counts come back exactly from its ``.raw``.

    Returns
    -------
    700 cells x 765 genes. ``X``: raw counts, float32 CSR. ``obs``: ``bulk_labels`` (cell type), ``n_counts``
    (UMIs of the whole cell, all genes) and the other columns of scanpy. ``obsm["X_umap"]``.

    Raises
    ------
    ValueError
        If the installed scanpy ships values from which no integers come back.

    Examples
    --------
    >>> adata = midgd.datasets.pbmc68k_counts()  # doctest: +SKIP
    >>> adata.shape  # doctest: +SKIP
    (700, 765)
    """
    import scanpy as sc
    from anndata import AnnData

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the shipped file is of an old anndata format
        cells = sc.datasets.pbmc68k_reduced()
    demo = AnnData(
        counts_from_log(cells.raw.X),
        obs=cells.obs.copy(),
        var=cells.raw.var.copy(),
        obsm={"X_umap": cells.obsm["X_umap"].copy()},
    )
    demo.uns["bulk_labels_colors"] = cells.uns["bulk_labels_colors"].copy()
    return demo
