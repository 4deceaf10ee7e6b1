"""Is this matrix made of counts? One error that says what it is instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from midgd.settings import logger

DEFAULT_HINT = "Pass raw counts, for instance with layer='counts', or use_raw=True if adata.raw holds them"
_RECOVER = "; if only the logarithms are left, np.expm1 (or 2**x - 1) gives values in proportion to counts"

# Rows judged for the scale of the matrix: enough to be sure, and the same rows whatever the size of the chunks.
_JUDGED_ROWS = 256
# No logarithm of a count, TPM or RSEM value is larger: 2**25 is 34 million.
_LARGEST_LOG = 25.0
# log2(count + 1) is whole for counts of 1, 3, 7, so that a logarithm may have as few fractional values as this.
_FRACTIONAL = 0.05


@dataclass
class CountCheck:
    """Check a matrix for counts, a chunk at a time.

    Values are checked in every chunk: NaN, infinite and negative ones are errors. The scale is judged once, on the
    first 256 rows with any counts: logarithms, fractions and z-scores are errors, a constant depth is a warning.
    Estimated counts (RSEM, salmon), TPM, FPKM and corrected UMIs pass although they are not whole.

    How the scale is judged. Whole numbers are counts. Otherwise:

    1. All rows have the same sum: the matrix was normalised. A sum of 1 means fractions (error); with any other
       sum the values are in proportion to counts, but the depth of each cell is lost (warning).
    2. No value exceeds 1 and no row sums to more than 1: fractions of a part of the genes (error).
    3. No value of any row exceeds 25 and more than 5 % are fractional: logarithms, or values scaled without centring
       (error). Logarithms are never larger, and among 256 rows of real counts some gene always is.

    Parameters
    ----------
    where
        What is checked, for the messages: ``"adata.X"``.
    row_names
        Names of all rows of the matrix, for the messages.
    allow_fractional
        Do not judge the scale; only values are checked.
    hint
        What the messages advise.
    """

    where: str
    row_names: Sequence[str] | None = None
    allow_fractional: bool = False
    hint: str = DEFAULT_HINT
    _judged: bool = field(default=False, init=False, repr=False)
    _sums: list[float] = field(default_factory=list, init=False, repr=False)
    _largest: float = field(default=0.0, init=False, repr=False)
    _n_values: int = field(default=0, init=False, repr=False)
    _n_fractional: int = field(default=0, init=False, repr=False)

    def update(self, chunk: Any, first_row: int = 0) -> None:
        """Check the next rows.

        Parameters
        ----------
        chunk
            Rows x genes, ndarray or scipy sparse.
        first_row
            Index of its first row in the whole matrix.

        Raises
        ------
        ValueError
            If values are NaN, infinite or negative, or the scale is not that of counts.
        """
        values = chunk.data if sp.issparse(chunk) else np.asarray(chunk)
        if values.size:
            self._check_values(chunk, float(values.min()), float(values.max()), first_row)
        if not self._judged and not self.allow_fractional:
            self._collect(chunk)
            if len(self._sums) == _JUDGED_ROWS:
                self.finish()

    def finish(self) -> None:
        """Judge the scale of a matrix with fewer rows; does nothing if it has been judged.

        Raises
        ------
        ValueError
            If the scale is not that of counts.
        """
        if not self._judged and not self.allow_fractional:
            self._judged = True
            self._judge()

    def _check_values(self, chunk: Any, smallest: float, largest: float, first_row: int) -> None:
        # NaN and infinity show in the extremes: good chunks cost two reductions and no copy.
        if not np.isfinite(smallest + largest):
            matrix = sp.csr_matrix(chunk)
            row = first_row + _first_row(matrix, ~np.isfinite(matrix.data))
            self._fail(f"has NaN or infinite values, first in {self._name(row)}", "Fill or drop them. ")
        if smallest < 0:
            matrix = sp.csr_matrix(chunk)
            row = first_row + _first_row(matrix, matrix.data < 0)
            # Centred values: negative ones are many, not an odd one out.
            scaled = (matrix.data < 0).sum() > 0.1 * matrix.nnz
            self._fail(
                f"has negative values, first in {self._name(row)} (smallest {smallest:.3g})"
                + ("; it looks scaled (z-scores) or centred" if scaled else ""),
            )

    def _collect(self, chunk: Any) -> None:
        matrix = sp.csr_matrix(chunk)
        matrix = matrix[np.flatnonzero(~empty_rows(matrix))[: _JUDGED_ROWS - len(self._sums)]]
        if matrix.shape[0]:
            values = matrix.data[matrix.data != 0]
            self._sums.extend(np.asarray(matrix.sum(axis=1, dtype=np.float64)).ravel().tolist())
            self._largest = max(self._largest, float(values.max()))
            self._n_values += values.size
            self._n_fractional += int((values != np.rint(values)).sum())

    def _judge(self) -> None:
        if self._n_fractional == 0:
            return
        sums = np.asarray(self._sums)
        whole = float(np.median(sums))
        constant = len(sums) > 2 and np.ptp(sums) <= 1e-3 * whole
        if self._largest <= 1 and sums.max() <= 1.001:
            self._fail(f"looks like fractions of a total: no row sums to more than {sums.max():.3g}")
        if constant:
            logger.warning(
                "every row of %s sums to about %.6g: the values are normalised and the depth of each cell is lost. "
                "Raw counts are better where you have them",
                self.where,
                whole,
            )
        elif self._largest < _LARGEST_LOG and self._n_fractional > _FRACTIONAL * self._n_values:
            self._fail(
                f"looks log-normalised or scaled: {self._n_fractional / self._n_values:.0%} of the values are not "
                f"whole and none of the first {len(sums):,} rows with counts has a value above {self._largest:.3g}",
                end=_RECOVER,
            )

    def _name(self, row: int) -> str:
        return f"row {row}" if self.row_names is None else f"row {row} ({str(self.row_names[row])!r})"

    def _fail(self, what: str, advice: str = "", end: str = "") -> NoReturn:
        raise ValueError(f"{self.where} {what}, but midgd needs raw counts. {advice}{self.hint}{end}.")


def check_counts(
    chunk: Any,
    *,
    where: str,
    row_names: Sequence[str] | None = None,
    first_row: int = 0,
    allow_fractional: bool = False,
    hint: str = DEFAULT_HINT,
) -> None:
    """Check one chunk, or a whole matrix, for counts; see :class:`CountCheck` for what is refused.

    Over several chunks use :class:`CountCheck`: a single shallow cell with corrected counts has small fractional
    values too, and only the whole matrix tells it from logarithms.

    Raises
    ------
    ValueError
        If ``chunk`` does not hold counts.
    """
    check = CountCheck(where, row_names, allow_fractional, hint)
    check.update(chunk, first_row)
    check.finish()


def empty_rows(chunk: Any) -> NDArray[np.bool_]:
    """Which rows of an ndarray or scipy sparse chunk are all zero."""
    if not sp.issparse(chunk):
        return np.asarray(~np.asarray(chunk).any(axis=1), dtype=bool)
    matrix = sp.csr_matrix(chunk)
    filled = np.zeros(matrix.shape[0], dtype=bool)
    filled[_row_index(matrix)[matrix.data != 0]] = True
    return ~filled


def _row_index(matrix: sp.csr_matrix) -> NDArray[np.int64]:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _first_row(matrix: sp.csr_matrix, wrong: NDArray[np.bool_]) -> int:
    return int(_row_index(matrix)[np.flatnonzero(wrong)[0]])
