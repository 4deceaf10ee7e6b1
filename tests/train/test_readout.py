"""The readout recovers a linear map; downsampling; arms; calibration."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from midgd.infer import Predictor
from midgd.infer.profiles import shown_by
from midgd.nn import Decoder, DecoderSpec, GaussianMixture, ProfileReadout, Profiles, Weights
from midgd.reference import Reference
from midgd.train import CellOptions, Modality, Mosaic, ReadoutOptions, SampleLabels, fit_readout
from midgd.train.cells import completed
from midgd.train.downsampling import downsample
from midgd.train.queries import query
from midgd.train.readout import draw_counts

# A ridge of 1e-6 is below the noise of single precision: the maps then differ in the second digit.
DEEP = ReadoutOptions(depths=(None,), ridge=1e-4, adaptive=None, rank=3, noise=None, draws=())


@pytest.fixture(scope="module")
def linear() -> tuple[Decoder, GaussianMixture, Mosaic]:
    """Very deep samples whose log miRNA is linear in three directions of the log mRNA; an untrained decoder."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(80, 3))
    share = np.exp(rng.normal(0, 1, 60) + hidden @ rng.normal(0, 0.3, (3, 60)))
    mirna = np.exp(4 + rng.normal(0, 1, 8) + hidden @ rng.normal(0, 0.3, (3, 8)))
    mrna = 1e7 * share / share.sum(1, keepdims=True)
    torch.manual_seed(0)
    decoder = Decoder(DecoderSpec(n_latent=2, n_hidden=0), {"mrna": 60, "mirna": 8}).requires_grad_(False)
    mosaic = Mosaic({"mrna": Modality.from_mask(mrna), "mirna": Modality.from_mask(mirna)})
    return decoder, GaussianMixture(1, 2).requires_grad_(False), mosaic


def log1p_cpm(counts: np.ndarray) -> np.ndarray:
    return np.log1p(1e6 * counts / counts.sum(1, keepdims=True))


def queries(decoder: Decoder, prior: GaussianMixture, mosaic: Mosaic, depth: float | None = None, rng=None):
    """The samples of a mosaic as queries of a depth."""
    mrna = mosaic["mrna"]
    counts = downsample(np.where(mrna.measured, mrna.counts, 0.0).astype(np.float32), depth, rng)
    everyone = np.eye(len(mosaic), dtype=np.float32)
    return query(decoder, prior, Modality(counts, mrna.patterns, mrna.pattern), everyone)


def decoded(decoder: Decoder, latent: np.ndarray) -> np.ndarray:
    return torch.log1p(decoder.log_share(torch.tensor(latent), "mirna").exp() * 1e6).numpy()


def answer(readout: ProfileReadout, profile: np.ndarray, deep: float, *, all_genes: float = 1.0) -> torch.Tensor:
    """What a readout gives for denoised profiles alone, at one weight of the deep map."""
    n = len(profile)
    return readout(Profiles(torch.tensor(profile)), Weights(torch.full((n,), deep), torch.zeros(n), all_genes))


def test_recovers_a_linear_map(linear):
    decoder, prior, mosaic = linear
    readout = fit_readout(decoder, prior, mosaic.take(np.arange(50)), dataclasses.replace(DEEP, rank=6)).readout
    held_out = mosaic.take(np.arange(50, 80))
    profile = queries(decoder, prior, held_out).profile
    truth = log1p_cpm(held_out["mirna"].counts)
    for evidence in (0.0, 1.0):  # learned at one depth only, both maps are the same
        predicted = answer(readout, profile, evidence).numpy()
        error = ((predicted - truth) ** 2).sum() / ((truth - truth.mean(0)) ** 2).sum()
        assert error < 0.02


def test_equals_primal_ridge_at_full_rank(linear):
    decoder, prior, mosaic = linear
    options = dataclasses.replace(DEEP, depths=(None, 2_000.0), copies=2, ridge=0.5, rank=16, seed=3)
    readout = fit_readout(decoder, prior, mosaic, options).readout
    generator = np.random.default_rng(3)
    profiles = [queries(decoder, prior, mosaic, depth, generator).profile for depth in (None, 2_000.0, 2_000.0)]
    target = log1p_cpm(mosaic["mirna"].counts)
    penalty = 0.5 * ((profiles[0] - profiles[0].mean(0)) ** 2).sum() / 80
    query = profiles[1][:5] + 0.3
    for evidence, x, y in ((0.0, np.vstack(profiles), np.tile(target, (3, 1))), (1.0, profiles[0], target)):
        centred = (x - x.mean(0)).astype(float)
        slopes = np.linalg.solve(centred.T @ centred + penalty * np.eye(60), centred.T @ (y - y.mean(0)))
        expected = (query - x.mean(0)) @ slopes + y.mean(0)
        found = answer(readout, query, evidence).numpy()
        np.testing.assert_allclose(found, expected, atol=5e-3)


