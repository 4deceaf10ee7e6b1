"""Fitting the readout: ridge regressions on denoised profiles of training samples at several depths, and on draws.

Latents are found from the mRNA alone, as for a query, so that the readout learns from what a query will show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from midgd.infer.latents import InferenceOptions, LatentInference
from midgd.infer.objective import LogPosterior
from midgd.nn import Decoder, GaussianMixture, ProfileReadout, view_of
from midgd.nn.readout import MILLION, THOUSAND, ReducedMaps
from midgd.train.arms import MatureLevel
from midgd.train.depths import thin
from midgd.train.mosaic import Modality, Mosaic
from midgd.train.ridge import (
    LinearMap,
    Sample,
    adaptive_ridge,
    average,
    centred,
    reduce_rows,
    relevance,
    shared_ridge,
)
from midgd.train.smooth import known_profiles, smooth
from midgd.train.start import MIN_COMMON, log1p_cpm

# Measured: regressions learn the same from latents that are ten log units short of the optimum.
COARSE = InferenceOptions(tolerance=10.0)

# Blocks of outputs, by the modality that they are learned from.
LEVELS = ("mirna", "mature")


@dataclass(frozen=True)
class ReadoutOptions:
    """How the readout is fitted.

    Parameters
    ----------
    depths
        Expected library of the thinned copies of every training sample; None is the sample as measured
        and comes first.
    copies
        Thinned copies at each depth but the first.
    ridge
        Penalty of the shared regressions, relative to the mean squared norm of the centred profiles at full depth.
    adaptive
        Penalty of the adaptive regressions (:mod:`midgd.train.ridge`), relative to their weighted profiles; None
        leaves them out.
    n_genes
        Genes of a miRNA in the adaptive regressions.
    rows
        Rows that the samples of all depths are reduced to before the regressions.
    rank
        Size of the basis that both maps are reduced to.
    draws
        Molecules of the draws that the regressions on counts profiles learn from, one of each for every copy; empty
        leaves these regressions out.
    draw_ridge
        Penalty of the regressions on counts profiles, relative to the mean squared norm of these.
    draw_rank
        Size of their basis.
    noise
        Variance of the readout's errors in deep samples, in squares of log1p CPM, that :mod:`midgd.train.smooth` weighs
        the covariance of miRNAs against; None leaves it out.
    seed
        Of the thinning.
    """

    depths: tuple[float | None, ...] = (None, 1_000.0)
    copies: int = 1
    ridge: float = 0.3
    adaptive: float | None = 1.0
    n_genes: int = 500
    rows: int = 400
    rank: int = 256
    draws: tuple[float, ...] = (1_000.0, 10_000.0)
    draw_ridge: float = 2.0
    draw_rank: int = 128
    noise: float | None = 0.1
    seed: int = 0


class Queries(NamedTuple):
    """Samples seen through their mRNA alone.

    Denoised profiles (n, n_genes), decoded log1p CPM of miRNAs (n, n_mirnas) and the most responsible component of
    the prior (n,).
    """

    profile: NDArray[np.float32]
    decoded: NDArray[np.float32]
    component: NDArray[np.int64]


def fit_readout(
    decoder: Decoder,
    prior: GaussianMixture,
    mosaic: Mosaic,
    options: ReadoutOptions | None = None,
    mature_level: MatureLevel | None = None,
    unpaired: Mapping[str, Modality] | None = None,
) -> ProfileReadout:
    """Fit the readout of a trained decoder on the paired samples of a mosaic.

    Every map is the mean of a shared and an adaptive ridge regression (:mod:`midgd.train.ridge`). The core genes are
    those that all samples measured. With a mature level, the outputs after those of ``"mirna"`` are mature miRNAs: as
    counted in ``"mature"`` where a sample has it, elsewhere what goes with its stem-loops. Unpaired samples, by default
    those of the mosaic, have no mRNA; beside the paired ones they tell which miRNAs go together at ``"mirna"``,
    ``"mature"`` or both.
    """
    options = options or ReadoutOptions()
    both = mosaic["mrna"].present & mosaic["mirna"].present
    paired, n = mosaic.take(both), int(both.sum())
    unpaired = mosaic.take(~mosaic["mrna"].present).modalities if unpaired is None else unpaired
    generator = np.random.default_rng(options.seed)
    depths = options.depths[:1] + options.depths[1:] * options.copies
    queries = [query_profiles(decoder, prior, paired, depth, generator) for depth in depths]
    profile = np.concatenate([query.profile for query in queries])
    target = _targets(paired, queries, mature_level)
    common = np.flatnonzero(paired["mrna"].measured.all(0))
    core = common if MIN_COMMON <= len(common) < profile.shape[1] else common[:0]
    counts_rank = options.draw_rank if options.draws else 0
    readout = ProfileReadout(profile.shape[1], target.shape[1], options.rank, len(core), counts_rank)
    readout.core_genes.copy_(torch.from_numpy(core))
    weight = None if options.adaptive is None else relevance(profile[:n], target[:n], queries[0].component)
    _fit_denoised(readout.wide.denoised, profile, target, weight, n, options)
    if readout.core is not None:
        own = readout.core_profile(torch.from_numpy(profile), MILLION).numpy()
        _fit_denoised(readout.core.denoised, own, target, None if weight is None else weight[core], n, options)
    _fit_counts(readout, profile[:n], target[:n], options, generator)
    if options.noise is not None:
        _smooth_levels(readout, np.split(target[:n], [paired["mirna"].n_features], axis=1), unpaired, options.noise)
    return readout.requires_grad_(False)


def _targets(paired: Mosaic, queries: list[Queries], mature_level: MatureLevel | None) -> NDArray[np.float32]:
    """log1p CPM of all outputs for the queries, one after the other."""
    # A miRNA that a source did not measure is completed by the decoder.
    measured, counted = paired["mirna"].measured, log1p_cpm(paired["mirna"])
    targets = [np.where(measured, counted, query.decoded) for query in queries]
    if mature_level is not None:
        known, mature = paired["mature"].measured, log1p_cpm(paired["mature"])
        targets = [np.hstack([stem, np.where(known, mature, mature_level(stem))]) for stem in targets]
    return np.concatenate(targets)


def _smooth_levels(
    readout: ProfileReadout,
    paired: list[NDArray[np.float32]],
    unpaired: Mapping[str, Modality],
    noise: float,
) -> None:
    """Smooth the outputs of every level (in place), after all its known profiles."""
    start = 0
    for level, own in zip(LEVELS, paired, strict=True):
        if own.shape[1] and len(own) > 1:
            profiles, features = known_profiles(unpaired.get(level), own)
            smooth(readout, profiles, start + features, noise)
        start += own.shape[1]


def _fit_denoised(
    maps: ReducedMaps,
    profile: NDArray[np.float32],
    target: NDArray[np.float32],
    weight: NDArray[np.float32] | None,
    n: int,
    options: ReadoutOptions,
) -> None:
    """Fit in place, from profiles and targets of which the first n are at full depth."""
    every_depth, deep = centred(profile, target), centred(profile[:n], target[:n])
    penalty = options.ridge * float(deep.profile.square().sum()) / n
    few, few_deep = (reduce_rows(sample, options.rows) for sample in (every_depth, deep))
    fitted = []
    # Deep samples are not reduced for the shared regression: small directions are evidence there.
    for shared, adaptive in ((few, few), (deep, few_deep)):
        regressions = [shared_ridge(shared, penalty)]
        if weight is not None and options.adaptive is not None:
            regressions.append(adaptive_ridge(adaptive, weight, penalty=options.adaptive, n_features=options.n_genes))
        fitted.append(average(regressions))
    _fill(maps, few_deep, fitted)


def _fit_counts(
    readout: ProfileReadout,
    profile: NDArray[np.float32],
    target: NDArray[np.float32],
    options: ReadoutOptions,
    generator: np.random.Generator,
) -> None:
    """Fit the maps from counts profiles in place, on draws from denoised profiles of samples at full depth.

    What a sample did not measure is drawn from the decoder's completion: so the regression on all genes, too, knows
    the tissues that were measured in core genes only.
    """
    if not options.draws:
        return
    rate = np.expm1(profile)
    rate /= rate.sum(1, keepdims=True)
    draws = [draw(rate, molecules, generator) for molecules in options.draws * options.copies]
    drawn, target = np.concatenate(draws), np.tile(target, (len(draws), 1))
    _fit_drawn(readout.wide.counts, drawn, target, options)
    if readout.core is not None:
        own = readout.core_profile(torch.from_numpy(drawn), THOUSAND).numpy()
        _fit_drawn(readout.core.counts, own, target, options)


def draw(rate: NDArray[np.float32], molecules: float, generator: np.random.Generator) -> NDArray[np.float32]:
    """Counts profiles, (n, G), of about so many molecules of samples with these rates, (n, G)."""
    counts = generator.poisson(molecules * rate).astype(np.float32)
    return np.log1p(counts * (THOUSAND / np.maximum(counts.sum(1, keepdims=True), 1)))


def _fit_drawn(
    maps: ReducedMaps | None, profile: NDArray[np.float32], target: NDArray[np.float32], options: ReadoutOptions
) -> None:
    assert maps is not None  # made by fit_readout: tell mypy
    sample = centred(profile, target)
    few = reduce_rows(sample, options.rows)
    penalty = options.draw_ridge * float(sample.profile.square().sum()) / sample.n
    _fill(maps, few, [shared_ridge(few, penalty)])


def _fill(maps: ReducedMaps, sample: Sample, fitted: list[LinearMap]) -> None:
    """Put linear maps, reduced to the rank of `maps`, in their place; a sample tells the directions that matter."""
    basis, slopes = _reduce_rank(sample.profile.numpy(), np.hstack([m.slopes for m in fitted]), maps.rank)
    with torch.no_grad():
        maps.mean.copy_(torch.from_numpy(sample.centre))
        maps.basis[:, : basis.shape[1]] = torch.from_numpy(basis)
        maps.slopes[:, : basis.shape[1]] = torch.from_numpy(np.stack(np.hsplit(slopes, len(fitted))))
        at_mean = [m.intercept + sample.centre @ m.slopes for m in fitted]
        maps.intercepts.copy_(torch.from_numpy(np.stack(at_mean)))


@torch.no_grad()
def query_profiles(
    decoder: Decoder, prior: GaussianMixture, mosaic: Mosaic, depth: float | None, generator: np.random.Generator
) -> Queries:
    """What the samples of a mosaic show through their mRNA at a depth."""
    mrna = mosaic["mrna"]
    n = len(mosaic)
    profile = np.zeros((n, mrna.n_features), np.float32)
    decoded = np.zeros((n, mosaic["mirna"].n_features), np.float32)
    component = np.zeros(n, np.int64)
    for rows, genes in mrna.groups(np.arange(n)):
        index = torch.from_numpy(genes)
        counts = thin(mrna.counts[np.ix_(rows, genes)], depth, generator)
        z = LatentInference(LogPosterior(decoder, prior, index), COARSE)(counts).z
        log_share = decoder.log_share(z, "mrna")
        profile[rows] = view_of(decoder.head("mrna"), log_share, torch.from_numpy(counts), index).profile.numpy()
        decoded[rows] = torch.log1p(decoder.log_share(z, "mirna").exp() * MILLION).numpy()
        component[rows] = prior.component_log_prob(z).argmax(1).numpy()
    return Queries(profile, decoded, component)


def _reduce_rank(
    profile: NDArray[np.float32], slopes: NDArray[np.float32], rank: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factors (G, k) and (k, M) of the slopes projected on the k leading directions of their predictions."""
    predicted = (profile @ slopes).astype(np.float64)
    variance, combinations = np.linalg.eigh(predicted @ predicted.T)
    kept = np.argsort(-variance)[: min(rank, *predicted.shape)]
    combinations = combinations[:, kept] / np.sqrt(np.maximum(variance[kept], 1e-12 * variance.max()))
    leading = (predicted.T @ combinations).astype(np.float32)
    return slopes @ leading, np.ascontiguousarray(leading.T)
