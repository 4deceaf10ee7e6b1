"""Correlations per feature, per sample and within groups, for whole tables at once."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from midgd.metrics._check import as_groups, as_pair

Method = Literal["spearman", "pearson"]


def per_feature_correlation(truth: ArrayLike, predicted: ArrayLike, method: Method = "spearman") -> NDArray[np.float64]:
    """Correlation of each feature over samples.

    Parameters
    ----------
    truth, predicted
        ``(n_samples, n_features)`` on one scale (log1p CPM in the benchmark).
    method
        ``"spearman"`` (ties get their average rank) or ``"pearson"``.

    Returns
    -------
    ``(n_features,)``. NaN where the truth is constant: nothing could be ranked. A prediction that is
    constant although the truth varies counts as 0, not as NaN: a method that cannot rank must not be excused.

    Examples
    --------
    >>> per_feature_correlation([[1, 5], [2, 3], [4, 1]], [[1, 1], [3, 2], [9, 3]]).round(3).tolist()
    [1.0, -1.0]
    """
    a, b = as_pair(truth, predicted, "per_feature_correlation")
    return _columns(a, b, method)


def per_sample_correlation(truth: ArrayLike, predicted: ArrayLike, method: Method = "spearman") -> NDArray[np.float64]:
    """Correlation of each sample's profile over features.

    Parameters
    ----------
    truth, predicted
        ``(n_samples, n_features)`` on one scale.
    method
        ``"spearman"`` or ``"pearson"``.

    Returns
    -------
    ``(n_samples,)``; NaN and 0 by the rules of :func:`per_feature_correlation`.

    Examples
    --------
    >>> per_sample_correlation([[1, 2, 4]], [[1, 3, 9]]).round(3).tolist()
    [1.0]
    """
    a, b = as_pair(truth, predicted, "per_sample_correlation")
    return _columns(a.T, b.T, method)


def within_group_correlation(
    truth: ArrayLike,
    predicted: ArrayLike,
    groups: ArrayLike,
    method: Method = "spearman",
    min_size: int = 8,
) -> NDArray[np.float64]:
    """Correlation of each feature within each group, averaged over groups with weights n.

    What is left when differences between groups (tissues, say) can no longer help.

    Parameters
    ----------
    truth, predicted
        ``(n_samples, n_features)`` on one scale.
    groups
        One label per sample.
    method
        ``"spearman"`` or ``"pearson"``.
    min_size
        Smaller groups are left out.

    Returns
    -------
    ``(n_features,)``; a group in which the truth of a feature is constant does not count for that
    feature, and NaN means that no group counted.

    Examples
    --------
    >>> truth = [[1.0], [2.0], [11.0], [12.0]]
    >>> predicted = [[2.0], [1.0], [12.0], [11.0]]  # knows the groups, but not the order within them
    >>> within_group_correlation(truth, predicted, ["a", "a", "b", "b"], min_size=2).round(3).tolist()
    [-1.0]
    """
    a, b = as_pair(truth, predicted, "within_group_correlation")
    codes = as_groups(groups, len(a), "within_group_correlation")
    total, weight = np.zeros(a.shape[1]), np.zeros(a.shape[1])
    for code, size in enumerate(np.bincount(codes)):
        if size < max(min_size, 2):
            continue
        rows = codes == code
        r = _columns(a[rows], b[rows], method)
        total += size * np.nan_to_num(r)
        weight += size * ~np.isnan(r)
    return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)


def _columns(a: NDArray[np.float64], b: NDArray[np.float64], method: str) -> NDArray[np.float64]:
    if method == "spearman":
        a, b = rankdata(a, axis=0), rankdata(b, axis=0)
    elif method != "pearson":
        raise ValueError(f"unknown method {method!r}; choose 'spearman' or 'pearson'.")
    if len(a) == 0:
        return np.full(a.shape[1], np.nan)
    # The range, not the variance, says what is constant: a mean of equal floats may be off by a bit.
    varies_a, varies_b = np.ptp(a, axis=0) > 0, np.ptp(b, axis=0) > 0
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norm = np.sqrt(np.einsum("ij,ij->j", a, a) * np.einsum("ij,ij->j", b, b))
    r = np.divide(np.einsum("ij,ij->j", a, b), norm, out=np.zeros_like(norm), where=varies_b & (norm > 0))
    return np.where(varies_a, np.clip(r, -1.0, 1.0), np.nan)
