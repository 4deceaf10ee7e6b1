from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from midgd.metrics._check import as_groups, as_pair
from midgd.metrics.correlation import per_sample_correlation


def fold_difference_correlation(truth: ArrayLike, predicted: ArrayLike, groups: ArrayLike, min_size: int = 2) -> float:
    """How well differences between group means are predicted (the measure of miRSCAPE).

    For each pair of groups, the Pearson correlation over all features between the true and the
    predicted difference of mean log CPM; then the mean over pairs.

    Parameters
    ----------
    truth, predicted
        ``(n_samples, n_features)`` in log CPM.
    groups
        One label per sample.
    min_size
        Smaller groups are left out.

    Returns
    -------
    Mean correlation; NaN with fewer than two groups. Equal predictions for two groups count as 0.

    Examples
    --------
    >>> truth = [[0.0, 1.0, 5.0], [0.0, 1.0, 5.0], [4.0, 1.0, 0.0], [4.0, 1.0, 0.0]]
    >>> fold_difference_correlation(truth, truth, ["T cell", "T cell", "B cell", "B cell"])
    1.0
    """
    a, b = as_pair(truth, predicted, "fold_difference_correlation")
    codes = as_groups(groups, len(a), "fold_difference_correlation")
    kept = [code for code, size in enumerate(np.bincount(codes)) if size >= min_size]
    if len(kept) < 2:
        return float("nan")
    mean_a = np.stack([a[codes == code].mean(axis=0) for code in kept])
    mean_b = np.stack([b[codes == code].mean(axis=0) for code in kept])
    first, second = np.array(list(combinations(range(len(kept)), 2))).T
    # Rounded, so that means of equal predictions being off by 1e-16 are not taken for differences.
    true, inferred = (np.round(mean[first] - mean[second], 9) for mean in (mean_a, mean_b))
    r = per_sample_correlation(true, inferred, method="pearson")
    return float("nan") if np.isnan(r).all() else float(np.nanmean(r))
