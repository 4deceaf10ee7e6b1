"""Standard deviations and intervals against their formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from midgd.infer.domain import Signs
from midgd.infer.uncertainty import TAIL_LEVELS, TAIL_PARTS, conditions, expected_sd, n_deviations
from midgd.reference import Calibration


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


CALIBRATION = Calibration(
    f32(0.1, 0.5, 0.9), np.array([[0.9, 2.0], [0.5, 1.5], [0.4, 1.0]], np.float32), np.zeros((3, 2), np.float32)
)


def signs(n: int, **values: float) -> Signs:
    return Signs(*(np.full(n, values.get(name, 0.0), np.float32) for name in Signs._fields))


def test_sd_is_interpolated_over_the_log_of_the_evidence():
    evidence = f32(0.0, 0.1, np.sqrt(0.05), 0.9, 1.0)
    sd = expected_sd(CALIBRATION, signs(5), evidence, evidence)
    # halfway between two depths on the log scale is halfway between their errors
    np.testing.assert_allclose(sd, [[0.9, 2], [0.9, 2], [0.7, 1.75], [0.4, 1], [0.4, 1]], rtol=1e-5)
    assert sd.dtype == np.float32


def test_widening_multiplies_the_variance_of_all_mirnas_of_a_sample():
    widening = np.log(f32(1, 1, 4, 1, 1, 9, 1, 1))  # fourfold a nat of ambiguity, ninefold a nat of surprise
    wide = replace(CALIBRATION, widening=widening)
    one, other, both = (
        expected_sd(wide, signs(1, **kwargs), f32(0.9), f32(0.9))[0]
        for kwargs in ({"ambiguity": 1.0}, {"surprise": 1.0}, {"ambiguity": 1.0, "surprise": 1.0})
    )
    np.testing.assert_allclose([one, other, both], np.outer([2.0, 3.0, 6.0], [0.4, 1.0]), rtol=1e-5)


def test_kinds_that_are_not_known_widen_nothing():
    unknown = Signs(f32(0.0), f32(0.0), f32(np.nan), f32(np.nan))
    assert np.isfinite(conditions(CALIBRATION, unknown, f32(0.0), f32(0.0))).all()


def test_the_score_widens_too():
    widening = f32(0, 0, 0, 0, 0, 0, 0, np.log(4))  # fourfold at a score of 1
    wide = replace(CALIBRATION, misfit=np.array([[0.0, 1.0]] * 3, np.float32), widening=widening)
    usual, edge, strange = (expected_sd(wide, signs(1, misfit=m), f32(0.9), f32(0.9))[0] for m in (0.0, 1.0, 99.0))
    np.testing.assert_allclose([usual, edge, strange], np.outer([1.0, np.sqrt(2), 2.0], [0.4, 1.0]), rtol=1e-5)


def test_widening_of_an_older_reference_knows_no_score():
    newer = replace(CALIBRATION, widening=f32(0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.4, 0.0))
    older = replace(CALIBRATION, widening=newer.widening[:7])
    own = [expected_sd(c, signs(1, surprise=0.3, ambiguity=0.4), f32(0.5), f32(0.5)) for c in (newer, older)]
    np.testing.assert_array_equal(*own)


@given(level=st.floats(0.01, 0.99), tails=st.lists(st.floats(0.1, 5.0), min_size=4, max_size=4))
def test_wider_intervals_hold_more_and_a_gaussian_has_its_own(level, tails):
    gaussian = norm.ppf((1 + np.array(TAIL_PARTS)) / 2)
    at = np.array([0.0, 3.3, 12.0])  # tails of all predictions: the same at any level
    np.testing.assert_allclose(n_deviations(level, None, at), norm.ppf((1 + level) / 2))
    np.testing.assert_allclose(n_deviations(level, gaussian, at), n_deviations(level, None, at))
    for known, expected in zip(TAIL_PARTS, tails, strict=True):
        np.testing.assert_allclose(n_deviations(known, np.array(tails), at), expected, rtol=1e-6)


def test_deviations_are_linear_between_the_levels_of_the_prediction():
    tails = np.arange(20.0).reshape(5, 4) + 1.0
    np.testing.assert_allclose(n_deviations(0.9, tails.ravel(), np.array(TAIL_LEVELS)), tails[:, 2])
    between = np.array([0.0, (TAIL_LEVELS[1] + TAIL_LEVELS[2]) / 2, 99.0])
    np.testing.assert_allclose(n_deviations(0.9, tails.ravel(), between), [3.0, 9.0, 19.0])
    assert n_deviations(0.5, tails.ravel(), np.zeros((2, 3))).shape == (2, 3)
