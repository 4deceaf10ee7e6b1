from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata


def auroc(score: ArrayLike, positive: ArrayLike) -> float:
    """Chance that a positive scores above a negative, ties counting half.

    Parameters
    ----------
    score
        ``(n,)``, higher for positives.
    positive
        ``(n,)`` boolean.

    Returns
    -------
    Area under the ROC curve in [0, 1]; NaN when one of the two classes is empty.

    Examples
    --------
    >>> auroc([0.9, 0.8, 0.1], [True, False, False])
    1.0
    """
    values, mask = np.asarray(score, dtype=np.float64), np.asarray(positive, dtype=bool)
    if values.ndim != 1 or values.shape != mask.shape:
        raise ValueError(f"auroc: score {values.shape} and positive {mask.shape} must be vectors of one length.")
    if np.isnan(values).any():
        raise ValueError("auroc: score holds NaN; leave those entries out before scoring.")
    n_positive = int(mask.sum())
    n_negative = len(mask) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    return float((rankdata(values)[mask].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))
