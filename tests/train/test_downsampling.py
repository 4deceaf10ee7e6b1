"""Draws have the expected totals, do not depend on threads, and differ from row to row."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from midgd.train.downsampling import ROWS, downsample, poisson


@pytest.fixture
def rate() -> np.ndarray:
    return np.random.default_rng(0).gamma(0.5, 2.0, (2 * ROWS + 40, 30))


def test_draws_do_not_depend_on_threads(rate):
    before, draws = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            draws.append(poisson(rate, np.random.default_rng(1)))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*draws)


@pytest.mark.parametrize("n", [1, ROWS, 2 * ROWS + 40])
def test_draws_are_poisson(rate, n):
    rng = np.random.default_rng(2)
    draws = np.stack([poisson(rate[:n], rng) for _ in range(400)])
    z = (draws.mean(0) - rate[:n]) / np.sqrt(rate[:n] / len(draws) + 1e-9)
    assert draws.dtype == np.float32 and abs(z.std() - 1) < 0.25 and abs(z.mean()) < 0.7
    same = poisson(np.ones((n, 30)), rng)
    assert len(np.unique(same, axis=0)) == n  # no stream is used twice


def test_deep_rows_are_drawn_and_others_stay(rate):
    counts = np.rint(rate * np.repeat([1.0, 100.0], len(rate) / 2)[:, None]).astype(np.float32)
    drawn = downsample(counts, 300.0, np.random.default_rng(3))
    deep = counts.sum(1) > 300.0
    assert deep.any() and not deep.all()
    np.testing.assert_array_equal(drawn[~deep], counts[~deep])
    assert drawn[deep].sum(1).mean() == pytest.approx(300.0, rel=0.01)
    assert downsample(counts, None, np.random.default_rng(3)) is counts
