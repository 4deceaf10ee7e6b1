"""Fitting the density of latents, and how counts and miRNA scatter around it, to the samples of a trained model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import polygamma

from midgd.nn import Decoder, NegativeBinomialHead
from midgd.reference.density import LatentDensity
from midgd.train.mosaic import Modality

Floats = NDArray[np.float32]
Exact = NDArray[np.float64]
Indices = NDArray[np.int64]

# Inverse dispersions that are tried, 1.45 times each other; real genes have 1 to 35.
GRID = np.exp(np.linspace(np.log(0.05), np.log(300.0), 24))
# Samples from which on a component says how wide it is; narrower ones take what these have in the median.
ENOUGH = 5
# Samples that the shared covariance counts for beside the own one of a component. Measured (150 validation samples
# against generated ones): AUROC of a random forest .611 with 10, .640 with 25, .76 without own covariances.
SHRINKAGE = 10.0
# Directions that a component keeps of its own covariance: nearly all that its samples span.
RANK = 60
# Limit of a log ratio of counts to their mean: a gene that is absent in one sample must not set the scale of it.
LARGEST_RATIO = 4.0
# Least inverse dispersion of the genes that tell how odd a sample is.
REGULAR = 1.0
# Levels of oddness that are kept. With 25, the quantiles of its distribution are 4 % apart.
LEVELS = 25
# Factors of the deviations of miRNAs. They hold most of what goes together; with more, single samples.
FACTORS = 20


def fit_density(
    decoder: Decoder,
    latents: Floats,
    counts: Modality,
    components: Indices,
    kinds: Indices,
    missed: Floats,
    *,
    matched: NDArray[np.bool_] | None = None,
    inflation: float = 1.0,
) -> LatentDensity:
    """Fit the density to samples of the training data.

    Parameters
    ----------
    decoder
        Of the trained model.
    latents
        (n, d) latents of the samples, found from their mRNA.
    counts
        Their mRNA.
    components
        (n,) component of each, 0 to C - 1: samples of one kind from one table.
    kinds
        (C,) kind of each component, -1 for none.
    missed
        (n, M) measured less inferred log1p CPM of all outputs of the reference; NaN where not measured.
    matched
        (n,) samples that tell how latents and counts scatter; None for all. Averages of other studies, as in label
        pairs, have means only: their components are as wide as the others are in the median.
    inflation
        By what factor the errors of samples that the model was not trained on exceed those.

    Returns
    -------
    The density.
    """
    told = np.ones(len(latents), bool) if matched is None else matched
    indicator = np.eye(len(kinds))[components]
    size = indicator.sum(0)
    mean = (indicator.T @ latents) / size[:, None]
    # From here on of the matched samples alone: the others are not part of any component.
    own, own_size = components[told], indicator[told].sum(0)
    spread = _spread((latents - mean[components])[told], own, own_size)
    dispersion, excess = _dispersion(decoder, latents[told], counts.take(np.flatnonzero(told)))
    enough = own_size >= ENOUGH
    noise_scale = np.bincount(own, excess, len(kinds)) / np.maximum(own_size, 1)
    noise_scale = np.where(enough, noise_scale, np.median(noise_scale[enough]) if enough.any() else 1.0)
    odd = np.stack([spread.odd, excess / noise_scale[own]], 1)[enough[own]]
    factors, sd = _deviations(missed.astype(np.float64) * inflation)
    return LatentDensity(
        mean=mean.astype(np.float32),
        weight=(size / size.sum()).astype(np.float32),
        kind=np.asarray(kinds, np.int64),
        scale=np.stack([spread.scale, noise_scale], 1).astype(np.float32),
        within=spread.within.astype(np.float32),
        direction=spread.direction.astype(np.float32),
        direction_of=spread.direction_of,
        oddness=_levels(odd),
        dispersion=None if dispersion is None else dispersion.astype(np.float32),
        log_depth=_depths(decoder, latents, counts, components, size),
        mirna_factors=factors,
        mirna_sd=sd,
    )


class _Spread(NamedTuple):
    """How latents lie around the means of their components; ``odd`` is how far out each sample is, around 1."""

    within: Exact
    scale: Exact
    direction: Exact
    direction_of: Indices
    odd: Exact


def _spread(deviation: Exact, components: Indices, size: Exact) -> _Spread:
    """The covariance that components share, and for each its scale and the directions in which it varies more.

    The covariance of a component is :math:`(n S_c + A s_c^2 S) / (n + A)`, with :math:`S_c` that of its n samples and
    S the shared one; of the first part the largest directions are kept, and the rest is spread over all.
    """
    d = deviation.shape[1]
    # A mean of n samples has taken 1 / n of their variance.
    deviation = deviation * np.sqrt(size / np.maximum(size - 1, 1))[components][:, None]
    several = size[components] > 1
    covariance = deviation[several].T @ deviation[several] / max(several.sum(), 1)
    covariance += 1e-6 * max(np.trace(covariance) / d, 1e-6) * np.eye(d)
    triangle = np.linalg.cholesky(covariance)
    white = np.linalg.solve(triangle, deviation.T).T
    square = (white**2).mean(1)
    own = np.bincount(components, square, len(size)) / np.maximum(size, 1)
    own = np.where(size >= ENOUGH, own, np.median(own[size >= ENOUGH]) if (size >= ENOUGH).any() else 1.0)
    rest, directions, of = own.copy(), [np.zeros((0, d))], [np.zeros(0, np.int64)]
    for component in np.flatnonzero(size >= ENOUGH):
        n = size[component]
        _, values, axes = np.linalg.svd(white[components == component] / np.sqrt(n), full_matrices=False)
        kept = (n / (n + SHRINKAGE)) * values[:RANK] ** 2
        rest[component] = own[component] - kept.sum() / d
        directions.append((np.sqrt(kept)[:, None] * axes[:RANK]) @ triangle.T)
        of.append(np.full(len(kept), component))
    odd = np.sqrt(square / own[components])
    return _Spread(triangle, np.sqrt(rest), np.concatenate(directions), np.concatenate(of), odd)


@torch.no_grad()
def _means(decoder: Decoder, latents: Floats, counts: Modality) -> tuple[Floats, Floats]:
    """Decoded means of the counts, over the genes that each sample measured; and the part of all genes those are."""
    mean = np.zeros_like(counts.counts)
    part = np.ones(len(latents), np.float32)
    for rows, genes in counts.groups(np.arange(len(latents))):
        share = decoder.log_share(torch.from_numpy(latents[rows]), "mrna").exp().numpy()[:, genes]
        part[rows] = share.sum(1)
        library = counts.counts[np.ix_(rows, genes)].sum(1, keepdims=True)
        mean[np.ix_(rows, genes)] = library * share / share.sum(1, keepdims=True)
    return mean, part


def _dispersion(decoder: Decoder, latents: Floats, counts: Modality) -> tuple[Exact | None, Exact]:
    """Maximum likelihood inverse dispersion of each gene, and by what factor the noise of each sample exceeds it.

    A head without a dispersion says itself how counts scatter: None, and factors of 1.
    """
    head = decoder.head("mrna")
    if not isinstance(head, NegativeBinomialHead):
        return None, np.ones(len(latents))
    mean, measured = _means(decoder, latents, counts)[0], counts.measured
    x, m = (np.where(measured, values, 0.0).astype(np.float32) for values in (counts.counts, mean))
    m = np.maximum(m, 1e-6) * measured
    dispersion = np.concatenate(
        [_most_likely(head, x, m, genes) for genes in np.array_split(np.arange(x.shape[1]), x.shape[1] // 500 + 1)]
    )
    # On logs, of which no gene has far more than others: the variance of a log Gamma rate, and that of the counts.
    expected = polygamma(1, dispersion) + 1.0 / np.maximum(m, 0.5)
    ratio = np.clip(np.log((x + 0.5) / (m + 0.5)), -LARGEST_RATIO, LARGEST_RATIO)
    used = measured & (dispersion > REGULAR)
    excess = (np.where(used, ratio**2 / expected, 0.0)).sum(1) / np.maximum(used.sum(1), 1)
    return dispersion, np.maximum(excess, 1e-3)


def _most_likely(head: NegativeBinomialHead, x: Floats, m: Floats, genes: Indices) -> Exact:
    """Inverse dispersion of the highest likelihood of some genes, by a parabola through the best of a grid."""
    counts, mean, measured = torch.from_numpy(x[:, genes]).double(), m[:, genes], torch.from_numpy(genes)
    log_mean = torch.from_numpy(np.log(np.maximum(mean, 1e-30))).double()
    likelihood = np.empty((len(GRID), len(genes)))
    for i, r in enumerate(GRID):
        value = head.log_prob(counts, log_mean, measured, torch.full((len(genes),), r).double())
        likelihood[i] = np.where(mean > 0, value.numpy(), 0.0).sum(0)
    best = np.clip(likelihood.argmax(0), 1, len(GRID) - 2)
    low, middle, high = (likelihood[best + i, np.arange(len(genes))] for i in (-1, 0, 1))
    bend = low - 2.0 * middle + high
    shift = np.clip(np.where(bend < 0, 0.5 * (low - high) / np.minimum(bend, -1e-9), 0.0), -1.0, 1.0)
    return np.exp(np.log(GRID[best]) + shift * np.log(GRID[1] / GRID[0]))


def _levels(odd: Exact) -> Floats:
    """Equally likely pairs: means over groups of samples that are alike in how odd they are."""
    if not len(odd):
        return np.ones((1, 2), np.float32)
    order = np.argsort(np.log(np.maximum(odd, 1e-6)).sum(1))
    groups = np.array_split(odd[order], min(LEVELS, len(odd)))
    levels = np.stack([group.mean(0) for group in groups])
    levels[:, 0] /= np.sqrt((levels[:, 0] ** 2).mean())
    levels[:, 1] /= levels[:, 1].mean()
    return levels.astype(np.float32)


def _depths(decoder: Decoder, latents: Floats, counts: Modality, components: Indices, size: Exact) -> Floats:
    """Mean and standard deviation of log counts of all genes by component, (C, 2)."""
    library = np.where(counts.measured, counts.counts, 0.0).sum(1) / _means(decoder, latents, counts)[1]
    logs = np.log(np.maximum(library, 1.0))
    mean = np.bincount(components, logs, len(size)) / size
    sd = np.sqrt(np.bincount(components, (logs - mean[components]) ** 2, len(size)) / size)
    return np.stack([mean, sd], 1).astype(np.float32)


def _deviations(missed: Exact) -> tuple[Floats, Floats]:
    """Factors of the deviations, (n_factors, M), and what is left, (M,).

    Factors are the principal components of the outputs that all samples have; the others load on them by least squares
    over the samples that have them.
    """
    measured = np.isfinite(missed)
    n_outputs = missed.shape[1]
    values = np.where(measured, missed, 0.0)
    enough = np.maximum(measured.sum(0), 1)
    rows = measured.any(1)
    common = measured[rows].mean(0) > 0.9 if rows.any() else np.zeros(n_outputs, bool)
    n_factors = min(FACTORS, int(rows.sum()) // 4, int(common.sum()) // 2)
    variance = (values**2).sum(0) / enough
    if n_factors < 1:
        return np.zeros((0, n_outputs), np.float32), np.sqrt(variance).astype(np.float32)
    left, _, _ = np.linalg.svd(values[np.ix_(rows, common)], full_matrices=False)
    scores = left[:, :n_factors] * np.sqrt(rows.sum())
    factors = np.zeros((n_factors, n_outputs))
    patterns, pattern = np.unique(measured[rows].T, axis=0, return_inverse=True)
    for index, own in enumerate(patterns):
        outputs = np.flatnonzero(pattern.reshape(-1) == index)
        if own.sum() > 4 * n_factors:
            gram = scores[own].T @ scores[own] + np.eye(n_factors)
            factors[:, outputs] = np.linalg.solve(gram, scores[own].T @ values[rows][own][:, outputs])
    left_over = np.maximum(variance - (factors**2).sum(0), 0.05 * variance)
    return factors.astype(np.float32), np.sqrt(left_over).astype(np.float32)
