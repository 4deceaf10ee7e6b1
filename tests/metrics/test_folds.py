from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from midgd.metrics import fold_difference_correlation


def test_equals_a_loop_over_pairs_of_groups() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(17, 30))
    predicted = truth + rng.normal(size=(17, 30))
    groups = np.array(["a"] * 6 + ["b"] * 5 + ["c"] * 5 + ["one"])
    expected = np.mean(
        [
            stats.pearsonr(
                truth[groups == p].mean(0) - truth[groups == q].mean(0),
                predicted[groups == p].mean(0) - predicted[groups == q].mean(0),
            ).statistic
            for p, q in combinations("abc", 2)
        ]
    )
    assert fold_difference_correlation(truth, predicted, groups) == pytest.approx(expected)


def test_equal_predictions_count_as_zero_and_one_group_as_nan() -> None:
    truth = np.random.default_rng(1).normal(size=(4, 5))
    assert fold_difference_correlation(truth, np.ones((4, 5)), ["a", "a", "b", "b"]) == 0.0
    assert np.isnan(fold_difference_correlation(truth, truth, ["a"] * 4))
