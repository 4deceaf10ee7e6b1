"""Is this matrix made of counts? One error that says what it is instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from midgd.counts.rows import as_chunk
from midgd.counts.scale import LOOKS, RECOVER, RowScales, Scale, row_scales, scale_of_unclear, scaled_by_gene
from midgd.counts.suspicion import WholeNumbers
from midgd.counts.waiting import WaitingRows
from midgd.settings import logger

DEFAULT_HINT = "Pass raw counts, for instance with layer='counts', or use_raw=True if adata.raw holds them"

# Rows after which the scale of the matrix is judged for the first time, whatever the size of the chunks.
_JUDGED_ROWS = 256
# Rows of small fractional values that are judged together, once there are as many.
_TOGETHER, _ENOUGH = 256, 20
# A row of whole numbers is sure to hold counts if one is at least this: log2(count + 1) of 1 and 3 are whole too.
_SURE = 4
# Of values that are no counts, one row in so many passes for counts by accident.
_ACCIDENTS = 9
# Among counts, this many normalised rows are no accident; among normalised rows, a smaller share of whole ones is.
_NORMALISED_ROWS, _WHOLE_SHARE = 3, 0.1
# No sample has as many molecules; sums and squares of anything smaller are finite in single precision.
_LARGEST = 1e15
# Negative values are called centred if they are more than this part of all that are not 0. By hand, as all below.
_CENTRED = 0.1
# Rows of fractions add up to at most 1, but for rounding.
_WHOLE = 1.001
# Rows of a common depth: at least so many, of sums that differ by at most this part of their median.
_LEAST_ROWS, _SAME_DEPTH = 3, 1e-3
# Normalised values that were rounded differ more: more rows are needed, and a depth at which that is no accident.
_ROUNDED_ROWS, _ROUNDED_DEPTH, _SAME_ROUNDED_DEPTH = 10, 1e3, 0.02
_ERRORS = tuple(scale for scale in LOOKS if scale is not Scale.NORMALISED)


@dataclass
class CountCheck:
    """Check a matrix for counts, a chunk at a time.

    Values are checked in every row: NaN, infinite and negative ones are errors, and values above 1e15. So is the
    scale, see :mod:`midgd.counts.scale`: logarithms, square roots and fractions are errors, and so
    is a matrix in which some rows hold counts and others something else. Estimated counts (RSEM, salmon), TPM, FPKM
    and corrected counts (SoupX, CellBender, decontX) of any depth pass. Warned about, once each: a common depth of
    all rows, and whole numbers that are unlikely to be counts (binarised, rounded logarithms, rounded normalised
    values), see :mod:`midgd.counts.suspicion`.

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
    override
        How to insist that the values are counts; ends the messages about the scale.
    warns
        Say what is odd but may be counts.
    """

    where: str
    row_names: Sequence[str] | None = None
    allow_fractional: bool = False
    hint: str = DEFAULT_HINT
    override: str = ""
    warns: bool = True
    _judged: bool = field(default=False, init=False, repr=False)
    _sums: list[float] = field(default_factory=list, init=False, repr=False)
    _largest: float = field(default=0.0, init=False, repr=False)
    _any_fractional: bool = field(default=False, init=False, repr=False)
    _first: dict[Scale, int] = field(default_factory=dict, init=False, repr=False)
    _n: dict[Scale, int] = field(default_factory=dict, init=False, repr=False)
    _unclear: dict[Scale, WaitingRows] = field(
        default_factory=lambda: {Scale.UNCLEAR: WaitingRows(), Scale.UNCLEAR_LARGE: WaitingRows()},
        init=False,
        repr=False,
    )
    _estimated: WaitingRows = field(default_factory=WaitingRows, init=False, repr=False)
    _whole_numbers: WholeNumbers = field(default_factory=WholeNumbers, init=False, repr=False)
    _warned: set[str] = field(default_factory=set, init=False, repr=False)

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
            If values are NaN, infinite, negative or too large, or the scale is not that of counts.
        """
        chunk = as_chunk(chunk)
        values = chunk.data if sp.issparse(chunk) else chunk
        if values.size:
            self._check_values(chunk, float(values.min()), float(values.max()), first_row)
        if self.allow_fractional or not values.size:
            return
        matrix = sp.csr_matrix(chunk)
        if not matrix.data.all():
            matrix = matrix.copy()
            matrix.eliminate_zeros()
        if not self._judged:
            filled = np.flatnonzero(np.diff(matrix.indptr))
            if len(filled) >= (missing := _JUDGED_ROWS - len(self._sums)):
                end = int(filled[missing - 1]) + 1
                self._see(matrix[:end], first_row)
                wrong = self._judge(_ENOUGH)
                matrix, first_row = matrix[end:], first_row + end
                if wrong is not None:
                    self._see(matrix, first_row)  # counts further on make it a mixture
                    self._refuse(wrong)
        self._see(matrix, first_row)

    def finish(self) -> None:
        """Judge what has not been judged yet; call it when all rows have been seen.

        Raises
        ------
        ValueError
            If the scale is not that of counts.
        """
        if not self.allow_fractional and (wrong := self._judge(1)) is not None:
            self._refuse(wrong)

    @property
    def seen(self) -> tuple[dict[Scale, int], dict[Scale, int]]:
        """First row and number of rows of each scale, for :meth:`add`."""
        return self._first, self._n

    def add(self, seen: tuple[dict[Scale, int], dict[Scale, int]]) -> None:
        """Take over what another check, of other rows of the same matrix, has seen.

        Raises
        ------
        ValueError
            If rows of both together are of several scales.
        """
        for scale, row in seen[0].items():
            self._first[scale] = min(self._first.get(scale, row), row)
        for scale, n in seen[1].items():
            self._n[scale] = self._n.get(scale, 0) + n
        self._refuse_mixture()
        self._refuse_half_normalised()

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
            scaled = (matrix.data < 0).sum() > _CENTRED * matrix.nnz
            self._fail(
                f"has negative values, first in {self._name(row)} (smallest {smallest:.3g})"
                + ("; it looks scaled (z-scores), centred, regressed or made of residuals" if scaled else ""),
            )
        if largest > _LARGEST:
            matrix = sp.csr_matrix(chunk)
            row = first_row + _first_row(matrix, matrix.data > _LARGEST)
            self._fail(f"has values too large to be counts, first in {self._name(row)} ({largest:.3g})")

    def _see(self, matrix: sp.csr_matrix, first_row: int) -> None:
        seen = row_scales(matrix)
        if not self._judged:
            self._sums.extend(seen.sums[seen.n_values > 0].tolist())
        self._largest = max(self._largest, float(seen.largest.max(initial=0)))
        self._any_fractional |= bool(seen.n_fractional.any())
        self._whole_numbers.update(seen, matrix.shape[1], first_row)
        self._count(seen, first_row)
        for scale, waiting in self._unclear.items():
            rows = np.flatnonzero(seen.scale == scale)
            waiting.put(first_row + rows, matrix[rows])
            while len(waiting) >= _TOGETHER:
                self._judge_unclear(waiting, _TOGETHER)
        if not self._judged:
            rows = np.flatnonzero(np.isin(seen.scale, (Scale.ESTIMATED, Scale.UNCLEAR, Scale.UNCLEAR_LARGE)))
            self._estimated.put(first_row + rows, matrix[rows])
        self._refuse_mixture()

    def _count(self, seen: RowScales, first_row: int) -> None:
        for scale in map(Scale, np.unique(seen.scale)):
            of_scale = seen.scale == scale
            self._n[scale] = self._n.get(scale, 0) + int(of_scale.sum())
            if scale in (Scale.COUNTS, Scale.ESTIMATED):
                of_scale &= seen.largest >= _SURE
            if of_scale.any():
                self._first.setdefault(scale, first_row + int(np.argmax(of_scale)))

    def _judge_unclear(self, waiting: WaitingRows, n: int) -> None:
        rows, matrix = waiting.take(n)
        scale = scale_of_unclear(matrix)
        # A few rows among counts are counts like these, if nothing speaks against it.
        company = sum(self._n.get(kind, 0) for kind in (Scale.COUNTS, Scale.ESTIMATED, Scale.UNCLEAR))
        kept = scale is Scale.LOGARITHMS and company > n
        if n < _ENOUGH and (kept or (scale is Scale.ESTIMATED and company <= n)):
            self._warn(
                "unclear",
                f"{self.where} has {n} row{'s' if n > 1 else ''} of small values that are not whole, first "
                f"{self._name(rows[0])}: taken for corrected counts, but so few rows cannot be told from logarithms",
            )
            return
        if scale is Scale.ESTIMATED:
            return
        self._n[scale] = self._n.get(scale, 0) + n
        self._first[scale] = min(self._first.get(scale, int(rows[0])), int(rows[0]))

    def _judge(self, enough_unclear: int) -> Scale | None:
        """All that takes more than a row, at the 256th row with counts and at the end: the scale if it is wrong."""
        for waiting in self._unclear.values():
            if len(waiting) >= enough_unclear:
                self._judge_unclear(waiting, len(waiting))
        self._refuse_mixture()
        self._refuse_half_normalised()
        sums = np.asarray(self._sums)
        if not self._judged and self._any_fractional and self._largest <= 1 and sums.max(initial=0) <= _WHOLE:
            self._first[Scale.FRACTIONS] = 0
        if wrong := [scale for scale in _ERRORS if scale in self._first]:
            return min(wrong, key=self._first.__getitem__)
        if not self._judged:
            self._judged = True
            self._warn_of_common_depth(sums)
            if len(self._estimated) and scaled_by_gene(self._estimated.take(len(self._estimated))[1]):
                self._warn(
                    "scaled",
                    f"the values of {self.where} look divided by a number of each gene's own (scaled to unit variance, "
                    "or by the length): the answer is worse. Raw counts are better where you have them",
                )
        for kind, message in self._whole_numbers.findings(self.where, self._name):
            self._warn(kind, message)
        return None

    def _warn_of_common_depth(self, sums: NDArray[np.float64]) -> None:
        n = len(sums)
        whole = float(np.median(sums)) if n else 0.0
        spread = float(np.ptp(sums)) if n else 0.0
        lost = "the depth of each cell is lost. Raw counts are better where you have them"
        if self._any_fractional and n >= _LEAST_ROWS and spread <= _SAME_DEPTH * whole:
            self._warn(
                "depth", f"every row of {self.where} sums to about {whole:.6g}: the values are normalised and {lost}"
            )
        elif (
            not self._any_fractional
            and n >= _ROUNDED_ROWS
            and whole >= _ROUNDED_DEPTH
            and 0 < spread <= _SAME_ROUNDED_DEPTH * whole
        ):
            self._warn(
                "depth",
                f"every row of {self.where} sums to nearly the same, about {whole:.6g}: the values look normalised and "
                f"rounded, and {lost}",
            )
        elif 2 * self._n.get(Scale.NORMALISED, 0) > n:
            first = self._name(self._first[Scale.NORMALISED])
            self._warn("depth", f"rows of {self.where} look normalised to a common depth, first {first}: {lost}")

    def _refuse_mixture(self) -> None:
        sure = [self._first[scale] for scale in (Scale.COUNTS, Scale.ESTIMATED) if scale in self._first]
        if sure and (wrong := [scale for scale in _ERRORS if scale in self._first]):
            other = min(wrong, key=self._first.__getitem__)
            n_sure = self._n.get(Scale.COUNTS, 0) + self._n.get(Scale.ESTIMATED, 0)
            if self._n[other] > _ACCIDENTS * n_sure:
                self._refuse(other)
            self._mixture(min(sure), other)

    def _refuse_half_normalised(self) -> None:
        # A normalised row can be whole by accident.
        whole, normalised = self._n.get(Scale.COUNTS, 0), self._n.get(Scale.NORMALISED, 0)
        if normalised >= _NORMALISED_ROWS and whole >= _WHOLE_SHARE * normalised and Scale.COUNTS in self._first:
            self._mixture(self._first[Scale.COUNTS], Scale.NORMALISED)
        if 0 < normalised < min(_NORMALISED_ROWS, whole):
            first = self._name(self._first[Scale.NORMALISED])
            self._warn(
                "few normalised",
                f"{self.where}: most rows hold counts, but {normalised} look normalised to a common depth, first "
                f"{first}",
            )

    def _mixture(self, sure: int, other: Scale) -> NoReturn:
        self._fail(
            f"mixes scales: {self._name(sure)} is the first with counts, {self._name(self._first[other])} the first "
            f"with values that look {LOOKS[other]}",
            "Bring all rows back to counts. ",
            self._insist(),
        )

    def _refuse(self, scale: Scale) -> NoReturn:
        first = self._name(self._first[scale])
        looks = f"looks {LOOKS[scale]}, first in {first}"
        if scale is Scale.FRACTIONS:
            self._fail(f"{looks}: no row sums to more than {max(self._sums, default=0):.3g}", end=self._insist())
        recover = f"; if nothing else is left, {RECOVER[scale]} gives values in proportion to counts"
        self._fail(looks, end=recover + self._insist())

    def _insist(self) -> str:
        return f". {self.override}" if self.override else ""

    def _warn(self, kind: str, message: str) -> None:
        if self.warns and kind not in self._warned:
            self._warned.add(kind)
            logger.warning("%s", message)

    def _name(self, row: int | np.integer) -> str:
        return f"row {row}" if self.row_names is None else f"row {row} ({str(self.row_names[int(row)])!r})"

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
    """Check a whole matrix for counts; see :class:`CountCheck` for what is refused.

    Raises
    ------
    ValueError
        If ``chunk`` does not hold counts.
    """
    check = CountCheck(where, row_names, allow_fractional, hint)
    check.update(chunk, first_row)
    check.finish()


def _row_index(matrix: sp.csr_matrix) -> NDArray[np.int64]:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _first_row(matrix: sp.csr_matrix, wrong: NDArray[np.bool_]) -> int:
    return int(_row_index(matrix)[np.flatnonzero(wrong)[0]])
