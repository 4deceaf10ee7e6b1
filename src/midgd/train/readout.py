"""Fitting the readout: ridge regressions on denoised profiles of training samples at several depths, and on draws.

Latents are found from the mRNA alone, as for a query, so that the readout learns from what a query will show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from midgd.nn import Decoder, GaussianMixture, KindExperts, ProfileReadout
from midgd.nn.readout import MILLION, THOUSAND, ReducedMaps
from midgd.train.cells import CellOptions, completed, draw_droplets, draw_mixtures, droplet_shifts, on_panel
from midgd.train.downsampling import downsample, poisson
from midgd.train.initialise import MIN_COMMON
from midgd.train.kinds import fit_kinds
from midgd.train.labels import SampleLabels
from midgd.train.mature import MatureLevel
from midgd.train.mosaic import Modality, Mosaic
from midgd.train.queries import Queries, query, read_out
from midgd.train.ridge import (
    LinearMap,
    Regression,
    adaptive_ridge,
    average,
    centred,
    reduce_rows,
    relevance,
    shared_ridge,
)
from midgd.train.smooth import known_profiles, smooth

Floats = NDArray[np.float32]

# Blocks of outputs, by the modality that they are learned from.
MIRNA_MODALITIES = ("mirna", "mature")


@dataclass(frozen=True)
class ReadoutOptions:
    """How the readout is fitted.

    Parameters
    ----------
    depths
        Expected library of the downsampled copies of every training sample; None is the sample as measured
        and comes first.
    copies
        Downsampled copies at each depth but the first.
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
    cells
        Droplets and mixtures; only with labels.
    seed
        Of everything that is drawn.
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
    cells: CellOptions = field(default_factory=CellOptions)
    seed: int = 0


class FittedReadout(NamedTuple):
    """The readout, and the kinds where the samples have labels."""

    readout: ProfileReadout
    kinds: KindExperts | None


class _Rows(NamedTuple):
    """Rows of a regression: targets (n, M) and weights (n,); None where all count alike."""

    target: Floats
    weight: Floats | None


