"""The dual regressions against their primal forms, one target at a time."""

from __future__ import annotations

import numpy as np
import pytest

from midgd.train.ridge import LinearMap, adaptive_ridge, average, centred, reduce_rows, relevance, shared_ridge

RNG = np.random.default_rng(0)
N, G, M = 40, 30, 5
X = (RNG.normal(size=(N, G)) * RNG.uniform(0.2, 2.0, G) + 3.0).astype(np.float32)
Y = (X @ RNG.normal(size=(G, M)) * 0.3 + RNG.normal(size=(N, M))).astype(np.float32)
GROUPS = np.repeat(np.arange(4), 10)


def primal(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    centred = (x - x.mean(0)).astype(float)
    return np.linalg.solve(centred.T @ centred + penalty * np.eye(x.shape[1]), centred.T @ (y - y.mean(0)))


def answers(found: LinearMap, x: np.ndarray) -> np.ndarray:
    return x @ found.slopes + found.intercept


@pytest.mark.parametrize("n_rows", [20, N])
def test_shared_equals_primal(n_rows):
    """With fewer rows than features and with more."""
    found = shared_ridge(centred(X[:n_rows], Y[:n_rows]), 2.5)
    np.testing.assert_allclose(found.slopes, primal(X[:n_rows], Y[:n_rows], 2.5), atol=2e-4)
    np.testing.assert_allclose(answers(found, X[:n_rows]).mean(0), Y[:n_rows].mean(0), atol=1e-4)


def test_relevance_is_the_product_of_two_correlations():
    found = relevance(X, Y, GROUPS)
    x, y = X[:, 3].astype(float), Y[:, 2].astype(float)
    within = [v - np.array([v[GROUPS == g].mean() for g in GROUPS]) for v in (x, y)]
    overall = [v - v.mean() for v in (x, y)]
    soft = [np.mean(a * b) / (a.std() + 0.2) / b.std() for a, b in (overall, within)]
    assert found[3, 2] == pytest.approx(abs(np.prod(soft)) / np.sqrt(x.std() + 0.2), rel=1e-4)


def test_a_gene_that_only_marks_groups_counts_nothing():
    x = X.copy()
    x[:, 0] = GROUPS
    y = Y.copy()
    y[:, 0] += 3 * GROUPS
    assert relevance(x, y, GROUPS)[0, 0] < 1e-5


@pytest.mark.parametrize("n_features", [7, G, 100])
def test_adaptive_equals_primal_on_weighted_features(n_features):
    weight = relevance(X, Y, GROUPS)
    found = adaptive_ridge(centred(X, Y), weight, penalty=0.7, n_features=n_features)
    for m in range(M):
        chosen = np.argsort(-weight[:, m])[:n_features]
        weighted = (X - X.mean(0))[:, chosen] * weight[chosen, m]
        penalty = 0.7 * np.square(weighted).sum() / N
        expected = np.zeros(G)
        expected[chosen] = weight[chosen, m] * primal(weighted, Y[:, m], penalty)
        np.testing.assert_allclose(found.slopes[:, m], expected, atol=1e-3)
    np.testing.assert_allclose(answers(found, X).mean(0), Y.mean(0), atol=1e-4)


def test_reduced_rows_change_little():
    """Three noisy copies of 40 samples hold no more than 60 directions worth keeping."""
    x = np.concatenate([X + RNG.normal(0, 0.05, X.shape).astype(np.float32) for _ in range(3)])
    y, weight = np.concatenate([Y] * 3), relevance(X, Y, GROUPS)
    everything = centred(x, y)
    for fit, limit in (
        (lambda sample: adaptive_ridge(sample, weight, penalty=1.0, n_features=G), 0.15),
        (lambda sample: shared_ridge(sample, 5.0), 0.2),
    ):
        full, reduced = fit(everything), fit(reduce_rows(everything, 28))
        np.testing.assert_allclose(answers(reduced, X), answers(full, X), atol=limit)


def test_as_many_rows_as_there_are_change_nothing():
    sample = centred(X, Y)
    assert reduce_rows(sample, N) is sample
    reduced = reduce_rows(sample, G)
    np.testing.assert_allclose(reduced.profile.T @ reduced.profile, sample.profile.T @ sample.profile, atol=1e-2)
    np.testing.assert_allclose(reduced.profile.T @ reduced.target, sample.profile.T @ sample.target, atol=1e-2)


def test_a_target_that_does_not_vary_is_left_alone():
    y = Y.copy()
    y[:, 1] = 4.0
    found = adaptive_ridge(centred(X, y), relevance(X, y, GROUPS), penalty=1.0, n_features=5)
    assert not found.slopes[:, 1].any() and found.intercept[1] == pytest.approx(4.0)


def test_average_answers_with_the_mean():
    maps = [shared_ridge(centred(X, Y), penalty) for penalty in (0.1, 10.0)]
    expected = np.mean([answers(m, X) for m in maps], axis=0)
    np.testing.assert_allclose(answers(average(maps), X), expected, atol=1e-4)
