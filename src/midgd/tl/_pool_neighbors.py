from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from midgd.adata.obs import labels
from midgd.adata.results import check_key
from midgd.counts import check_counts, is_dask, read_counts
from midgd.settings import logger

# Principal components by which neighbours are found; chosen by hand.
N_COMPONENTS = 30


def pool_neighbors(
    adata: AnnData,
    n_neighbors: int | None = None,
    *,
    layer: str | None = None,
    sample_key: str | None = None,
    neighbors_key: str = "neighbors",
    key_added: str = "pooled",
) -> None:
    """Add to each cell's counts those of its nearest neighbours, for inference in shallow cells.

    Each cell is inferred from several times the counts, but on sorted blood types (192 and 80 cells, 10 neighbours)
    that did not pay: differences between types were .83 to .91 with pooling and .90 to .93 without, at 300 counts a
    cell as well. Try it where many cells of each kind are very shallow, and compare. Cost: cells are no longer
    independent, so no test may
    take them for replicates; kinds of fewer cells than neighbours are mixed with what is next to them; differences
    within a kind get smaller. The user guide has figures. Where groups are known, ``infer_mirna(groupby=...)`` does not
    mix kinds.

    Parameters
    ----------
    adata
        AnnData with counts in memory.
    n_neighbors
        Neighbours added to each cell, itself not counted. Default: all in the graph, or 15 where there is none.
    layer
        Layer with the counts; default ``X``.
    sample_key
        Column of ``obs``: take neighbours of the same sample only, so that samples stay independent of each other.
    neighbors_key
        Graph in ``uns``, as :func:`scanpy.pp.neighbors` writes it. If there is none, neighbours are looked for here:
        log CPM, 30 principal components, within the samples.
    key_added
        Name of the layer with the sums.

    Returns
    -------
    None. ``layers[key_added]`` gets the sums, sparse; infer from them with ``infer_mirna(adata, layer=key_added)``.

    Raises
    ------
    ValueError
        If the values are no counts, or the graph has fewer neighbours than asked for.

    Examples
    --------
    >>> sc.pp.neighbors(adata)  # doctest: +SKIP
    >>> midgd.tl.pool_neighbors(adata, 10, sample_key="donor")  # doctest: +SKIP
    >>> midgd.tl.infer_mirna(adata, layer="pooled")  # doctest: +SKIP
    """
    check_key(key_added)
    if n_neighbors is not None and not 1 <= n_neighbors < adata.n_obs:
        raise ValueError(f"n_neighbors={n_neighbors} must be from 1 to {adata.n_obs - 1}, the number of other cells.")
    view = read_counts(adata, layer=layer)
    if adata.isbacked or is_dask(view.matrix):
        raise TypeError("pool_neighbors needs the counts in memory: call adata.to_memory() first.")
    counts = sparse.csr_matrix(view.matrix)
    check_counts(counts, where=view.where, hint=view.hint)
    sample = None if sample_key is None else labels(adata.obs, sample_key, "sample_key").codes
    if neighbors_key in adata.uns:
        distances = adata.obsp[adata.uns[neighbors_key]["distances_key"]].tocsr()
    else:
        logger.info("no graph %r: neighbours by %d principal components of log CPM", neighbors_key, N_COMPONENTS)
        distances = _distances(counts, 15 if n_neighbors is None else n_neighbors, sample)
    pooled = pooled_counts(counts, distances, n_neighbors, sample)
    added = np.asarray(pooled.sum(1)).ravel() / np.maximum(np.asarray(counts.sum(1)).ravel(), 1)
    logger.info("pool_neighbors: %.3g times the counts of a cell (median)", np.median(added))
    adata.layers[key_added] = pooled


def pooled_counts(
    counts: sparse.csr_matrix,
    distances: sparse.csr_matrix,
    n_neighbors: int | None = None,
    sample: NDArray[np.integer] | None = None,
) -> sparse.csr_matrix:
    """Sums over each row and its nearest ones.

    Parameters
    ----------
    counts
        (n_cells, n_genes).
    distances
        (n_cells, n_cells), stored for the neighbours of each row only.
    n_neighbors
        Of them, this many nearest ones of each row; None takes all.
    sample
        Code of each row (n_cells,): neighbours of other samples are left out.
    """
    graph = distances.tocoo()
    kept = graph.row != graph.col
    if sample is not None:
        kept &= sample[graph.row] == sample[graph.col]
    row, col, distance = graph.row[kept], graph.col[kept], graph.data[kept]
    order = np.lexsort((distance, row))
    row, col = row[order], col[order]
    degree = np.bincount(row, minlength=len(counts.indptr) - 1)
    if n_neighbors is not None:
        if sample is None and degree.max(initial=0) < n_neighbors:
            raise ValueError(
                f"the graph has {degree.max(initial=0)} neighbours a cell, fewer than n_neighbors={n_neighbors}: call "
                f"sc.pp.neighbors(adata, n_neighbors={n_neighbors + 1}) first."
            )
        rank = np.arange(len(row)) - np.repeat(np.cumsum(degree) - degree, degree)
        row, col = row[rank < n_neighbors], col[rank < n_neighbors]
    cells = np.arange(counts.shape[0])
    member = (np.concatenate([row, cells]), np.concatenate([col, cells]))
    graph = sparse.csr_matrix((np.ones(len(member[0]), counts.dtype), member), shape=distances.shape)
    return sparse.csr_matrix(graph @ counts)


def _distances(counts: Any, n_neighbors: int, sample: NDArray[np.integer] | None) -> sparse.csr_matrix:
    """Distances of nearest neighbours, found within each sample."""
    import scanpy as sc

    codes = np.zeros(counts.shape[0], np.int64) if sample is None else sample
    row, col, data = [], [], []
    cells = AnnData(counts.astype(np.float32))
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    sc.pp.pca(cells, n_comps=min(N_COMPONENTS, *(n - 1 for n in cells.shape)))
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        if len(rows) < 3:
            continue  # nobody to be pooled with
        own = AnnData(obsm={"X_pca": cells.obsm["X_pca"][rows]}, shape=(len(rows), 0))
        sc.pp.neighbors(own, n_neighbors=min(n_neighbors + 1, len(rows) - 1), use_rep="X_pca")
        found = own.obsp["distances"].tocoo()
        row.append(rows[found.row])
        col.append(rows[found.col])
        data.append(found.data)
    shape = (counts.shape[0],) * 2
    if not row:
        return sparse.csr_matrix(shape)
    return sparse.csr_matrix((np.concatenate(data), (np.concatenate(row), np.concatenate(col))), shape=shape)
