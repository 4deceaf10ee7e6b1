"""Uncertainty of a score by drawing whole patients with replacement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Statistic = Callable[[NDArray[np.int64]], ArrayLike]


def bootstrap_values(statistic: Statistic, units: ArrayLike, n_boot: int = 200, seed: int = 0) -> NDArray[np.float64]:
    """The statistic on ``n_boot`` resamples of units (cluster bootstrap).

    Parameters
    ----------
    statistic
        Takes row numbers (with repeats) and returns a number or a vector of ``k`` numbers.
    units
        One label per row, the patient say; all rows of a drawn unit enter together, because samples
        of one patient are no independent evidence.
    n_boot, seed
        The same units, ``n_boot`` and ``seed`` give the same draws, so that two methods can be compared in pairs.

    Returns
    -------
    ``(n_boot, k)``.

    Examples
    --------
    >>> value = np.array([1.0, 2.0, 6.0])
    >>> bootstrap_values(lambda rows: value[rows].mean(), ["a", "a", "b"], n_boot=50).shape
    (50, 1)
    """
    labels = np.asarray(units).astype(str)
    if labels.ndim != 1 or not len(labels):
        raise ValueError(f"bootstrap: units has shape {labels.shape}, expected one label per row and at least one row.")
    if n_boot < 1:
        raise ValueError(f"bootstrap: n_boot is {n_boot}, expected at least 1.")
    codes = np.unique(labels, return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    rows_of = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    rng = np.random.default_rng(seed)
    draws = (rng.integers(len(rows_of), size=len(rows_of)) for _ in range(n_boot))
    return np.stack([np.atleast_1d(statistic(np.concatenate([rows_of[u] for u in draw]))) for draw in draws])


def bootstrap_interval(
    statistic: Statistic, units: ArrayLike, n_boot: int = 200, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of a scalar statistic over resampled units; see :func:`bootstrap_values`.

    Parameters
    ----------
    statistic
        Takes row numbers (with repeats) and returns one number.
    units, n_boot, seed
        As for :func:`bootstrap_values`.
    level
        Share of the resamples inside the interval.

    Returns
    -------
    ``(low, high)`` at ``level``; NaN when the statistic was NaN in every resample.

    Examples
    --------
    >>> value = np.array([1.0, 2.0, 6.0])
    >>> low, high = bootstrap_interval(lambda rows: value[rows].mean(), ["a", "a", "b"])
    >>> low, high  # twice patient a, twice patient b
    (1.5, 6.0)
    """
    values = bootstrap_values(statistic, units, n_boot, seed)
    if values.shape[1] != 1:
        raise ValueError(f"bootstrap_interval: the statistic returned {values.shape[1]} numbers, expected one.")
    low, high = percentile_interval(values, level)
    return float(low[0]), float(high[0])


def percentile_interval(
    values: NDArray[np.float64], level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the central interval of each column; values that are NaN are left out.

    Parameters
    ----------
    values
        ``(n_boot, k)``, see :func:`bootstrap_values`.
    level
        Share of the values inside, 0.95 for the percentiles 2.5 and 97.5.

    Returns
    -------
    Lower and upper ends, two arrays ``(k,)``; NaN for a column without values.

    Examples
    --------
    >>> low, high = percentile_interval(np.arange(101.0)[:, None], level=0.9)
    >>> round(float(low[0]), 6), round(float(high[0]), 6)
    (5.0, 95.0)
    """
    tail = 50 * (1 - level)
    ends = np.full((2, values.shape[1]), np.nan)
    known = ~np.isnan(values).all(axis=0)
    if known.any():
        ends[:, known] = np.nanpercentile(values[:, known], [tail, 100 - tail], axis=0)
    return ends[0], ends[1]
