"""Rows in order, a chunk at a time, from wherever a matrix lives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.abc import CSCDataset, CSRDataset
from numpy.typing import NDArray

from midgd._csr import rows_of
from midgd.settings import logger

Chunk: TypeAlias = "NDArray[Any] | sp.csr_matrix"

# A matrix stored by columns is read once for every block of rows, at most so often: then blocks are larger than the
# memory budget. Chosen by hand.
MAX_PASSES = 16


class RowSource:
    """Iterate over the rows of a matrix in chunks.

    Nothing is read before the iteration starts, and each iteration starts anew. Sparse input gives sparse chunks;
    nothing is made dense.

    Parameters
    ----------
    matrix
        ndarray, scipy sparse of any format, DataFrame, ``X`` of a backed ``.h5ad`` or zarr store (dense, CSR or CSC),
        zarr or dask array (dense or sparse chunks), or anything else with ``shape``, ``dtype`` and slices of rows.
    batch_size
        Rows of a chunk, the last one may be shorter. None: as many as fit the budget as dense float32.
    memory_budget
        Bytes to hold at a time, about. Files and dask arrays are read in blocks of this size and cut into chunks,
        so that a small ``batch_size`` does not mean many small reads. A dask chunk is always computed whole.

    Raises
    ------
    TypeError
        If ``matrix`` is none of the above.
    ValueError
        If it does not have two dimensions, a dask array does not know its length, or a size is below 1.

    Notes
    -----
    Matrices stored by columns (CSC) have no cheap rows. They are turned into CSR for one block of rows at a time,
    in as many passes over the data as the budget asks for, at most 16; a backed CSC is read in blocks of columns.
    """

    def __init__(self, matrix: Any, *, batch_size: int | None = None, memory_budget: int = 256 * 2**20) -> None:
        # Sparse matrices are all read; in older versions of scipy those made of coordinates have no items.
        if not hasattr(matrix, "shape") or not (sp.issparse(matrix) or hasattr(matrix, "__getitem__")):
            raise TypeError(
                f"rows cannot be read from {type(matrix).__name__}: give an array, a scipy sparse matrix, "
                "a DataFrame, a dask or zarr array or the X of a backed AnnData"
            )
        if len(matrix.shape) != 2:
            raise ValueError(f"a matrix of rows x columns is needed, got shape {tuple(matrix.shape)}")
        for name, value in (("batch_size", batch_size), ("memory_budget", memory_budget)):
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        if np.isnan(matrix.shape[0]) or np.isnan(matrix.shape[1]):
            raise ValueError("the dask array does not know its shape: call its compute_chunk_sizes() first")
        self.matrix = matrix
        self.memory_budget = memory_budget
        self.batch_size = batch_size or self._rows_in_budget(4)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.matrix.shape[0]), int(self.matrix.shape[1])

    def __iter__(self) -> Iterator[tuple[int, int, Chunk]]:
        """Yield ``(start, stop, chunk)``; ``chunk`` holds rows ``start:stop`` as ndarray or ``csr_matrix``."""
        start = 0
        for chunk in self._chunks():
            yield start, start + chunk.shape[0], chunk
            start += chunk.shape[0]

    def _rows_in_budget(self, itemsize: int) -> int:
        return max(1, self.memory_budget // (itemsize * max(1, self.shape[1])))

    def _chunks(self) -> Iterator[Chunk]:
        """Rows that are in memory, and blocks of others, in chunks of the batch size."""
        matrix, starts = self.matrix, range(0, self.shape[0], self.batch_size)
        if sp.issparse(matrix):
            matrix = computable(matrix)
            if matrix.format == "csc":
                yield from _recut(_csc_blocks(matrix, self.memory_budget), self.batch_size)
                return
            matrix = as_chunk(matrix)
        if isinstance(matrix, pd.DataFrame):
            yield from (_frame_values(matrix.iloc[a : a + self.batch_size]) for a in starts)
        elif isinstance(matrix, sp.csr_matrix):
            yield from (rows_of(matrix, slice(a, a + self.batch_size)) for a in starts)
        elif isinstance(matrix, np.ndarray):
            yield from (as_chunk(matrix[a : a + self.batch_size]) for a in starts)
        else:
            yield from _recut(self._stored_blocks(), self.batch_size)

    def _stored_blocks(self) -> Iterator[Chunk]:
        """Consecutive rows of what is not in memory, in blocks of the size that suits the storage."""
        matrix, n = self.matrix, self.shape[0]
        if isinstance(matrix, CSCDataset):
            yield from _csc_blocks(matrix, self.memory_budget)
        elif is_dask(matrix):
            for a, b in _spans(np.cumsum(matrix.chunks[0]), self._rows_in_budget(matrix.dtype.itemsize)):
                yield as_chunk(matrix[a:b].compute())
        else:
            size = self._stored_rows()
            for a in range(0, n, size):
                b = min(a + size, n)
                yield _stored_part(matrix, a, b) if isinstance(matrix, CSRDataset) else as_chunk(matrix[a:b])

    def _stored_rows(self) -> int:
        """Rows to read from a file at a time: whole storage chunks where they fit the budget."""
        rows = self._rows_in_budget(np.dtype(self.matrix.dtype).itemsize)
        stored = getattr(self.matrix, "shards", None) or getattr(self.matrix, "chunks", None)
        return rows // stored[0] * stored[0] if stored and stored[0] <= rows else rows


def is_dask(matrix: Any) -> bool:
    """Whether a matrix is a dask array, without importing dask."""
    # The X of a view is of a class of anndata that inherits from dask's.
    return any(parent.__module__.startswith("dask.") for parent in type(matrix).__mro__)


def as_chunk(block: Any) -> Chunk:
    """A block of values as an ndarray or ``csr_matrix`` of a type that scipy can compute with.

    Half precision becomes single, other byte orders become the machine's.

    Raises
    ------
    ValueError
        If values of a masked array are masked.
    """
    if isinstance(block, np.ma.MaskedArray):
        if np.ma.is_masked(block):
            raise ValueError(
                f"the matrix has {int(np.ma.getmaskarray(block).sum()):,} masked values, which count as missing: fill "
                "them, for instance with x.filled(0), or drop those cells or genes"
            )
        block = block.data
    if sp.issparse(block):
        return sp.csr_matrix(computable(block))
    if hasattr(block, "todense") and not isinstance(block, np.ndarray):  # pydata sparse, from dask
        return as_chunk(block.tocsr() if hasattr(block, "tocsr") else block.todense())
    # np.asarray also takes np.matrix, whose rows and products behave unlike those of an array.
    values = np.asarray(block)
    return values.astype(_computable_type(values.dtype), copy=False)


def is_computable(matrix: Any) -> bool:
    """Whether scipy can slice and copy a matrix: not where it is sparse and of half precision or other byte order."""
    return not sp.issparse(matrix) or (matrix.dtype != np.float16 and matrix.dtype.isnative)


def computable(matrix: Any) -> Any:
    """A sparse matrix in a type that scipy can slice, copy and multiply; itself where it can."""
    wanted = _computable_type(matrix.dtype)
    if wanted == matrix.dtype:
        return matrix
    # scipy itself cannot convert what it does not support: the values change, the places are shared.
    if matrix.format in ("csr", "csc", "bsr"):
        parts = (matrix.data.astype(wanted), matrix.indices, matrix.indptr)
        return type(matrix)(parts, shape=matrix.shape)
    other = matrix.tocoo()
    return sp.coo_matrix((other.data.astype(wanted), (other.row, other.col)), shape=other.shape)


def _computable_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.kind == "f" and dtype.itemsize not in (4, 8):
        return np.dtype(np.float32 if dtype.itemsize == 2 else np.float64)
    return dtype.newbyteorder("=")


def _frame_values(frame: pd.DataFrame) -> NDArray[Any]:
    # Nullable columns come as objects; a missing value must not become a number.
    nullable = any(not isinstance(dtype, np.dtype) for dtype in frame.dtypes)
    values = frame.to_numpy(dtype=np.float64, na_value=np.nan) if nullable else frame.to_numpy()
    return np.asarray(as_chunk(frame.to_numpy(dtype=np.float64) if values.dtype == object else values))


def _spans(ends: Iterable[int], rows: int) -> Iterator[tuple[int, int]]:
    """Join neighbouring storage chunks, given by their ends, to spans of at most ``rows`` (or one chunk)."""
    start = stop = 0
    for end in map(int, ends):
        if end - start > rows and stop > start:
            yield start, stop
            start = stop
        stop = end
    if stop > start:
        yield start, stop


def _recut(blocks: Iterable[Chunk], rows: int) -> Iterator[Chunk]:
    """Cut and join consecutive blocks to chunks of ``rows`` rows; the last one holds what is left."""
    waiting: list[Chunk] = []
    n_waiting = 0
    for block in blocks:
        start, n = 0, block.shape[0]
        while n_waiting + n - start >= rows:
            stop = start + rows - n_waiting
            waiting.append(block if (start, stop) == (0, n) else block[start:stop])
            yield _stack(waiting)
            waiting, n_waiting, start = [], 0, stop
        if start < n:
            waiting.append(block[start:])
            n_waiting += n - start
    if waiting:
        yield _stack(waiting)


def _stack(blocks: list[Chunk]) -> Chunk:
    if len(blocks) == 1:
        return blocks[0]
    if any(sp.issparse(block) for block in blocks):
        return sp.csr_matrix(sp.vstack(blocks, format="csr"))
    return np.concatenate(blocks)


def _csc_blocks(matrix: Any, memory_budget: int) -> Iterator[sp.csr_matrix]:
    """CSR blocks of rows of a CSC matrix in memory or in a file."""
    n_rows = matrix.shape[0]
    backed = isinstance(matrix, CSCDataset)
    indptr = np.asarray(matrix.group["indptr"][...] if backed else matrix.indptr, dtype=np.int64)
    # A block of columns, the rows taken from it and the joined result are held together: a third for each.
    values = max(1, memory_budget // 3 // (np.dtype(matrix.dtype).itemsize + 8))
    passes = max(1, min(-(-int(indptr[-1]) // values), MAX_PASSES))
    values = max(values, -(-int(indptr[-1]) // passes))
    if backed and passes > 1:
        logger.info("the matrix is stored by columns (CSC): read in %d passes, stored as CSR it takes one", passes)
    step = max(1, -(-n_rows // passes))
    for a in range(0, n_rows, step):
        if backed:
            parts = [_stored_part(matrix, c, d)[a : a + step] for c, d in _column_spans(indptr, values)]
            yield sp.csr_matrix(sp.hstack(parts, format="csr"))
        else:
            yield as_chunk(matrix[a : a + step])


def _stored_part(matrix: Any, start: int, stop: int) -> sp.csr_matrix:
    """Rows of a CSR matrix in a file, columns of a CSC matrix."""
    by_row = not isinstance(matrix, CSCDataset)
    if _computable_type(matrix.dtype) == matrix.dtype:
        return sp.csr_matrix(matrix[start:stop] if by_row else matrix[:, start:stop])
    # anndata reads into scipy, which refuses the type.
    indptr = np.asarray(matrix.group["indptr"][start : stop + 1], dtype=np.int64)
    values, indices = (np.asarray(matrix.group[name][indptr[0] : indptr[-1]]) for name in ("data", "indices"))
    parts = (values.astype(_computable_type(values.dtype)), indices, indptr - indptr[0])
    if by_row:
        return sp.csr_matrix(parts, shape=(stop - start, matrix.shape[1]))
    return sp.csr_matrix(sp.csc_matrix(parts, shape=(matrix.shape[0], stop - start)))


def _column_spans(indptr: NDArray[np.int64], values: int) -> Iterator[tuple[int, int]]:
    """Neighbouring columns with at most ``values`` stored values together (or one column)."""
    start, n_columns = 0, len(indptr) - 1
    while start < n_columns:
        stop = int(np.searchsorted(indptr, indptr[start] + values, side="right")) - 1
        stop = max(start + 1, stop)
        yield start, stop
        start = stop
