"""Moderated t statistics (Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3:3). Arrays only.

With three samples against three, some features vary by chance almost not at all, and their t is huge whatever the
difference. Here the variances of all features say what a variance is like, and each is drawn towards that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import digamma, polygamma

Floats = NDArray[np.float64]


def moderated_t(difference: Floats, variance: Floats, unscaled: float, df: float) -> tuple[Floats, Floats]:
    """Statistics and two-sided p-values, each (n_features,).

    Parameters
    ----------
    difference
        Estimate of each feature.
    variance
        Residual variance of each feature.
    unscaled
        Variance of the estimate is this times the residual variance: 1/n + 1/m for two groups, 1/n for pairs.
    df
        Degrees of freedom of the residual variances.

    Returns
    -------
    NaN where the variance is 0 in a feature that does not differ either.
    """
    prior_df, prior = prior_variance(variance, df)
    if np.isinf(prior_df):
        posterior = np.full_like(variance, prior)
    else:
        posterior = (prior_df * prior + df * variance) / (prior_df + df)
    varies = (variance > 0) | (difference != 0)
    t = np.full_like(difference, np.nan)
    np.divide(difference, np.sqrt(posterior * unscaled), out=t, where=varies & (posterior > 0))
    # No more degrees of freedom than all features together have.
    return t, 2 * stats.t.sf(np.abs(t), min(prior_df + df, df * len(variance)))


def prior_variance(variance: Floats, df: float) -> tuple[float, float]:
    """Degrees of freedom d0 and scale s0^2 of the prior, by the moments of log s^2 (section 6.2 of the paper).

    ``inf`` degrees of freedom mean that the variances differ by chance only. Features of variance 0 do not count;
    without two others there is no prior: 0 degrees of freedom.
    """
    positive = variance[variance > 0]
    if len(positive) < 2:
        return 0.0, 0.0
    e = np.log(positive) - digamma(df / 2) + np.log(df / 2)
    excess = e.var(ddof=1) - polygamma(1, df / 2)
    if excess <= 0:
        return np.inf, float(np.exp(e.mean()))
    half = _inverse_trigamma(float(excess))
    return 2 * half, float(np.exp(e.mean() + digamma(half) - np.log(half)))


def _inverse_trigamma(value: float) -> float:
    """The x with trigamma(x) = value, by Newton's method on 1/trigamma, which is convex and nearly linear."""
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x
