"""Droplets, mixtures and shifts against what they are made of."""

from __future__ import annotations

import numpy as np
import pytest

from midgd.train import Modality, SampleLabels
from midgd.train.cells import SOFTEN, completed, draw_droplets, draw_mixtures, droplet_shifts, on_panel, shifted

G = 50


@pytest.fixture
def labels() -> SampleLabels:
    """Two pure kinds in bulk, the same two as droplets of one study, and a tissue."""
    kind = np.array(["A", "B", "A", "B", "tissue"])
    study = np.array(["", "", "drops", "drops", ""])
    return SampleLabels(kind, kind != "tissue", study, kind != "tissue", np.ones(5, np.float32))


@pytest.fixture
def shift() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, G)


@pytest.fixture
def mrna(shift) -> Modality:
    """Droplets differ from bulk by a known shift; the last ten genes of the first sample were not measured."""
    rng = np.random.default_rng(0)
    bulk = rng.dirichlet(np.full(G, 5.0), 2)
    rates = np.vstack([bulk, bulk * np.exp(shift), rng.dirichlet(np.full(G, 5.0), 1)])
    counts = (1e5 * rates / rates.sum(1, keepdims=True)).astype(np.float32)
    measured = np.ones(counts.shape, bool)
    measured[0, 40:] = False
    return Modality.from_mask(np.where(measured, counts, np.nan), measured)


def test_shift_is_the_shrunk_mean_log_ratio(mrna, labels, shift):
    found = droplet_shifts(mrna, labels)["drops"]
    counts = mrna.counts.astype(float)
    ratio = np.zeros((2, G))
    for row, genes in ((0, np.arange(40)), (1, np.arange(G))):
        drop, bulk = (counts[i, genes] / counts[i, genes].sum() + SOFTEN for i in (row + 2, row))
        ratio[row, genes] = np.log(drop / bulk)
    n = np.where(np.arange(G) < 40, 2, 1)
    np.testing.assert_allclose(found, ratio.sum(0) / (n + 1), atol=1e-4)
    assert np.corrcoef(found, shift)[0, 1] > 0.95


def test_studies_without_bulk_of_the_same_kind_have_no_shift(mrna, labels):
    other = SampleLabels(np.array(["C", "D", "A", "B", "tissue"]), *list(vars(labels).values())[1:])
    assert droplet_shifts(mrna, other) == {}


def test_completed_keeps_what_was_measured_and_fills_the_rest(mrna):
    profile = np.log1p(1e6 * np.random.default_rng(3).dirichlet(np.full(G, 5.0), 5)).astype(np.float32)
    rate = completed(mrna, profile)
    np.testing.assert_allclose(rate.sum(1), 1.0, rtol=1e-4)
    denoised = np.expm1(profile[0]) / np.expm1(profile[0]).sum()
    np.testing.assert_allclose(rate[0, 40:], denoised[40:], rtol=1e-4)
    own = mrna.counts[0, :40]
    np.testing.assert_allclose(rate[0, :40] / rate[0, :40].sum(), own / own.sum(), rtol=1e-4)


def test_droplets_are_drawn_from_pure_samples_at_their_depth(labels):
    rate = np.random.default_rng(0).dirichlet(np.full(G, 1.0), 5).astype(np.float32)
    drawn = draw_droplets(rate, labels, {}, 5_000.0, np.random.default_rng(1))
    np.testing.assert_array_equal(drawn.parts, np.eye(5)[:4])
    total = drawn.mrna.counts.sum(1)
    assert ((total > 1_000) & (total < 25_000)).all() and (drawn.mrna.counts == drawn.mrna.counts.round()).all()
    np.testing.assert_allclose(drawn.mrna.counts / total[:, None], rate[:4], atol=0.03)


def test_only_bulk_is_shifted(labels, shift):
    rate = np.random.default_rng(0).dirichlet(np.full(G, 1.0), 4).astype(np.float32)
    found = shifted(rate, labels.droplet_study[:4] != "", {"drops": shift.astype(np.float32)}, np.random.default_rng(1))
    np.testing.assert_allclose(found[2:], rate[2:], rtol=1e-5)
    for row in (0, 1):
        ratio = np.log(found[row] / rate[row])
        slope = np.polyfit(shift, ratio, 1)[0]
        assert 0.3 <= slope <= 1.3
        np.testing.assert_allclose(ratio - ratio.mean(), slope * (shift - shift.mean()), atol=1e-3)


def test_mixtures_are_sums_of_their_parts(labels):
    rate = np.random.default_rng(0).dirichlet(np.full(G, 1.0), 5).astype(np.float32)
    drawn = draw_mixtures(rate, labels, 200, np.random.default_rng(1))
    np.testing.assert_allclose(drawn.parts.sum(1), 1.0, rtol=1e-5)
    assert set((drawn.parts > 0).sum(1)) == {2, 3}
    assert (drawn.parts[1::2, 4] > 0).all() and (drawn.parts[::2, 4] == 0).all()
    share = drawn.mrna.counts / drawn.mrna.counts.sum(1, keepdims=True)
    assert np.abs(share - drawn.parts @ rate).mean() < 0.01


def test_a_panel_has_its_number_of_genes_and_the_same_counts(labels):
    rate = np.random.default_rng(0).dirichlet(np.full(G, 1.0), 5).astype(np.float32)
    whole = draw_droplets(rate, labels, {}, 5_000.0, np.random.default_rng(1))
    panel = on_panel(whole, 12, np.random.default_rng(2)).mrna
    assert (panel.measured.sum(1) == 12).all()
    np.testing.assert_array_equal(panel.counts[panel.measured], whole.mrna.counts[panel.measured])


def test_labels_of_other_lengths_are_an_error(labels):
    with pytest.raises(ValueError, match="one length"):
        SampleLabels(labels.kind[:3], *list(vars(labels).values())[1:])
