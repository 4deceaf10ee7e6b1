"""Do intervals hold what they promise?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from midgd.metrics._check import as_pair


def interval_coverage(truth: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> float:
    """Share of true values inside their interval, ends included.

    Parameters
    ----------
    truth, lower, upper
        ``(n_samples, n_features)`` on one scale, ``lower <= upper``.

    Returns
    -------
    Between 0 and 1; NaN without values.

    Examples
    --------
    >>> interval_coverage([[1.0, 2.0]], lower=[[0.0, 3.0]], upper=[[1.5, 4.0]])
    0.5
    """
    a, low = as_pair(truth, lower, "interval_coverage")
    _, high = as_pair(truth, upper, "interval_coverage")
    if (low > high).any():
        raise ValueError(f"interval_coverage: {int((low > high).sum())} intervals have lower > upper.")
    return float(np.mean((a >= low) & (a <= high))) if a.size else float("nan")


def calibration_table(truth: ArrayLike, intervals: Mapping[float, tuple[ArrayLike, ArrayLike]]) -> pd.DataFrame:
    """Promised against measured coverage, one row per level.

    Parameters
    ----------
    truth
        ``(n_samples, n_features)``.
    intervals
        Level (0.9, say) to ``(lower, upper)``.

    Returns
    -------
    Columns ``level``, ``coverage``, ``width`` (mean), sorted by level.

    Examples
    --------
    >>> table = calibration_table([[1.0, 2.0]], {0.9: ([[0.0, 3.0]], [[1.5, 4.0]])})
    >>> table["coverage"].to_list(), table["width"].to_list()
    ([0.5], [1.25])
    """
    rows = [
        {
            "level": level,
            "coverage": interval_coverage(truth, lower, upper),
            "width": float(np.mean(np.asarray(upper, dtype=np.float64) - np.asarray(lower, dtype=np.float64))),
        }
        for level, (lower, upper) in sorted(intervals.items())
    ]
    return pd.DataFrame(rows, columns=["level", "coverage", "width"])
