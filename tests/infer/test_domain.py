"""Misfit, out-of-domain score and expected errors against their formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from midgd.infer.domain import Signs, ambiguity, excess, lost, misfit, out_of_domain, surprise
from midgd.nn import NegativeBinomialHead
from midgd.reference import Calibration

CALIBRATION = Calibration(
    np.array([0.1, 0.5, 0.9], np.float32),
    np.array([[0.9, 2.0], [0.5, 1.5], [0.4, 1.0]], np.float32),
    np.array([[0.0, 1.0], [0.5, 1.0], [1.0, 3.0]], np.float32),
)


NOTHING_KNOWN = np.array([np.nan], np.float32)


def by_misfit(calibration: Calibration, misfits: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    unknown = NOTHING_KNOWN.repeat(len(misfits))
    return out_of_domain(calibration, Signs(misfits, 0 * misfits, unknown, unknown), evidence, evidence)


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_misfit_equals_its_formula():
    torch.manual_seed(0)
    head = NegativeBinomialHead(2, 9).requires_grad_(False)
    torch.nn.init.normal_(head.log_dispersion)
    genes = torch.tensor([1, 4, 5, 8])
    log_share = torch.log_softmax(torch.randn(3, 4), 1)
    counts = torch.tensor(np.random.default_rng(0).poisson(20.0, (3, 4)), dtype=torch.float32)
    r = head.dispersion[genes].numpy()
    found = misfit(head, log_share, counts, genes)
    for i in range(3):
        m = log_share[i].exp().numpy() * counts[i].sum().item()
        expected = np.log((((counts[i].numpy() - m) ** 2) / (1 + m / r)).sum() / m.sum())
        assert found[i].item() == pytest.approx(expected, rel=1e-4)


def test_misfit_is_about_zero_where_the_model_holds_and_grows_where_not():
    head = NegativeBinomialHead(2, 3_000).requires_grad_(False)
    rng, r = np.random.default_rng(0), head.dispersion.numpy()
    log_share = torch.log_softmax(torch.randn(5, 3_000), 1)
    mean = log_share.exp().numpy() * 2e4
    counts = torch.tensor(rng.poisson(rng.gamma(r, mean / r)), dtype=torch.float32)
    genes = torch.arange(3_000)
    assert misfit(head, log_share, counts, genes).abs().max() < 0.5
    assert (misfit(head, log_share, counts.flip(1), genes) > 1.0).all()


def test_misfit_of_an_empty_row_is_finite():
    head = NegativeBinomialHead(2, 4).requires_grad_(False)
    assert torch.isfinite(misfit(head, torch.full((1, 4), 0.25).log(), torch.zeros(1, 4), torch.arange(4))).all()


def test_score_at_the_median_and_at_the_95th_percentile():
    evidence = f32(0.1, 0.1, 0.1, 0.5, 0.9, 0.9)
    score = by_misfit(CALIBRATION, f32(-3.0, 0.0, 1.0, 1.0, 1.0, 3.0), evidence)
    np.testing.assert_allclose(score, [0.0, 0.0, 0.5, 0.5, 0.0, 0.5], atol=1e-6)
    assert score.dtype == np.float32


@given(evidence=st.floats(0, 1), misfits=st.lists(st.floats(-5, 50), min_size=2, max_size=10))
def test_score_grows_with_the_misfit_within_its_bounds(evidence, misfits):
    ordered = np.sort(np.array(misfits, np.float32))
    score = by_misfit(CALIBRATION, ordered, np.full(len(ordered), evidence, np.float32))
    assert (np.diff(score) >= 0).all() and score.min() >= 0 and score.max() <= 1


def test_far_outside_the_score_is_one():
    assert by_misfit(CALIBRATION, f32(100.0), f32(0.5))[0] == pytest.approx(1.0)


DOWN_TO_NOTHING = Calibration(
    f32(1e-4, 1e-2, 0.9), np.sqrt(f32(5.0, 3.0, 1.0))[:, None].repeat(2, 1), np.array([[0.0, 1.0]] * 3, np.float32)
)


def test_what_is_lost_grows_from_half_of_the_way_to_its_end():
    found = lost(DOWN_TO_NOTHING, f32(0.9, 1e-2, 1e-3, 1e-4, 1e-9))
    np.testing.assert_allclose(found, [0.0, 0.0, 0.5, 1.0, 1.0], atol=1e-5)


def test_a_filter_on_the_score_does_not_keep_the_emptiest_cells():
    score = by_misfit(DOWN_TO_NOTHING, np.zeros(4, np.float32), f32(1e-2, 1e-3, 3e-4, 1e-5))
    assert score[0] == 0.0 and (np.diff(score) > 0).all() and score[-1] == 1.0


def test_a_calibration_of_deep_samples_says_nothing_of_shallow_ones():
    assert (lost(CALIBRATION, f32(0.01, 0.5)) == 0).all()


def test_surprise_is_what_molecules_lack_in_likelihood():
    log_share = torch.log_softmax(torch.randn(3, 7, generator=torch.Generator().manual_seed(0)), 1)
    counts = torch.tensor([[0, 0, 0, 0, 0, 0, 0], [5, 0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7]], dtype=torch.float32)
    found = surprise(log_share, counts).numpy()
    p, x = log_share.exp().numpy(), counts.numpy()
    for i in (1, 2):
        expected = (p[i] * np.log(p[i])).sum() - (x[i] * np.log(p[i])).sum() / x[i].sum()
        assert found[i] == pytest.approx(expected, abs=1e-5)
    assert found[0] == 0.0
    as_expected = surprise(log_share, 1e6 * log_share.exp())
    assert as_expected.abs().max() < 1e-4


def test_ambiguity_is_the_entropy_of_the_kinds():
    found = ambiguity(torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0]]))
    np.testing.assert_allclose(found, np.log([1.0, 4.0, 2.0]), atol=1e-6)


@pytest.mark.parametrize("sign", Signs._fields)
def test_the_most_unusual_sign_decides(sign):
    usual = np.array([[0.0, 1.0]] * 3, np.float32)
    calibration = Calibration(CALIBRATION.evidence, CALIBRATION.sd, **dict.fromkeys(Signs._fields, usual))
    signs = Signs(*[f32(0.0)] * 4)
    assert out_of_domain(calibration, signs, f32(0.5), f32(0.5))[0] == 0.0
    assert out_of_domain(calibration, signs._replace(**{sign: f32(1.0)}), f32(0.5), f32(0.5))[0] == pytest.approx(0.5)
    assert out_of_domain(calibration, signs._replace(**{sign: f32(9.0)}), f32(0.5), f32(0.5))[0] == pytest.approx(1.0)


def test_half_is_where_one_in_twenty_held_out_samples_is_by_any_of_the_signs():
    usual = np.array([[0.0, 1.0]] * 3, np.float32)
    four = Calibration(CALIBRATION.evidence, CALIBRATION.sd, **dict.fromkeys(Signs._fields, usual))
    signs = Signs(*np.random.default_rng(0).normal(0.0, 0.6, (4, 4_000)).astype(np.float32))
    at = np.full(4_000, 0.5, np.float32)
    largest = np.maximum(np.max(signs, axis=0), 0.0)
    np.testing.assert_allclose(excess(four, signs, at, at), largest, rtol=1e-5)
    joint = replace(four, excess=np.full(3, np.quantile(largest, 0.95), np.float32))
    alarms = [(out_of_domain(c, signs, at, at) > 0.5).mean() for c in (four, joint)]
    assert alarms[0] > 0.12 and alarms[1] == pytest.approx(0.05, abs=0.002)


def test_panels_are_compared_at_the_reliability_of_their_own_genes_and_at_the_evidence_of_all():
    """Misfit is usual up to 1 in deep samples and up to .1 in shallow ones, ambiguity the other way round."""
    deep_and_shallow = f32(0.01, 0.9)
    usual = {"misfit": np.float32([[0.0, 0.1], [0.0, 1.0]]), "ambiguity": np.float32([[0.0, 2.0], [0.0, 0.1]])}
    calibration = Calibration(deep_and_shallow, np.ones((2, 1), np.float32), reliability=deep_and_shallow, **usual)
    signs = Signs(f32(0.9), f32(0.0), f32(1.8), NOTHING_KNOWN)
    of_panel = out_of_domain(calibration, signs, f32(0.01), f32(0.9))
    assert of_panel[0] < 0.5
    assert min(out_of_domain(calibration, signs, f32(e), f32(e))[0] for e in (0.01, 0.9)) > 0.9