def fit_readout(
    decoder: Decoder,
    prior: GaussianMixture,
    mosaic: Mosaic,
    options: ReadoutOptions | None = None,
    mature_level: MatureLevel | None = None,
    unpaired: Mapping[str, Modality] | None = None,
    labels: SampleLabels | None = None,
) -> FittedReadout:
    """Fit the readout of a trained decoder on the paired samples of a mosaic.

    Every map is the mean of a shared and an adaptive ridge regression (:mod:`midgd.train.ridge`). The core genes are
    those that all samples that are not from label pairs measured.

    Parameters
    ----------
    decoder, prior
        Trained on the mosaic.
    mosaic
        Samples with ``"mrna"`` and ``"mirna"``; ``"mature"`` with a mature level.
    options
        How.
    mature_level
        With it, the outputs after those of ``"mirna"`` are mature miRNAs: as counted in ``"mature"`` where a sample
        has it, elsewhere what goes with its stem-loops.
    unpaired
        Samples without mRNA, by default those of the mosaic; beside the paired ones they tell which miRNAs go together
        at ``"mirna"``, ``"mature"`` or both.
    labels
        What the samples are. With them, droplets and mixtures are drawn and the kinds are fitted too.

    Returns
    -------
    The readout and, with labels, the experts of the kinds.
    """
    options = options or ReadoutOptions()
    both = mosaic["mrna"].present & mosaic["mirna"].present
    paired, labels = mosaic.take(both), None if labels is None else labels.take(both)
    unpaired = mosaic.take(~mosaic["mrna"].present).modalities if unpaired is None else unpaired
    rng = np.random.default_rng(options.seed)
    plain = _plain_queries(decoder, prior, paired, options, rng)
    shifts = {} if labels is None else droplet_shifts(paired["mrna"], labels)
    rate = completed(paired["mrna"], plain[0].profile)
    drawn: list[Queries] = []
    panels: list[Queries] = []
    if labels is not None and labels.pure.any():
        drawn, panels = _drawn_queries(decoder, prior, rate, labels, shifts, options, rng)
    target = _targets(decoder, paired, plain[0].latent, mature_level)
    matched = np.ones(len(paired), bool) if labels is None else ~labels.from_pairs
    readout = _empty_readout(paired["mrna"], matched, target.shape[1], options)
    rows = _Rows(
        np.concatenate([np.tile(target, (len(plain), 1)), *(_mixed(q.parts, target) for q in drawn)]),
        None if labels is None else np.concatenate([q.parts @ labels.weight for q in [*plain, *drawn]]),
    )
    profile = np.concatenate([q.profile for q in [*plain, *drawn]])
    weight = None
    if options.adaptive is not None:
        component = prior.component_log_prob(torch.from_numpy(plain[0].latent)).argmax(1).numpy()
        weight = relevance(plain[0].profile, target, component)
    _fit_denoised(readout.wide.denoised, profile, rows, weight, len(paired), options)
    if readout.core is not None:
        own = readout.core_profile(torch.from_numpy(profile), MILLION).numpy()
        core = None if weight is None else weight[readout.core_genes.numpy()]
        _fit_denoised(readout.core.denoised, own, rows, core, len(paired), options)
    del profile
    if options.draws:
        tissues = np.ones(len(paired), bool) if labels is None or labels.of_cells.all() else ~labels.of_cells
        rows = _Rows(target[tissues], None if labels is None else labels.weight[tissues])
        _fit_counts(readout, rate[tissues], rows, options, rng)
    if options.noise is not None:
        tissues = target if labels is None else target[~labels.from_pairs]
        _smooth_levels(readout, np.split(tissues, [paired["mirna"].n_features], axis=1), unpaired, options.noise)
    kinds = None if labels is None else _fit_kinds(decoder, readout, [*plain, *drawn, *panels], target, labels, prior)
    return FittedReadout(readout.requires_grad_(False), kinds)


def _plain_queries(
    decoder: Decoder, prior: GaussianMixture, paired: Mosaic, options: ReadoutOptions, rng: np.random.Generator
) -> list[Queries]:
    """The samples themselves, at every depth; the first are as measured."""
    mrna, everyone = paired["mrna"], np.eye(len(paired), dtype=np.float32)
    measured = np.where(mrna.measured, mrna.counts, 0.0).astype(np.float32)
    depths = options.depths[:1] + options.depths[1:] * options.copies
    return [
        query(decoder, prior, Modality(downsample(measured, depth, rng), mrna.patterns, mrna.pattern), everyone)
        for depth in depths
    ]


def _drawn_queries(
    decoder: Decoder,
    prior: GaussianMixture,
    rate: Floats,
    labels: SampleLabels,
    shifts: dict[str, Floats],
    options: ReadoutOptions,
    rng: np.random.Generator,
) -> tuple[list[Queries], list[Queries]]:
    """Droplets at every depth and mixtures, which come last; droplets on a panel, which only tell kinds apart."""
    cells = options.cells
    drawn = [draw_droplets(rate, labels, shifts, molecules, rng) for molecules in cells.droplets]
    panels = [on_panel(drawn[-1], cells.panel_genes, rng)]
    drawn.append(draw_mixtures(rate, labels, cells.n_mixtures, rng))
    return tuple([query(decoder, prior, d.mrna, d.parts) for d in part if len(d.parts)] for part in (drawn, panels))  # type: ignore[return-value]


def _mixed(parts: Floats, target: Floats) -> Floats:
    """log1p CPM of mixtures of samples, (n, M)."""
    return np.log1p(parts @ np.expm1(target))