def test_adaptive_regressions_help_where_one_gene_carries_a_mirna(linear):
    """A gene beside the three directions that all share is what one miRNA follows: a host gene."""
    decoder, prior, mosaic = linear
    rng = np.random.default_rng(1)
    own = rng.normal(size=80)
    mrna, mirna = mosaic["mrna"].counts.copy(), mosaic["mirna"].counts.copy()
    mrna[:, 7] = 2e4 * np.exp(own)
    mirna[:, 5] = 50 * np.exp(own)
    hosted = Mosaic({"mrna": Modality.from_mask(mrna), "mirna": Modality.from_mask(mirna)})
    train, test = hosted.take(np.arange(50)), hosted.take(np.arange(50, 80))
    profile = queries(decoder, prior, test).profile
    errors = []
    for adaptive in (None, 1.0):
        options = ReadoutOptions(depths=(None,), ridge=0.5, adaptive=adaptive, n_genes=20, rank=16, noise=None)
        predicted = answer(fit_readout(decoder, prior, train, options).readout, profile, 1.0).numpy()
        errors.append(np.square(predicted - log1p_cpm(mirna)[50:])[:, 5].mean())
    assert errors[1] < 0.8 * errors[0]


def test_genes_that_some_samples_lack_do_not_outvote_the_others(linear):
    """The mean of two regressions where the query has all genes, that of the common genes where it has no other."""
    decoder, prior, mosaic = linear
    seen = np.ones((80, 60), bool)
    seen[::2, 55:] = False
    partly = Mosaic({"mrna": Modality.from_mask(mosaic["mrna"].counts, seen), "mirna": mosaic["mirna"]})
    options = ReadoutOptions(depths=(None,), ridge=0.5, adaptive=None, rank=16, noise=None)
    readout = fit_readout(decoder, prior, partly, options).readout
    profile = queries(decoder, prior, partly).profile
    target = log1p_cpm(mosaic["mirna"].counts)
    answers = []
    for values in (log1p_cpm(np.expm1(profile[:, :55].astype(float))), profile.astype(float)):
        part, genes = values - values.mean(0), np.arange(values.shape[1])
        penalty = 0.5 * np.square(part).sum() / 80
        slopes = np.linalg.solve(part.T @ part + penalty * np.eye(len(genes)), part.T @ (target - target.mean(0)))
        answers.append(part[:5] @ slopes + target.mean(0))
    np.testing.assert_array_equal(readout.core_genes, np.arange(55))
    for all_genes in (0.0, 0.5):
        found = answer(readout, profile[:5], 1.0, all_genes=all_genes).numpy()
        expected = answers[0] + all_genes * (answers[1] - answers[0])
        np.testing.assert_allclose(found, expected, atol=5e-3)


def test_counts_are_answered_by_ridge_on_draws(linear):
    """Primal ridge, written out, on the very draws; it is half of the answer where there is no evidence of genes."""
    decoder, prior, mosaic = linear
    options = dataclasses.replace(DEEP, rank=16, draws=(50.0, 500.0), copies=2, draw_rank=16, seed=3)
    readout = fit_readout(decoder, prior, mosaic, options).readout
    generator = np.random.default_rng(3)
    profile = queries(decoder, prior, mosaic).profile
    rate = completed(mosaic["mrna"], profile)
    x = np.vstack([draw_counts(rate, molecules, generator) for molecules in (50.0, 500.0) * 2]).astype(float)
    y = np.tile(log1p_cpm(mosaic["mirna"].counts), (4, 1))
    part = x - x.mean(0)
    penalty = options.draw_ridge * np.square(part).sum() / len(x)
    slopes = np.linalg.solve(part.T @ part + penalty * np.eye(60), part.T @ (y - y.mean(0)))
    weights = Weights(torch.zeros(5), torch.full((5,), 0.5))
    own = answer(readout, profile[:5], 0.0).numpy()
    both = readout(Profiles(torch.tensor(profile[:5]), torch.tensor(x[:5], dtype=torch.float32)), weights).numpy()
    np.testing.assert_allclose(2 * both - own, (x[:5] - x.mean(0)) @ slopes + y.mean(0), atol=5e-3)


