from __future__ import annotations

import numpy as np
import pytest

from midgd.metrics import calibration_table, interval_coverage


def test_coverage_by_hand_with_ends_included() -> None:
    truth = np.array([[0.0, 1.0], [2.0, 3.0]])
    assert interval_coverage(truth, np.zeros((2, 2)), np.full((2, 2), 2.0)) == 0.75


def test_gaussian_intervals_hold_their_level() -> None:
    truth = np.random.default_rng(0).normal(size=(400, 50))
    zeros = np.zeros_like(truth)
    table = calibration_table(truth, {0.9: (zeros - 1.645, zeros + 1.645), 0.5: (zeros - 0.6745, zeros + 0.6745)})
    assert table["level"].tolist() == [0.5, 0.9]
    np.testing.assert_allclose(table["coverage"], table["level"], atol=0.01)
    np.testing.assert_allclose(table["width"], [1.349, 3.29])


def test_crossed_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="1 intervals have lower > upper"):
        interval_coverage([[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 0.0]])
