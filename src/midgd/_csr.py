"""Rows of sparse matrices that stay in the cache of the processor."""

from __future__ import annotations

from collections.abc import Iterator

from scipy import sparse

# Values at a time: 0.4 MB, of which an L2 cache holds some arrays.
VALUES = 100_000


def row_spans(matrix: sparse.csr_matrix) -> Iterator[tuple[slice, slice]]:
    """Consecutive rows of a matrix, about :data:`VALUES` values at a time.

    Slices and not matrices, for scipy copies what it makes a matrix of.

    Parameters
    ----------
    matrix
        Any number of rows.

    Yields
    ------
    Rows, and where their values are; at least once.
    """
    n, begin = matrix.shape[0], matrix.indptr
    step = max(1, VALUES * n // max(1, matrix.nnz))
    for start in range(0, max(n, 1), step):
        stop = min(start + step, n)
        yield slice(start, stop), slice(begin[start], begin[stop])


def rows_of(matrix: sparse.csr_matrix, rows: slice) -> sparse.csr_matrix:
    """Consecutive rows of a matrix; a slice of scipy goes through the values one by one and takes twice as long.

    Parameters
    ----------
    matrix
        Any number of rows.
    rows
        Which of them, from ``start`` to ``stop``.

    Returns
    -------
    A matrix of these rows.
    """
    begin = matrix.indptr[rows.start : rows.stop + 1]
    values = slice(begin[0], begin[-1])
    parts = matrix.data[values], matrix.indices[values], begin - begin[0]
    return sparse.csr_matrix(parts, (len(begin) - 1, matrix.shape[1]))
