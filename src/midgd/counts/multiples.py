"""Are the values of a row whole multiples of one step, as they are or after undoing a function?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

# Share of the values of a row that must be whole.
WHOLE = 0.95
# Largest multiple of the smallest value that single precision still shows to be whole, and how whole it must be; the
# same for values in half precision or rounded to three digits.
FINE, COARSE = (2_000.0, 0.02), (8.0, 0.1)


def precision_of(values: NDArray[np.float64]) -> tuple[float, float]:
    """Largest multiple that these values can show to be whole, and how whole: ``FINE`` or ``COARSE``."""
    with np.errstate(over="ignore"):
        half = np.array_equal(values.astype(np.float16).astype(np.float64), values)
    return COARSE if half or np.allclose(values * 1e3, np.rint(values * 1e3), rtol=0, atol=1e-3) else FINE


def multiples(
    values: NDArray[np.float64],
    row: NDArray[np.int64],
    begin: NDArray[np.int64],
    precision: tuple[float, float],
    most: int = 1,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Values of each row that can be tested for being whole multiples, those that are, and of which step.

    The step is the smallest value of the row, or a half or a third of it with ``most=3``.
    """
    largest_multiple, tolerance = precision
    smallest = np.minimum.reduceat(values, begin)
    multiple = values / smallest[row]
    testable = (multiple < largest_multiple) & (multiple > 1 + tolerance)
    tested = np.bincount(row[testable], minlength=len(begin))
    best, step = np.zeros_like(tested), smallest.copy()
    for divisor in range(1, most + 1):
        some = multiple[testable] * divisor
        whole = np.bincount(row[testable][np.abs(some - np.rint(some)) < tolerance], minlength=len(begin))
        better = whole > np.maximum(best, WHOLE * tested) if divisor > 1 else np.ones(len(begin), bool)
        better &= ~((divisor > 1) & (best >= WHOLE * tested))
        best[better], step[better] = whole[better], smallest[better] / divisor
    return tested, best, step


def multiples_undone(
    undo: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    values: NDArray[np.float64],
    row: NDArray[np.int64],
    begin: NDArray[np.int64],
    precision: tuple[float, float],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int]:
    """Values of each row that can be tested after undoing a function, those that are whole, different ones of these.

    Whole are multiples of the smallest value, or the values themselves: counts that were not normalised need not have a
    one among them; values that were whole before say nothing then. Of different ones only those that were fractional
    count, for each row and, last, for all rows together.
    """
    largest_multiple, tolerance = precision
    fractional = values != np.rint(values)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        undone = undo(values)
        undone = np.where(undone < 1e-3, 0, undone)
        smallest = np.minimum.reduceat(np.where(undone == 0, np.inf, undone), begin)
        # Squares of multiples are multiples: where the values as they are have a common step, nothing was undone.
        steps = values / np.minimum.reduceat(np.where(undone == 0, np.inf, values), begin)[row]
        plain = np.abs(steps - np.rint(steps)) < tolerance
        best: tuple[NDArray[np.int64], ...] = tuple(np.zeros(len(begin), np.int64) for _ in range(3))
        in_all = 0
        for multiple in (undone / smallest[row], np.where(fractional, undone, np.inf)):
            testable = np.isfinite(multiple) & (multiple < largest_multiple) & (multiple > 1 + tolerance)
            nearest = np.rint(multiple[testable])
            whole = np.abs(multiple[testable] - nearest) < tolerance
            at = row[testable]
            tested = np.bincount(at, minlength=len(begin))
            counts_already = np.bincount(at[plain[testable]], minlength=len(begin)) >= WHOLE * tested
            whole &= ~counts_already[at]
            told = whole & fractional[testable]
            different = np.unique(at[told] * int(largest_multiple + 1) + nearest[told].astype(np.int64))
            in_all = max(in_all, len(np.unique(nearest[told])))
            counts = (
                tested,
                np.bincount(at[whole], minlength=len(begin)),
                np.bincount(different // int(largest_multiple + 1), minlength=len(begin)),
            )
            better = counts[1] > best[1]
            best = tuple(np.where(better, new, old) for new, old in zip(counts, best, strict=True))
    return best[0], best[1], best[2], in_all
