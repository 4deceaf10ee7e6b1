"""On which scale is a row of values: counts, logarithms of them, square roots, a common depth?

Counts are whole. A function of counts that was applied to all values of a row leaves a trace: undo it, divide by the
smallest value, and the results are whole again. This tells logarithms of counts from corrected counts, row by row,
however shallow the row is. Values that were never whole (logarithms of TPM, counts corrected gene by gene) leave no
such trace; many rows together are then told apart by their noise, see :func:`variance_over_mean`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from midgd._csr import row_spans
from midgd.counts.multiples import FINE, WHOLE, multiples, multiples_undone, precision_of

# No logarithm of a count, TPM or RSEM value is larger: 2**25 is 34 million.
LARGEST_LOG = 25.0
# log2(count + 1) is whole for counts of 1, 3, 7: of logarithms as few values as this may be fractional.
FRACTIONAL = 0.05
# Values beside the smallest one that a trace is read from.
_ENOUGH = 8
# Different multiples that must be among them, when a function was undone: two are whole by accident now and then.
_DISTINCT, _DISTINCT_COARSE = 3, 5
# Rows that are judged by their noise, the least there is in counts, and genes of a cell without a value above 25.
_ENOUGH_ROWS, _LEAST_NOISE, _MOST_GENES = 20, 0.5, 1_500
_TOP_GENES = 20  # the most abundant genes, by which the noise is judged
# The largest value of a shallow cell over its median, logarithms are closer together; of fewer values than these the
# median says little.
_SKEW, _FEW_VALUES, _FEW_MEDIAN = 5.0, 30, 3.0
# How far the steps of genes are from their median where each gene was divided by a number of its own.
_OWN_STEP = 0.2
# Counts that a pipeline corrected are less than before; rows of larger steps were scaled up.
_LARGEST_STEP = 1.05
# Rows of fractional values that sum to one of these were normalised to it.
_COMMON_DEPTHS = np.array([1e4, 1e5, 1e6])


class Scale(IntEnum):
    """The scale of a row."""

    EMPTY = 0
    COUNTS = 1
    """Whole numbers."""
    ESTIMATED = 2
    """Corrected or estimated counts, TPM of genes of several lengths."""
    UNCLEAR = 3
    """Small values without a trace, of which few are above one: only many such rows together can be judged."""
    UNCLEAR_LARGE = 13
    """The same, but most values are above one, or there are more genes than a shallow cell has."""
    NORMALISED = 4
    """Scaled to a common depth."""
    FRACTIONS = 5
    LOG_E = 6
    LOG_2 = 7
    LOG_10 = 8
    SQUARE_ROOT = 9
    FREEMAN_TUKEY = 10
    ANSCOMBE = 11
    LOGARITHMS = 12
    """Logarithms of values that were no counts."""


#: How values of a scale look, for messages.
LOOKS = {
    Scale.NORMALISED: "normalised to a common depth",
    Scale.FRACTIONS: "like fractions of a total",
    Scale.LOG_E: "log-normalised (natural logarithm)",
    Scale.LOG_2: "log-normalised (logarithm to base 2)",
    Scale.LOG_10: "log-normalised (logarithm to base 10)",
    Scale.SQUARE_ROOT: "like square roots",
    Scale.FREEMAN_TUKEY: "like the result of the Freeman-Tukey transform",
    Scale.ANSCOMBE: "like the result of the Anscombe transform",
    Scale.LOGARITHMS: "log-normalised or scaled",
}
#: What gives values in proportion to counts again.
RECOVER = {
    Scale.LOG_E: "np.expm1(x)",
    Scale.LOG_2: "2**x - 1",
    Scale.LOG_10: "10**x - 1",
    Scale.SQUARE_ROOT: "x**2",
    Scale.FREEMAN_TUKEY: "((x**2 - 1) / (2 * x))**2",
    Scale.ANSCOMBE: "(x / 2)**2 - 3 / 8",
    Scale.LOGARITHMS: "np.expm1(x) or 2**x - 1",
}
_UNDO: dict[Scale, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    Scale.LOG_E: np.expm1,
    Scale.LOG_2: lambda x: np.exp2(x) - 1,
    Scale.LOG_10: lambda x: 10**x - 1,
    Scale.SQUARE_ROOT: np.square,
    Scale.FREEMAN_TUKEY: lambda x: np.square((x * x - 1) / (2 * x)),
    Scale.ANSCOMBE: lambda x: np.square(x / 2) - 3 / 8,
}
_LOGS = (Scale.LOG_E, Scale.LOG_2, Scale.LOG_10)
_WITHOUT_ZEROS = (Scale.FREEMAN_TUKEY, Scale.ANSCOMBE)
_NORMALISED_FIRST = (*_LOGS, Scale.SQUARE_ROOT)


class RowScales(NamedTuple):
    """What is seen in the rows of a chunk.

    Parameters
    ----------
    scale
        (n,) the :class:`Scale` of each row.
    sums, largest, smallest
        (n,) sum, largest and smallest value that is not zero.
    n_values, n_ones, n_fractional
        (n,) how many values are not zero, are one, are not whole.
    """

    scale: NDArray[np.int64]
    sums: NDArray[np.float64]
    largest: NDArray[np.float64]
    smallest: NDArray[np.float64]
    n_values: NDArray[np.int64]
    n_ones: NDArray[np.int64]
    n_fractional: NDArray[np.int64]


def row_scales(matrix: sp.csr_matrix) -> RowScales:
    """Judge each row of a chunk without stored zeros, finite and not negative."""
    parts = [_row_scales(matrix, *span) for span in row_spans(matrix)]
    return RowScales(*(np.concatenate([getattr(part, name) for part in parts]) for name in RowScales._fields))


def _row_scales(matrix: sp.csr_matrix, rows: slice, values: slice) -> RowScales:
    n_values = np.diff(matrix.indptr[rows.start : rows.stop + 1]).astype(np.int64)
    filled = np.flatnonzero(n_values)
    begin = matrix.indptr[rows][filled] - values.start
    data = matrix.data[values]

    def per_row(reduce: np.ufunc, values: NDArray[Any], dtype: type) -> NDArray[Any]:
        result: NDArray[Any] = np.zeros(len(n_values), dtype)
        if len(filled):
            result[filled] = reduce.reduceat(values, begin, dtype=dtype if reduce is np.add else None)
        return result

    largest, smallest = per_row(np.maximum, data, np.float64), per_row(np.minimum, data, np.float64)
    sums = per_row(np.add, data, np.float64)
    n_ones = per_row(np.add, data == 1, np.int64)
    whole = data.dtype.kind in "biu"
    n_fractional = np.zeros_like(n_values) if whole else per_row(np.add, data != np.rint(data), np.int64)
    scale = np.where(n_values == 0, Scale.EMPTY, Scale.COUNTS).astype(np.int64)
    doubtful = np.flatnonzero(n_fractional > FRACTIONAL * n_values)
    if len(doubtful):
        scale[doubtful] = _scale_of_fractional(matrix[rows][doubtful], largest[doubtful], sums[doubtful])
    scale[(scale == Scale.COUNTS) & (n_fractional > 0)] = Scale.ESTIMATED
    return RowScales(scale, sums, largest, smallest, n_values, n_ones, n_fractional)


def _scale_of_fractional(
    matrix: sp.csr_matrix, largest: NDArray[np.float64], sums: NDArray[np.float64]
) -> NDArray[np.int64]:
    scale = np.where(largest > LARGEST_LOG, Scale.ESTIMATED, Scale.UNCLEAR).astype(np.int64)
    scale[(largest <= 1) & (sums <= 1.001) & (np.diff(matrix.indptr) >= _ENOUGH)] = Scale.FRACTIONS
    common = (np.abs(sums[:, None] / _COMMON_DEPTHS - 1) < 1e-4).any(axis=1)
    scale[common & (largest > LARGEST_LOG)] = Scale.NORMALISED
    values, row, begin, precision = _parts(matrix)
    open_rows = (scale == Scale.UNCLEAR) | (scale == Scale.ESTIMATED)
    tested, whole, step = multiples(values, row, begin, precision, most=3)
    steps = open_rows & (tested >= _ENOUGH) & (whole >= WHOLE * tested)
    scale[steps] = np.where(step[steps] > _LARGEST_STEP, Scale.NORMALISED, Scale.ESTIMATED)
    open_rows &= ~steps
    for candidate, undo in _UNDO.items():
        rows = open_rows & _possible(candidate, matrix, largest)
        # In coarse values a row shows multiples by accident now and then: only many rows tell.
        if rows.any() and precision is FINE:
            tested, whole, distinct, _ = multiples_undone(undo, values, row, begin, precision)
            found = rows & (tested >= _ENOUGH) & (whole >= WHOLE * tested) & (distinct >= _DISTINCT)
            scale[found] = candidate
            open_rows &= ~found
    unclear = np.flatnonzero(open_rows & (scale == Scale.UNCLEAR))
    scale[unclear[~_like_shallow(matrix[unclear])]] = Scale.UNCLEAR_LARGE
    return scale


def _possible(candidate: Scale, matrix: sp.csr_matrix, largest: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Logarithms are never large; of some functions no value is zero."""
    if candidate in _LOGS:
        return largest <= LARGEST_LOG
    if candidate in _WITHOUT_ZEROS:
        return np.diff(matrix.indptr) == matrix.shape[1]
    return np.ones(matrix.shape[0], dtype=bool)


