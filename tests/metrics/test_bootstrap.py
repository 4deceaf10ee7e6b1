from __future__ import annotations

import numpy as np
import pytest

from midgd.metrics import bootstrap_interval, bootstrap_values


def test_all_rows_of_a_unit_are_drawn_together() -> None:
    units = np.array(["p", "q", "p", "r", "q", "p"])
    sizes = {"p": 3, "q": 2, "r": 1}

    def check(rows: np.ndarray) -> float:
        drawn = {u: (units[rows] == u).sum() for u in sizes}
        assert all(count % sizes[u] == 0 for u, count in drawn.items())
        assert sum(count // sizes[u] for u, count in drawn.items()) == 3
        return 0.0

    bootstrap_values(check, units, n_boot=50)


def test_interval_of_a_mean_is_about_two_standard_errors() -> None:
    x = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap_interval(lambda rows: x[rows].mean(), np.arange(400), n_boot=2000)
    assert high - low == pytest.approx(2 * 1.96 * x.std() / 20, rel=0.1)
    assert low < x.mean() < high


def test_clusters_widen_the_interval() -> None:
    x = np.repeat(np.random.default_rng(1).normal(size=40), 10)
    alone = bootstrap_interval(lambda rows: x[rows].mean(), np.arange(400))
    clustered = bootstrap_interval(lambda rows: x[rows].mean(), np.arange(400) // 10)
    assert clustered[1] - clustered[0] > 2 * (alone[1] - alone[0])


def test_same_seed_same_draws_and_vectors_are_kept() -> None:
    values = bootstrap_values(lambda rows: [rows.mean(), 1.0], np.arange(9), n_boot=5, seed=3)
    assert values.shape == (5, 2)
    np.testing.assert_array_equal(
        values, bootstrap_values(lambda rows: [rows.mean(), 1.0], np.arange(9), n_boot=5, seed=3)
    )


def test_errors() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        bootstrap_values(lambda rows: 0.0, [])
    with pytest.raises(ValueError, match="n_boot is 0"):
        bootstrap_values(lambda rows: 0.0, ["a"], n_boot=0)
    with pytest.raises(ValueError, match="returned 2 numbers"):
        bootstrap_interval(lambda rows: [0.0, 0.0], ["a"])


def test_always_nan_gives_nan_ends() -> None:
    assert np.isnan(bootstrap_interval(lambda rows: np.nan, ["a", "b"])).all()
