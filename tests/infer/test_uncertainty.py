"""Standard deviations and intervals against their formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from midgd.infer.domain import Signs
from midgd.infer.uncertainty import TAIL_PARTS, conditions, expected_sd, n_deviations
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
    sd = expected_sd(CALIBRATION, signs(5), evidence)
    # halfway between two depths on the log scale is halfway between their errors
    np.testing.assert_allclose(sd, [[0.9, 2], [0.9, 2], [0.7, 1.75], [0.4, 1], [0.4, 1]], rtol=1e-5)
    assert sd.dtype == np.float32


def test_widening_multiplies_the_variance_of_all_mirnas_of_a_sample():
    widening = np.log(f32(1, 1, 4, 1, 1, 9, 1))  # fourfold a nat of ambiguity, ninefold a nat of surprise
    wide = replace(CALIBRATION, widening=widening)
    one, other, both = (
        expected_sd(wide, signs(1, **kwargs), f32(0.9))[0]
        for kwargs in ({"ambiguity": 1.0}, {"surprise": 1.0}, {"ambiguity": 1.0, "surprise": 1.0})
    )
    np.testing.assert_allclose([one, other, both], np.outer([2.0, 3.0, 6.0], [0.4, 1.0]), rtol=1e-5)


def test_kinds_that_are_not_known_widen_nothing():
    unknown = Signs(f32(0.0), f32(0.0), f32(np.nan))
    assert np.isfinite(conditions(CALIBRATION, unknown, f32(0.0))).all()


@given(level=st.floats(0.01, 0.99), tails=st.lists(st.floats(0.1, 5.0), min_size=4, max_size=4))
def test_wider_intervals_hold_more_and_a_gaussian_has_its_own(level, tails):
    gaussian = norm.ppf((1 + np.array(TAIL_PARTS)) / 2)
    assert n_deviations(level, None) == pytest.approx(norm.ppf((1 + level) / 2))
    assert n_deviations(level, gaussian) == pytest.approx(n_deviations(level, None))
    for known, expected in zip(TAIL_PARTS, tails, strict=True):
        assert n_deviations(known, np.array(tails)) == pytest.approx(expected, rel=1e-6)
