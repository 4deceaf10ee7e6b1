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

from midgd._torch import one_core_threads

Floats = NDArray[np.float32]

SOFTEN = 0.2
"""Added to standard deviations (log1p CPM), so that a gene that hardly varies gets no large weight. Chosen by hand."""
MIN_SCORED = 0.1
"""A target whose standard deviation is lower is left to the shared regression by the adaptive one. Chosen by hand."""

EVERY = 4
"""The range finder begins with every fourth gene, for its power iteration sees them all: a product of four is saved."""
GRAM_ROWS = 200
"""Rows of a Gram matrix that are computed at a time, up to its diagonal: of 600, 2.6 instead of 3.7 ms."""
TARGETS = 32
"""Targets of a thread at a time."""


class LinearMap(NamedTuple):
    """Slopes (n_features, n_targets) and intercepts (n_targets,)."""

    slopes: Floats
    intercept: Floats


class Regression(NamedTuple):
    """Centred profiles (k, G) and targets (k, M), with their means (G,) and (M,).

    The k rows may be fewer than the ``n`` samples they stand for: a regression sees orthogonal combinations of them,
    and the directions of most variance are nearly all that a penalty leaves.
    """

    profile: Tensor
    target: Tensor
    centre: Floats
    offset: Floats
    n: int

    def linear_map(self, slopes: Floats) -> LinearMap:
        """The map with these slopes through the means.

        Parameters
        ----------
        slopes
            (G, M).

        Returns
        -------
        The map with these slopes through the means.
        """
        return LinearMap(slopes, self.offset - self.centre @ slopes)


def centred(profile: Floats, target: Floats, weight: Floats | None = None) -> Regression:
    """Profiles and targets as a regression problem, without their means.

    Parameters
    ----------
    profile
        (n, G) features.
    target
        (n, M) what is to be predicted.
    weight
        (n,) how much each row counts; None for all the same.

    Returns
    -------
    The rows, centred and multiplied by the root of their weight, and the means.
    """
    x, y = torch.from_numpy(profile), torch.from_numpy(target)
    if weight is None:
        centre, offset = x.mean(0), y.mean(0)
        rows = x - centre, y - offset
    else:
        part = torch.from_numpy(weight / weight.sum())
        centre, offset = part @ x, part @ y
        root = (part / part.mean()).sqrt()[:, None]
        rows = (x - centre).mul_(root), (y - offset).mul_(root)
    return Regression(*rows, centre.numpy(), offset.numpy(), len(profile))


def reduce_rows(sample: Regression, rank: int) -> Regression:
    """The same in ``rank`` rows that span its leading directions.

    A randomised range finder with one power iteration (Halko et al. 2011, SIAM Review 53:217).

    Parameters
    ----------
    sample
        n rows.
    rank
        Number of rows to keep.

    Returns
    -------
    The same problem in fewer rows, or as it was if it has no more.
    """
    x = sample.profile
    if rank >= len(x):
        return sample
    some = x[:, ::EVERY] if x.shape[1] >= EVERY * rank else x
    basis = torch.linalg.qr(some @ torch.randn(some.shape[1], rank, generator=torch.Generator().manual_seed(0))).Q
    basis = torch.linalg.qr(x @ (x.T @ basis)).Q
    return sample._replace(profile=basis.T @ x, target=basis.T @ sample.target)


def shared_ridge(sample: Regression, penalty: float) -> LinearMap:
    """Regression of all targets on all features, in the form that suits their shape.

    Parameters
    ----------
    sample
        n rows with G features and M targets.
    penalty
        What is added to the diagonal of the Gram matrix, in the units of squared features.

    Returns
    -------
    Slopes (G, M) and intercepts (M,).
    """
    x, y = sample.profile, sample.target
    primal = len(x) > x.shape[1]
    gram = x.T @ x if primal else x @ x.T
    gram.diagonal().add_(penalty)
    slopes = torch.linalg.solve(gram, x.T @ y) if primal else x.T @ torch.linalg.solve(gram, y)
    return sample.linear_map(slopes.numpy())