def _empty_readout(
    mrna: Modality, matched: NDArray[np.bool_], n_outputs: int, options: ReadoutOptions
) -> ProfileReadout:
    common = np.flatnonzero(mrna.measured[matched].all(0))
    core = common if MIN_COMMON <= len(common) < mrna.n_features else common[:0]
    counts_rank = options.draw_rank if options.draws else 0
    readout = ProfileReadout(mrna.n_features, n_outputs, options.rank, len(core), counts_rank)
    readout.core_genes.copy_(torch.from_numpy(core))
    return readout


@torch.no_grad()
def _targets(decoder: Decoder, paired: Mosaic, latent: Floats, mature_level: MatureLevel | None) -> Floats:
    """log1p CPM of all outputs, (n, M)."""
    # A miRNA that a source did not measure is completed by the decoder.
    decoded = torch.log1p(decoder.log_share(torch.from_numpy(latent), "mirna").exp() * MILLION).numpy()
    stem = np.where(paired["mirna"].measured, paired["mirna"].log_cpm, decoded)
    if mature_level is None:
        return stem
    return np.hstack([stem, np.where(paired["mature"].measured, paired["mature"].log_cpm, mature_level(stem))])


def _fit_kinds(
    decoder: Decoder,
    readout: ProfileReadout,
    queries: list[Queries],
    target: Floats,
    labels: SampleLabels,
    prior: GaussianMixture,
) -> KindExperts:
    """The kinds, from what the readout misses.

    What it misses is measured with the full weight of the maps from counts, which know tissues alone. A query that is
    surely a cell gets an answer without them (:mod:`midgd.infer.weights`), so kinds of cells add more than the other
    maps miss of the cells and droplets that train. Real cells are nearer to tissues than those are: with effects fitted
    to the very answer, differences between CITE-seq cells had .70 of the measured size instead of .84, stromal miRNAs
    in lymphocytes were 2.0 log2 too high instead of .4, and errors 9 % larger; with one and a half times such effects
    1.6 and 6 %.
    """
    parts = np.concatenate([q.parts for q in queries])
    missed = np.concatenate([_mixed(q.parts, target) - read_out(decoder, readout, q) for q in queries])
    latents = np.concatenate([q.latent for q in queries])
    return fit_kinds(latents, parts @ labels.indicator, missed, labels.cell_kinds, prior.mean.detach().numpy())


def _smooth_levels(
    readout: ProfileReadout,
    paired: list[NDArray[np.float32]],
    unpaired: Mapping[str, Modality],
    noise: float,
) -> None:
    """Smooth the outputs of every level (in place), after all its known profiles."""
    start = 0
    for level, own in zip(MIRNA_MODALITIES, paired, strict=True):
        if own.shape[1] and len(own) > 1:
            profiles, features = known_profiles(unpaired.get(level), own)
            smooth(readout, profiles, start + features, noise)
        start += own.shape[1]


def _fit_denoised(
    maps: ReducedMaps, profile: Floats, rows: _Rows, relevant: Floats | None, n: int, options: ReadoutOptions
) -> None:
    """Fit in place, from profiles of which the first n are at full depth."""
    deep_weight = None if rows.weight is None else rows.weight[:n]
    every_depth, deep = centred(profile, *rows), centred(profile[:n], rows.target[:n], deep_weight)
    penalty = options.ridge * float(deep.profile.square().sum()) / n
    reduced, reduced_deep = (reduce_rows(sample, options.rows) for sample in (every_depth, deep))
    fitted = []
    # Deep samples are not reduced for the shared regression: small directions are evidence there.
    for shared, adaptive in ((reduced, reduced), (deep, reduced_deep)):
        regressions = [shared_ridge(shared, penalty)]
        if relevant is not None and options.adaptive is not None:
            regressions.append(adaptive_ridge(adaptive, relevant, penalty=options.adaptive, n_features=options.n_genes))
        fitted.append(average(regressions))
    _fill(maps, reduced_deep, fitted)


