from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from midgd.metrics import per_feature_correlation, per_sample_correlation, within_group_correlation

SLOW = {"spearman": stats.spearmanr, "pearson": stats.pearsonr}


def tables(seed: int, n: int = 20, features: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.poisson(2.0, (n, features)).astype(float)  # few distinct values: many ties
    return truth, truth + rng.poisson(2.0, (n, features))


@pytest.mark.parametrize("method", ["spearman", "pearson"])
@given(seed=st.integers(0, 10_000))
def test_per_feature_equals_a_loop_over_scipy(method: str, seed: int) -> None:
    truth, predicted = tables(seed)
    expected = [SLOW[method](truth[:, j], predicted[:, j]).statistic for j in range(truth.shape[1])]
    np.testing.assert_allclose(per_feature_correlation(truth, predicted, method), expected, atol=1e-12)


@pytest.mark.parametrize("method", ["spearman", "pearson"])
def test_per_sample_equals_a_loop_over_scipy(method: str) -> None:
    truth, predicted = tables(1)
    expected = [SLOW[method](truth[i], predicted[i]).statistic for i in range(len(truth))]
    np.testing.assert_allclose(per_sample_correlation(truth, predicted, method), expected, atol=1e-12)


@pytest.mark.parametrize("method", ["spearman", "pearson"])
def test_constant_truth_is_nan_and_constant_prediction_is_zero(method: str) -> None:
    truth = np.array([[1.0, 0.1, 0.1], [2.0, 0.1, 0.1], [3.0, 0.1, 0.1]])
    predicted = np.array([[0.1, 5.0, 0.1], [0.1, 6.0, 0.1], [0.1, 7.0, 0.1]])
    np.testing.assert_array_equal(per_feature_correlation(truth, predicted, method), [0.0, np.nan, np.nan])


def test_within_groups_is_the_weighted_mean_and_leaves_small_groups_out() -> None:
    truth, predicted = tables(2, n=30)
    truth[:12, 3] = 4.0  # constant in the first group: only the second counts there
    groups = np.array(["a"] * 12 + ["b"] * 15 + ["c"] * 3)
    r = [per_feature_correlation(truth[groups == g], predicted[groups == g]) for g in "ab"]
    expected = (12 * r[0] + 15 * r[1]) / 27
    expected[3] = r[1][3]
    np.testing.assert_allclose(within_group_correlation(truth, predicted, groups), expected, atol=1e-12)


def test_differences_between_groups_do_not_help_within_them() -> None:
    rng = np.random.default_rng(3)
    groups = np.repeat([0, 1], 200)
    level = 50.0 * groups[:, None]
    truth, predicted = level + rng.normal(size=(400, 5)), level + rng.normal(size=(400, 5))
    assert per_feature_correlation(truth, predicted).min() > 0.6
    assert np.abs(within_group_correlation(truth, predicted, groups)).max() < 0.25


def test_no_group_large_enough_gives_nan() -> None:
    truth, predicted = tables(4, n=6)
    assert np.isnan(within_group_correlation(truth, predicted, ["a"] * 6)).all()


def test_errors_name_what_is_wrong() -> None:
    truth, predicted = tables(5)
    with pytest.raises(ValueError, match=r"truth \(20, 7\) and predicted \(20, 6\)"):
        per_feature_correlation(truth, predicted[:, :6])
    with pytest.raises(ValueError, match="predicted holds NaN"):
        per_feature_correlation(truth, np.full_like(truth, np.nan))
    with pytest.raises(ValueError, match="unknown method 'kendall'"):
        per_feature_correlation(truth, predicted, "kendall")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one label for each of 20 samples"):
        within_group_correlation(truth, predicted, ["a"])