def relevance(profile: Floats, target: Floats, groups: NDArray[np.int64]) -> Floats:
    """Square roots of the prior variances of the slopes: how much a gene goes with a miRNA, over all and within groups.

    Parameters
    ----------
    profile
        (n, G) features.
    target
        (n, M) targets.
    groups
        (n,) group of each row, such as its kind.

    Returns
    -------
    (G, M), 0 or more.
    """
    overall = _correlation(profile - profile.mean(0), target - target.mean(0))
    within = _correlation(_centred_by(profile, groups), _centred_by(target, groups))
    scale = np.sqrt(profile.std(0) + SOFTEN)
    return np.asarray(np.abs(overall * within) / scale[:, None], dtype=np.float32)


def adaptive_ridge(sample: Regression, weight: Floats, *, penalty: float, n_features: int) -> LinearMap:
    """Regression of every target on its own features.

    Parameters
    ----------
    sample
        Profiles of G features and M targets.
    weight
        Square roots of prior variances, (G, M).
    penalty
        Relative to the mean squared norm of the weighted profiles.
    n_features
        Features of a target: those of the highest weight.

    Returns
    -------
    Slopes (G, M), 0 where a feature is not used, and intercepts (M,).
    """
    by_feature = sample.profile.T.contiguous()
    strongest = torch.from_numpy(np.ascontiguousarray(weight.T)).topk(min(n_features, len(by_feature)), dim=1)
    slopes = np.zeros(weight.shape, np.float32)
    deviation = sample.target.square().sum(0).div(sample.n).sqrt()

    def fit_some(targets: Tensor) -> None:
        # The same memory for all of them: fresh memory for each took a tenth of the time.
        n_chosen, n_rows = strongest.indices.shape[1], by_feature.shape[1]
        weighted, kernel = by_feature.new_empty(n_chosen, n_rows), by_feature.new_zeros(n_rows, n_rows)
        for m in targets.tolist():
            chosen, w = strongest.indices[m], strongest.values[m]
            torch.index_select(by_feature, 0, chosen, out=weighted).mul_(w[:, None])
            _lower_gram(weighted, out=kernel)
            kernel.diagonal().add_(penalty * kernel.diagonal().sum() / sample.n + 1e-6)
            dual = torch.cholesky_solve(sample.target[:, m : m + 1], torch.linalg.cholesky(kernel))
            slopes[chosen.numpy(), m] = (w * (weighted @ dual)[:, 0]).numpy()

    # A thread for some targets: the matrices of one are too small for two threads to share.
    with one_core_threads(torch.get_num_threads()) as pool:
        list(pool.map(fit_some, torch.nonzero(deviation > MIN_SCORED)[:, 0].split(TARGETS)))
    return sample.linear_map(slopes)


def _lower_gram(x: Tensor, out: Tensor) -> None:
    """The product of the transpose of x (n, k) with x, (k, k), of which only the lower triangle is sure to be there."""
    for start in range(0, len(out), GRAM_ROWS):
        stop = start + GRAM_ROWS
        torch.mm(x[:, start:stop].T, x[:, :stop], out=out[start:stop, :stop])


def average(maps: list[LinearMap]) -> LinearMap:
    """Mean of linear maps, which is one.

    Parameters
    ----------
    maps
        Maps of the same features and targets, at least one.

    Returns
    -------
    Their mean, in the memory of the first.
    """
    slopes, intercept = maps[0]
    for more in maps[1:]:
        slopes += more.slopes
        intercept += more.intercept
    part = np.float32(1.0 / len(maps))
    return LinearMap(np.multiply(slopes, part, out=slopes), np.multiply(intercept, part, out=intercept))


def _correlation(x: Floats, y: Floats) -> Floats:
    """Correlations (G, M) of centred columns, softened."""
    return np.asarray((x / (x.std(0) + SOFTEN)).T @ (y / (y.std(0) + 1e-6)) / len(x))


def _centred_by(values: Floats, groups: NDArray[np.int64]) -> Floats:
    centred = values.copy()
    for group in np.unique(groups):
        centred[groups == group] -= values[groups == group].mean(0)
    return centred