def _like_shallow(matrix: sp.csr_matrix) -> NDArray[np.bool_]:
    """Whether a row has the shape of a shallow cell: most values are one count, or some are many times the others."""
    n = np.diff(matrix.indptr)
    if not matrix.nnz:
        return np.ones(len(n), dtype=bool)
    row = np.repeat(np.arange(len(n)), n)
    ordered = matrix.data[np.lexsort((matrix.data, row))]
    median, largest = ordered[matrix.indptr[:-1] + n // 2], ordered[matrix.indptr[1:] - 1]
    whole = np.bincount(row[matrix.data == np.rint(matrix.data)], minlength=len(n))
    few = (n < _FEW_VALUES) & (median <= _FEW_MEDIAN)
    return (2 * whole > n) | few | ((n <= _MOST_GENES) & ((median <= _LARGEST_STEP) | (largest >= _SKEW * median)))


def scale_of_unclear(matrix: sp.csr_matrix) -> Scale:
    """Judge rows of small fractional values together: counts after a correction, or a function of counts?

    The traces of all rows are read together, and whether a function undone gives rows of a common depth. Without
    either, the smallest value of a cell tells: it is one count or what a
    correction left of it. If that is so, 20 rows and more are judged by their noise, fewer by their shape: in a shallow
    cell most values are one count.
    """
    values, row, begin, precision = _parts(matrix)
    tested, whole, _ = multiples(values, row, begin, precision)
    if tested.sum() >= _ENOUGH and whole.sum() >= WHOLE * tested.sum():
        return Scale.ESTIMATED
    largest = np.maximum.reduceat(values, begin)
    for candidate, undo in _UNDO.items():
        if not _possible(candidate, matrix, largest).all():
            continue
        tested, whole, _, distinct = multiples_undone(undo, values, row, begin, precision)
        least = _DISTINCT if precision is FINE else _DISTINCT_COARSE
        if tested.sum() >= _ENOUGH and whole.sum() >= WHOLE * tested.sum() and distinct >= least:
            return candidate
        if candidate in _NORMALISED_FIRST and _of_common_depth(np.add.reduceat(undo(values), begin)):
            return candidate
    smallest = np.minimum.reduceat(values, begin)[np.diff(matrix.indptr) >= _ENOUGH]
    if len(smallest) and np.median(smallest) > _LARGEST_STEP:
        return Scale.LOGARITHMS
    if matrix.shape[0] >= _ENOUGH_ROWS:
        return Scale.LOGARITHMS if variance_over_mean(matrix) < _LEAST_NOISE else Scale.ESTIMATED
    return Scale.ESTIMATED if _like_shallow(matrix).mean() > 0.5 else Scale.LOGARITHMS


def _of_common_depth(sums: NDArray[np.float64]) -> bool:
    """Whether rows sum to the same, a few rows to one of the depths that are in use."""
    depth = float(np.median(sums))
    alike = float(np.ptp(sums)) <= 1e-3 * depth
    return alike and (len(sums) >= _DISTINCT or bool((np.abs(depth / _COMMON_DEPTHS - 1) < 1e-4).any()))


def scaled_by_gene(matrix: sp.csr_matrix) -> bool:
    """Whether the values of each gene are whole multiples of a step of its own: counts divided by a deviation."""
    columns = sp.csr_matrix(matrix.T)
    n_values = np.diff(columns.indptr)
    # Of genes that many cells lack, the smallest value of the others is one count.
    columns = columns[(n_values > 2) & (n_values < 0.6 * matrix.shape[0])]
    if not columns.nnz:
        return False
    tested, whole, step = multiples(*_parts(columns))
    sure = tested > 0
    if tested.sum() < 10 * _ENOUGH or whole.sum() < WHOLE * tested.sum():
        return False
    middle = np.median(step[sure])
    return bool(np.median(np.abs(step[sure] / middle - 1)) > _OWN_STEP)


def _parts(
    matrix: sp.csr_matrix,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], tuple[float, float]]:
    """Values, the row of each, where the rows begin, and how finely the values are written."""
    values = matrix.data.astype(np.float64)
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return values, row, matrix.indptr[:-1].astype(np.int64), precision_of(values)


def variance_over_mean(matrix: sp.csr_matrix) -> float:
    """Variance over mean of the most abundant genes, its first quartile.

    The noise of counts is at least Poisson's, so that the variance is the mean or more, a little less after a
    correction. Logarithms of abundant genes vary by much less than their mean.
    """
    mean = np.asarray(matrix.mean(axis=0)).ravel()
    top = np.argsort(-mean, kind="stable")[:_TOP_GENES]
    top = top[mean[top] > 0]
    dense = matrix[:, top].toarray().astype(np.float64)
    return float(np.quantile(dense.var(axis=0, ddof=1) / mean[top], 0.25))