def test_draws_have_the_rates_of_their_sample():
    rate = np.random.default_rng(0).dirichlet(np.ones(20), 2).astype(np.float32)
    cells = draw_counts(np.repeat(rate, 4_000, 0), 300.0, np.random.default_rng(1))
    share = np.expm1(cells) / 1e3
    np.testing.assert_allclose(share.sum(1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(share.reshape(2, 4_000, 20).mean(1), rate, atol=2e-3)
    assert len(np.unique(np.round(share[:, 0] * 300))) > 10  # drawn, not scaled


def test_a_tissue_known_by_core_genes_alone_is_known_by_all(linear):
    """Its other genes are completed where it is learned from, so they do not contradict the ones it was known by."""
    decoder, prior, mosaic = linear
    seen = np.ones((80, 60), bool)
    seen[:50, 50:] = False
    partly = Mosaic({"mrna": Modality.from_mask(mosaic["mrna"].counts, seen), "mirna": mosaic["mirna"]})
    options = ReadoutOptions(depths=(None,), adaptive=None, rank=16, noise=None, draws=(1e5,), draw_ridge=0.01)
    readout = fit_readout(decoder, prior, partly, options).readout
    counts = mosaic["mrna"].counts[:50]
    cells = torch.tensor(np.log1p(1e3 * counts / counts.sum(1, keepdims=True)))
    truth = log1p_cpm(mosaic["mirna"].counts[:50])
    for maps, profile in ((readout.wide, cells), (readout.core, readout.core_profile(cells, 1e3))):
        error = np.square(maps.counts(profile, [torch.ones(len(profile))]).numpy() - truth).sum()
        assert error < 0.1 * np.square(truth - truth.mean(0)).sum()


def test_rank_is_a_limit_and_a_larger_one_fits_better(linear):
    decoder, prior, mosaic = linear
    profile = queries(decoder, prior, mosaic).profile
    truth, errors = log1p_cpm(mosaic["mirna"].counts), []
    for rank in (1, 2, 6):
        readout = fit_readout(decoder, prior, mosaic, dataclasses.replace(DEEP, rank=rank)).readout
        maps = readout.wide.denoised.basis @ readout.wide.denoised.slopes[0]
        assert readout.wide.denoised.rank == rank and torch.linalg.matrix_rank(maps, rtol=1e-4) <= rank
        errors.append(((answer(readout, profile, 0.0).numpy() - truth) ** 2).mean())
    assert errors[0] > errors[1] > errors[2]


def test_samples_that_lack_a_modality_are_skipped(linear):
    decoder, prior, mosaic = linear
    seen = np.ones((80, 8), bool)
    seen[50:] = False
    partly = Mosaic({"mrna": mosaic["mrna"], "mirna": Modality.from_mask(mosaic["mirna"].counts, seen)})
    one, two = (fit_readout(decoder, prior, m, DEEP).readout.state_dict() for m in (partly, mosaic.take(np.arange(50))))
    for name, value in one.items():
        torch.testing.assert_close(value, two[name])


def test_unmeasured_mirna_is_completed_by_the_decoder(linear):
    decoder, prior, mosaic = linear
    seen = np.ones((80, 8), bool)
    seen[:, 7] = False  # never measured: all that is known about it is what the decoder says
    partly = Mosaic({"mrna": mosaic["mrna"], "mirna": Modality.from_mask(mosaic["mirna"].counts, seen)})
    readout = fit_readout(decoder, prior, partly, dataclasses.replace(DEEP, rank=8)).readout
    seen_as = queries(decoder, prior, mosaic)
    profile, expected = seen_as.profile, decoded(decoder, seen_as.latent)[:, 7].mean()
    found = answer(readout, profile, 1.0).numpy()[:, 7]
    assert expected > 1.0
    np.testing.assert_allclose(found.mean(), expected, atol=1e-2)


def test_queries_follow_the_patterns(linear):
    decoder, prior, mosaic = linear
    seen = np.ones((80, 60), bool)
    seen[::2, 40:] = False
    partly = Mosaic({"mrna": Modality.from_mask(mosaic["mrna"].counts, seen), "mirna": mosaic["mirna"]})
    found, full = queries(decoder, prior, partly), queries(decoder, prior, mosaic)
    profile = found.profile
    np.testing.assert_allclose(profile[1::2], full.profile[1::2], atol=1e-5)
    np.testing.assert_allclose(decoded(decoder, found.latent)[1::2], decoded(decoder, full.latent)[1::2], atol=1e-5)
    row, genes = mosaic["mrna"].take(np.array([2])).counts[:, :40], torch.arange(40)
    infer = Predictor(_reference(decoder, prior), np.arange(40)).infer
    log_share = decoder.log_share(infer(row).z, "mrna")
    expected = shown_by(decoder.head("mrna"), log_share, torch.tensor(row), genes).denoised
    np.testing.assert_allclose(profile[2], expected[0], atol=1e-3)


def _reference(decoder: Decoder, prior: GaussianMixture) -> Reference:
    card = {"name": "linear", "genes": {"symbol": [""] * 60}, "mirnas": {"name": [""] * 8}}
    return Reference(card, decoder, prior)


def test_thin_reaches_its_depth_and_leaves_shallow_rows():
    rng = np.random.default_rng(0)
    counts = np.vstack([rng.poisson(100.0, (200, 50)), rng.poisson(1.0, (5, 50)), np.zeros((1, 50))]).astype(np.float32)
    downsampled = downsample(counts, 500.0, np.random.default_rng(1))
    np.testing.assert_array_equal(downsampled[200:], counts[200:])
    library = downsampled[:200].sum(1)
    assert library.mean() == pytest.approx(500.0, rel=0.02)
    assert library.var() == pytest.approx(500.0, rel=0.3)  # Poisson
    assert downsampled.dtype == np.float32 and (downsampled == downsampled.round()).all()
    np.testing.assert_allclose(downsampled[:200].mean(0), counts[:200].mean(0) / 10, rtol=0.15)
    assert downsample(counts, None, rng) is counts


@pytest.mark.parametrize("n_pure", [0, 2, 20])
def test_labels_bring_kinds_with_any_number_of_pure_samples(linear, n_pure):
    decoder, prior, mosaic = linear
    kind, nothing = (
        np.where(mosaic["mirna"].counts[:, 0] > np.median(mosaic["mirna"].counts[:, 0]), "A", "B"),
        [""] * 80,
    )
    labels = SampleLabels(kind, np.arange(80) < n_pure, np.array(nothing), np.zeros(80, bool), np.ones(80, np.float32))
    options = ReadoutOptions(depths=(None,), rank=8, cells=CellOptions((500.0,), panel_genes=20, n_mixtures=12))
    readout, kinds = fit_readout(decoder, prior, mosaic, options, labels=labels)
    sizes = {"n_latent": 2, "n_kinds": 2, "n_mirnas": 8, "cells": kinds.cells, "n_axes": 1}
    assert kinds is not None and kinds.sizes == sizes
    assert all(bool(torch.isfinite(value).all()) for part in (readout, kinds) for value in part.state_dict().values())


def test_the_map_from_counts_learns_from_tissues_alone(linear):
    """It is the same whatever the miRNA of cells, which are answered without it."""
    decoder, prior, mosaic = linear
    is_cell = np.arange(80) >= 60
    labels = SampleLabels(
        np.where(is_cell, "cell", "tissue"), is_cell, np.full(80, ""), np.zeros(80, bool), np.ones(80, np.float32)
    )
    options = ReadoutOptions(depths=(None,), adaptive=None, rank=8, draws=(1e3,), noise=None)
    options = dataclasses.replace(options, cells=CellOptions((500.0,), panel_genes=20, n_mixtures=12))
    other = mosaic["mirna"].counts.copy()
    other[is_cell] = other[is_cell][:, ::-1]
    changed = Mosaic({"mrna": mosaic["mrna"], "mirna": Modality.from_mask(other)})
    one, two = (fit_readout(decoder, prior, m, options, labels=labels).readout.wide for m in (mosaic, changed))
    torch.testing.assert_close(one.counts.state_dict(), two.counts.state_dict())
    assert (one.denoised.slopes - two.denoised.slopes).abs().max() > 0.01
    everyone = fit_readout(decoder, prior, mosaic, options).readout.wide.counts
    assert (one.counts.intercepts - everyone.intercepts).abs().max() > 0.01