def draw_counts(rate: Floats, molecules: float, generator: np.random.Generator) -> Floats:
    """Counts profiles of molecules that are drawn from samples.

    Parameters
    ----------
    rate
        (n, G) shares.
    molecules
        Expected number of molecules of a sample.
    generator
        Source of randomness.

    Returns
    -------
    (n, G) log1p counts per thousand.
    """
    counts = torch.from_numpy(poisson(molecules * rate, generator))
    return counts.mul_(THOUSAND / counts.sum(1, keepdim=True).clamp_min(1.0)).log1p_().numpy()


def _fit_counts(
    readout: ProfileReadout, rate: Floats, rows: _Rows, options: ReadoutOptions, rng: np.random.Generator
) -> None:
    """Fit the maps from counts profiles in place, on molecules drawn from shares (n, G) of tissues.

    Not from cells: a cell of a known kind is answered without these maps, and with cells and mixtures among the rows
    they answered tissues worse (validation patients at 1,000 counts .645 instead of .650).

    What a sample did not measure is drawn from the decoder's completion: so the regression on all genes, too, knows
    the tissues that were measured in core genes only.
    """
    draws = options.draws * options.copies
    drawn = np.empty((len(draws) * len(rate), rate.shape[1]), np.float32)
    for part, molecules in zip(np.split(drawn, len(draws)), draws, strict=True):
        part[:] = draw_counts(rate, molecules, rng)
    weight = None if rows.weight is None else np.tile(rows.weight, len(draws))
    every_draw = _Rows(np.tile(rows.target, (len(draws), 1)), weight)
    _fit_drawn(readout.wide.counts, drawn, every_draw, options)
    if readout.core is not None:
        own = readout.core_profile(torch.from_numpy(drawn), THOUSAND).numpy()
        _fit_drawn(readout.core.counts, own, every_draw, options)


def _fit_drawn(maps: ReducedMaps | None, profile: Floats, rows: _Rows, options: ReadoutOptions) -> None:
    assert maps is not None  # made by fit_readout: tell mypy
    sample = centred(profile, *rows)
    reduced = reduce_rows(sample, options.rows)
    penalty = options.draw_ridge * float(sample.profile.square().sum()) / sample.n
    _fill(maps, reduced, [shared_ridge(reduced, penalty)])


def _fill(maps: ReducedMaps, sample: Regression, fitted: list[LinearMap]) -> None:
    """Put linear maps, reduced to the rank of `maps`, in their place; a sample tells the directions that matter."""
    basis, slopes = _reduce_rank(sample.profile.numpy(), [m.slopes for m in fitted], maps.rank)
    with torch.no_grad():
        maps.mean = nn.Parameter(torch.tensor(sample.centre))
        maps.basis[:, : basis.shape[1]] = torch.from_numpy(basis)
        maps.slopes[:, : basis.shape[1]] = torch.from_numpy(slopes)
        at_mean = [m.intercept + sample.centre @ m.slopes for m in fitted]
        maps.intercepts.copy_(torch.from_numpy(np.stack(at_mean)))


def _reduce_rank(
    profile: NDArray[np.float32], slopes: list[NDArray[np.float32]], rank: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factors (G, k) and (n_maps, k, M) of slopes (G, M), projected on the k leading directions of all predictions."""
    predicted = np.hstack([profile @ part for part in slopes]).astype(np.float64)
    variance, combinations = np.linalg.eigh(predicted @ predicted.T)
    kept = np.argsort(-variance)[: min(rank, *predicted.shape)]
    combinations = combinations[:, kept] / np.sqrt(np.maximum(variance[kept], 1e-12 * variance.max()))
    leading = (combinations.T @ predicted).astype(np.float32)
    of_maps = np.stack(np.hsplit(leading, len(slopes)))
    basis = np.zeros((len(slopes[0]), len(kept)), np.float32)
    for part, of_part in zip(slopes, of_maps, strict=True):
        basis += part @ of_part.T
    return basis, of_maps
