"""The one scale every score is taken on, natural log1p of counts per million, and what is scored on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def log1p_cpm(shares_or_counts: ArrayLike) -> NDArray[np.float64]:
    """Counts or shares as ``log(1 + counts per million)``, each row by its own total.

    A query has no miRNA library of its own, so predicted and measured rows are both brought to a
    total of one million before they are compared.

    Parameters
    ----------
    shares_or_counts
        ``(n_samples, n_features)``, non-negative; counts, TPM or shares (the row total drops out).

    Returns
    -------
    ``(n_samples, n_features)`` in natural log units. A row of zeros stays zero.

    Examples
    --------
    >>> log1p_cpm(np.array([[1, 3]])).round(2).tolist()
    [[12.43, 13.53]]
    """
    values = np.asarray(shares_or_counts, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"log1p_cpm: expected samples x features, got an array of shape {values.shape}.")
    if values.size and not values.min() >= 0:
        raise ValueError(
            "log1p_cpm: found negative or missing values; give raw counts or shares, not logs or z-scores."
        )
    total = values.sum(axis=1, keepdims=True)
    return np.log1p(values * (1e6 / np.where(total > 0, total, 1.0)))


def expressed(log_cpm: ArrayLike) -> NDArray[np.bool_]:
    """Which miRNAs are scored: those above 1 count per million in more than 10 % of the samples.

    The others are mostly zeros, whose order over samples is chance.

    Parameters
    ----------
    log_cpm
        ``(n_samples, n_features)``, from :func:`midgd.metrics.log1p_cpm`; NaN counts as not above.

    Returns
    -------
    ``(n_features,)`` True for those that are scored.

    Examples
    --------
    >>> expressed(log1p_cpm(np.array([[1, 3, 0], [2, 2, 0]]))).tolist()
    [True, True, False]
    """
    return np.asarray((np.expm1(np.asarray(log_cpm)) > 1).mean(axis=0) > 0.1)
