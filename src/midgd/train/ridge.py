r"""Ridge regressions of many targets on far more features than samples, in their dual form.

Two kinds, which err differently outside the training tissues. In the *shared* one every feature has the same prior
variance: evidence is spread over all genes that go with a tissue. In the *adaptive* one every target has its own,

.. math:: v_{gm} = \frac{(\rho_{gm} \, \rho^{within}_{gm})^2}{s_g + \epsilon}

with the correlations of gene g and miRNA m over all samples and within groups of alike samples, and the standard
deviation :math:`s_g` of the gene: a gene that follows the miRNA inside tissues, as the host gene of an intron does,
counts more than one that merely marks them. (Ridge with weights from a first estimate: the adaptive lasso of Zou 2006,
JASA 101:1418, with a quadratic penalty.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]

SOFTEN = 0.2
"""Added to standard deviations (log1p CPM), so that a gene that hardly varies is not blown up."""
MIN_SCORED = 0.1
"""A target with a standard deviation below this hardly varies: the adaptive regression leaves it to the shared one."""


class LinearMap(NamedTuple):
    """Slopes (n_features, n_targets) and intercepts (n_targets,)."""

    slopes: Floats
    intercept: Floats


def shared_ridge(profile: Floats, target: Floats, penalty: float) -> LinearMap:
    """Regression of targets (n, M) on profiles (n, G), in the form that suits their shape."""
    centre, offset = profile.mean(0), target.mean(0)
    centred, residual = profile - centre, target - offset
    primal = len(centred) > centred.shape[1]
    gram = centred.T @ centred if primal else centred @ centred.T
    gram[np.diag_indices_from(gram)] += penalty
    slopes = np.linalg.solve(gram, centred.T @ residual) if primal else centred.T @ np.linalg.solve(gram, residual)
    return LinearMap(slopes, offset - centre @ slopes)


def relevance(profile: Floats, target: Floats, groups: NDArray[np.int64]) -> Floats:
    """Square roots of the prior variances of the slopes, (G, M)."""
    overall = _correlation(profile - profile.mean(0), target - target.mean(0))
    within = _correlation(_centred_by(profile, groups), _centred_by(target, groups))
    scale = np.sqrt(profile.std(0) + SOFTEN)
    return np.asarray(np.abs(overall * within) / scale[:, None], dtype=np.float32)


def adaptive_ridge(
    profile: Floats,
    target: Floats,
    weight: Floats,
    *,
    penalty: float,
    n_features: int,
    rank: int,
) -> LinearMap:
    """Regression of every target on its own features.

    Parameters
    ----------
    profile, target
        (n, G) and (n, M).
    weight
        Square roots of prior variances, (G, M).
    penalty
        Relative to the mean squared norm of the weighted profiles.
    n_features
        Features of a target: those of the highest weight.
    rank
        The rows are first reduced to this many combinations of them, their leading singular vectors.
    """
    centre, offset = profile.mean(0), target.mean(0)
    rows, values = _leading_rows(profile - centre, target - offset, rank)
    by_feature = rows.T.contiguous()
    strongest = torch.from_numpy(np.ascontiguousarray(weight.T)).topk(min(n_features, len(centre)), dim=1)
    slopes = np.zeros((len(centre), target.shape[1]), np.float32)
    for m in np.flatnonzero(target.std(0) > MIN_SCORED):
        chosen, w = strongest.indices[m], strongest.values[m]
        weighted = by_feature[chosen] * w[:, None]
        kernel = weighted.T @ weighted
        kernel.diagonal().add_(penalty * kernel.diagonal().sum() / len(profile) + 1e-6)
        dual = torch.cholesky_solve(values[:, m : m + 1], torch.linalg.cholesky(kernel))
        slopes[chosen.numpy(), m] = (w * (weighted @ dual)[:, 0]).numpy()
    return LinearMap(slopes, offset - centre @ slopes)


def average(maps: list[LinearMap]) -> LinearMap:
    """Mean of linear maps, which is one."""
    slopes, intercepts = zip(*maps, strict=True)
    return LinearMap(np.mean(slopes, axis=0), np.mean(intercepts, axis=0))


def _leading_rows(profile: Floats, target: Floats, rank: int) -> tuple[Tensor, Tensor]:
    x, y = torch.from_numpy(profile), torch.from_numpy(np.ascontiguousarray(target, np.float32))
    if rank >= len(x):
        return x, y
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        left, singular, right = torch.svd_lowrank(x, q=rank, niter=1)
    return singular[:, None] * right.T, left.T @ y


def _correlation(x: Floats, y: Floats) -> Floats:
    """Correlations (G, M) of centred columns, softened."""
    return np.asarray((x / (x.std(0) + SOFTEN)).T @ (y / (y.std(0) + 1e-6)) / len(x))


def _centred_by(values: Floats, groups: NDArray[np.int64]) -> Floats:
    centred = values.copy()
    for group in np.unique(groups):
        centred[groups == group] -= values[groups == group].mean(0)
    return centred
