"""Held-out errors: their size by depth, what goes with larger ones, and whether intervals made of them hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from midgd.infer.domain import out_of_domain
from midgd.infer.predict import Predictor
from midgd.infer.uncertainty import TAIL_PARTS, expected_sd, n_deviations
from midgd.metrics import log1p_cpm
from midgd.train import HeldOut, Modality, Mosaic, calibrate
from midgd.train.calibrate import STRANGERS, predict_held_out

DEPTHS = (None, 3_000.0, 500.0)


def test_calibration_is_the_error_of_held_out_samples(toy_reference, toy_pairs):
    held_out = toy_pairs.mosaic(~toy_pairs.train)
    calibration = calibrate(HeldOut(toy_reference, held_out, DEPTHS))
    n_outputs = 40 + len(toy_pairs.matures)
    assert (np.diff(calibration.evidence) > 0).all() and calibration.sd.shape == (3, n_outputs)
    prediction = Predictor(toy_reference, np.arange(600))(held_out["mrna"].counts)
    truth = np.hstack([log1p_cpm(held_out[name].counts) for name in ("mirna", "mature")])
    error = np.log1p(1e6 * prediction.share) - truth
    np.testing.assert_allclose(calibration.sd[-1], np.sqrt((error**2).mean(0)), rtol=1e-3)
    assert calibration.evidence[-1] == pytest.approx(np.median(prediction.evidence), rel=1e-4)
    np.testing.assert_allclose(
        calibration.misfit[-1], np.quantile(prediction.misfit, (0.5, 0.95)), rtol=1e-3, atol=1e-4
    )


def test_calibration_ignores_what_was_not_measured(toy_reference, toy_pairs):
    held_out = toy_pairs.mosaic(~toy_pairs.train)
    seen = np.ones(held_out["mirna"].counts.shape, bool)
    seen[5:, 0] = False  # measured in five samples: too few for an error of its own
    counts = np.where(seen, held_out["mirna"].counts, np.nan)
    partly = Mosaic(held_out.modalities | {"mirna": Modality.from_mask(counts, seen)})
    calibration = calibrate(HeldOut(toy_reference, partly, (None,)))
    assert np.isfinite(calibration.sd).all()
    assert calibration.sd[0, 0] == pytest.approx(np.median(calibration.sd[0, 1:]))


def test_held_out_predictions_come_back_in_order(toy_reference, toy_pairs):
    mrna = toy_pairs.mrna[~toy_pairs.train][:6]
    seen = np.ones(mrna.shape, bool)
    seen[[0, 2, 5], 400:] = False
    mosaic = Mosaic({"mrna": Modality.from_mask(mrna, seen)})
    found = predict_held_out(toy_reference, mosaic, None, np.random.default_rng(0))
    for i in range(6):
        genes = np.flatnonzero(seen[i])
        expected = Predictor(toy_reference, genes)(mrna[[i]][:, genes])
        np.testing.assert_allclose(found.share[[i]], expected.share, atol=1e-5)


@pytest.mark.parametrize("level", TAIL_PARTS)
def test_intervals_hold_the_part_of_held_out_errors_that_they_name(toy_reference, toy_pairs, level):
    held_out = toy_pairs.mosaic(~toy_pairs.train)
    calibration = calibrate(HeldOut(toy_reference, held_out, DEPTHS))
    truth = np.hstack([log1p_cpm(held_out[name].counts) for name in ("mirna", "mature")])
    rng, inside = np.random.default_rng(0), []
    for depth in DEPTHS:
        found = predict_held_out(toy_reference, held_out, depth, rng)
        error = np.abs(np.log1p(1e6 * found.share) - truth)
        inside.append(
            error
            <= n_deviations(level, calibration.tails, np.log1p(1e6 * found.share))
            * expected_sd(calibration, found.signs, found.evidence, found.reliability)
        )
    assert np.mean(inside) == pytest.approx(level, abs=0.02)


def test_signs_that_go_with_errors_widen_the_intervals(toy_reference, toy_pairs):
    """Permuted genes are a surprise, and the answer to them is wrong."""
    held_out = toy_pairs.mosaic(~toy_pairs.train)
    order = np.random.default_rng(1).permutation(600)
    strange = Mosaic(held_out.modalities | {"mrna": Modality.from_mask(held_out["mrna"].counts[:, order])})
    calibration = calibrate(HeldOut(toy_reference, held_out, DEPTHS), HeldOut(toy_reference, strange, DEPTHS, True))
    plain = replace(calibration, widening=None)
    factor = []
    for mosaic in (held_out, strange):
        found = predict_held_out(toy_reference, mosaic, None, np.random.default_rng(0))
        sd = [expected_sd(c, found.signs, found.evidence, found.reliability)[:, 0] for c in (calibration, plain)]
        factor.append(np.median(sd[0] / sd[1]))
    assert factor[1] > 1.2 * factor[0]


def test_one_in_twenty_held_out_samples_of_known_kinds_has_a_score_above_a_half(toy_reference, toy_pairs):
    held_out = toy_pairs.mosaic(~toy_pairs.train)
    calibration = calibrate(HeldOut(toy_reference, held_out, DEPTHS))
    found = predict_held_out(toy_reference, held_out, None, np.random.default_rng(0))
    score = out_of_domain(calibration, found.signs, found.evidence, found.reliability)
    assert (score > 0.5).mean() <= 0.05 + 1 / len(score)
    assert (score > 0.45).any()  # the most unusual ones are near it


def test_strangers_tell_errors_and_known_samples_what_is_usual(toy_reference, toy_pairs):
    held_out = toy_pairs.mosaic(~toy_pairs.train)
    shifted = Mosaic(held_out.modalities | {"mirna": Modality.from_mask(np.roll(held_out["mirna"].counts, 1, axis=1))})
    known = calibrate(HeldOut(toy_reference, held_out, (None,)))
    both = calibrate(HeldOut(toy_reference, held_out, (None,)), HeldOut(toy_reference, shifted, (None,), True))
    alone = calibrate(HeldOut(toy_reference, shifted, (None,)))
    np.testing.assert_array_equal(both.misfit, known.misfit)
    expected = (1 - STRANGERS) * known.sd**2 + STRANGERS * alone.sd**2
    np.testing.assert_allclose(both.sd[:, :40], np.sqrt(expected)[:, :40], rtol=1e-4)
