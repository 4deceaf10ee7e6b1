from __future__ import annotations

import numpy as np
import pytest

from midgd.bench.perturb import downsample, genes_kept


def test_mean_and_variance_are_binomial() -> None:
    counts = np.array([[400, 100, 500]])
    draws = np.concatenate([downsample(counts, 250, np.random.default_rng(s)) for s in range(4000)])
    np.testing.assert_allclose(draws.mean(0), [100, 25, 125], rtol=0.02)
    np.testing.assert_allclose(draws.var(0), [75, 18.75, 93.75], rtol=0.1)


def test_shallow_samples_stay_as_they_are_and_counts_never_grow() -> None:
    counts = np.array([[3, 4], [300, 400]])
    downsampled = downsample(counts, 50, np.random.default_rng(0))
    assert downsampled[0].tolist() == [3, 4]
    assert (downsampled <= counts).all()


def test_whole_numbers_stored_as_floats_are_counts_too() -> None:
    counts = np.array([[30.0, 20.0]])
    np.testing.assert_array_equal(downsample(counts, 50, np.random.default_rng(0)), counts)


def test_tpm_is_drawn_to_the_depth() -> None:
    tpm = np.tile([[0.25, 0.75]], (4000, 1))
    drawn = downsample(tpm, 100, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(0), [25, 75], rtol=0.02)
    np.testing.assert_allclose(drawn.var(0), [25, 75], rtol=0.1)


def test_empty_sample_and_wrong_depth() -> None:
    assert downsample(np.zeros((1, 3), dtype=int), 10, np.random.default_rng(0)).sum() == 0
    with pytest.raises(ValueError, match="depth is 0"):
        downsample(np.ones((1, 3), dtype=int), 0, np.random.default_rng(0))


def test_genes_missing() -> None:
    x = np.array([[5, 1, 100, 20], [5, 1, 100, 20]])
    assert genes_kept(x, 0.5, "abundant").tolist() == [True, True, False, False]
    rng = np.random.default_rng(0)
    kept = [genes_kept(x, 0.5, "random", rng) for _ in range(30)]
    assert all(k.sum() == 2 for k in kept)
    assert len({k.tobytes() for k in kept}) > 3
    assert genes_kept(x, 0.99, "abundant").sum() == 1


def test_genes_missing_errors() -> None:
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match="fraction_missing is 1"):
        genes_kept(x, 1, "abundant")
    with pytest.raises(TypeError, match="needs rng"):
        genes_kept(x, 0.5, "random")
    with pytest.raises(ValueError, match="unknown order"):
        genes_kept(x, 0.5, "least")  # type: ignore[arg-type]
