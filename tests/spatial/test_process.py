"""Gaussian processes, against the formulas with whole matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from midgd.spatial import Places, Process, fit_process, smooth_map
from midgd.spatial.process import GAINS, LENGTHS, TILE, tiles


def section(seed: int, n: int = 40, columns: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places, values and relative noise; the first column has a smooth map."""
    rng = np.random.default_rng(seed)
    where = rng.uniform(0, np.sqrt(n), (n, 2))
    noise = rng.uniform(0.2, 2.0, n)
    values = rng.normal(size=(n, columns)) * np.sqrt(noise)[:, None]
    values[:, 0] += 3.0 * np.sin(where[:, 0])
    return where, values, noise


def covariance(a: Places, b: Places, length: float) -> np.ndarray:
    distance = np.linalg.norm(a.where[:, None] - b.where[None], axis=2)
    unlike = np.linalg.norm(a.traits[:, None] - b.traits[None], axis=2)
    return np.exp(-distance / length) * np.exp(-(unlike**2) / 2.0)


def with_traits(where: np.ndarray) -> Places:
    return Places(where, np.random.default_rng(8).normal(size=(len(where), 2)))


@pytest.mark.parametrize("seed", range(3))
def test_prediction_is_that_of_the_whole_matrix(seed):
    where, values, noise = section(seed)
    places = with_traits(where)
    at = with_traits(np.random.default_rng(seed + 50).uniform(-1, 8, (7, 2)))
    process = Process(1.7, np.array([2.0, 0.0, 0.3]), np.array([1.0, 2.0, 0.5]), np.array([0.1, -1.0, 3.0]))
    mean, variance = process.predict(at, places, values, noise)
    for c in range(3):
        signal = process.scale[c] * process.gain[c]
        known = signal * covariance(places, places, 1.7) + np.diag(process.scale[c] * noise)
        to = signal * covariance(at, places, 1.7)
        np.testing.assert_allclose(
            mean[:, c], process.mean[c] + to @ np.linalg.solve(known, values[:, c] - process.mean[c]), rtol=1e-8
        )
        slow = signal - np.diag(to @ np.linalg.solve(known, to.T))
        np.testing.assert_allclose(variance[:, c], slow, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("seed", range(2))
def test_fit_has_the_highest_marginal_likelihood(seed):
    """No length scale, with the gain of each column and scale and mean around those found, is more likely."""
    where, values, noise = section(seed, 30, 2)
    places = with_traits(where)
    found = fit_process(places, values, noise, 1.0)

    def likelihood(length: float, c: int, gain: float, scale: float, mean: float) -> float:
        matrix = scale * (gain * covariance(places, places, length) + np.diag(noise))
        return float(multivariate_normal.logpdf(values[:, c], np.full(30, mean), matrix))

    def at(length: float, c: int, gain: float) -> float:
        inverse = np.linalg.inv(gain * covariance(places, places, length) + np.diag(noise))
        mean = inverse.sum(0) @ values[:, c] / inverse.sum()
        scale = (values[:, c] - mean) @ inverse @ (values[:, c] - mean) / 30
        return likelihood(length, c, gain, scale, mean)

    own = [likelihood(found.length, c, *(float(a[c]) for a in (found.gain, found.scale, found.mean))) for c in range(2)]
    others = [sum(max(at(length, c, gain) for gain in GAINS) for c in range(2)) for length in LENGTHS]
    assert sum(own) == pytest.approx(max(others))


def test_a_smooth_map_is_found_and_noise_is_not_taken_for_one():
    rng = np.random.default_rng(4)
    where = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), -1).reshape(-1, 2)
    truth = np.stack([2.0 * np.sin(where[:, 0] / 3.0), np.zeros(400)], 1)
    values = truth + rng.normal(size=(400, 2))
    places = Places.without_traits(where)
    mean, variance = fit_process(places, values, np.ones(400), 1.0).predict(places, places, values, np.ones(400))
    error = np.sqrt(((mean - truth) ** 2).mean(0))
    assert error[0] < 0.55 and error[1] < 0.25  # of 1 in the values
    assert np.sqrt(variance[:, 0].mean()) == pytest.approx(error[0], rel=0.4)


@settings(deadline=None, max_examples=6)
@given(st.integers(0, 10_000))
def test_order_place_and_units_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    n = 50
    where, values = rng.uniform(0, 7, (n, 2)), rng.normal(5.0, 1.0, (n, 6))
    values[:, :3] += np.sin(where[:, :1])
    latents = values[:, 2:] @ rng.normal(size=(4, 9))
    molecules = rng.integers(1, 9_000, n).astype(float)
    found, sd, process = smooth_map(values, latents, where, molecules, where, 1.0)
    order = rng.permutation(n)
    again, sd_again, _ = smooth_map(values[order], latents[order], where[order], molecules[order], where[order], 1.0)
    np.testing.assert_allclose(again, found[order], atol=1e-6)
    np.testing.assert_allclose(sd_again, sd[order], atol=1e-6)
    turned = 250.0 * where @ np.array([[0.6, -0.8], [0.8, 0.6]]) - 1e4
    moved, _, other = smooth_map(values, 7.0 * latents - 3.0, turned, molecules, turned, 250.0)
    np.testing.assert_allclose(moved, found, atol=1e-5)
    assert process is not None and other is not None
    assert other.length == pytest.approx(250.0 * process.length)
    shifted, _, _ = smooth_map(values + 2.0, latents, where, molecules, where, 1.0)
    np.testing.assert_allclose(shifted, found + 2.0, atol=1e-6)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000), st.floats(0.0, 15.0))
def test_constant_maps_stay_constant(seed, value):
    rng = np.random.default_rng(seed)
    values = np.full((30, 4), value)
    values[:, 3] = rng.normal(size=30)
    where, latents = rng.uniform(size=(30, 2)), rng.normal(size=(30, 3))
    found, sd, _ = smooth_map(values, latents, where, np.full(30, 500.0), np.array([[0.5, 0.5], [9.0, 9.0]]), 0.1)
    np.testing.assert_allclose(found[:, :3], value, atol=1e-9)
    np.testing.assert_allclose(sd[:, :3], 0.0, atol=1e-6)
    assert smooth_map(values[:, :3], latents, where, np.full(30, 500.0), where, 0.1)[2] is None


def test_the_noisier_a_spot_the_less_its_own_value_counts():
    """With fixed parameters: a change of the values would change those that are fitted."""
    where, values, noise = section(1)
    process = Process(1.5, np.full(3, 0.7), np.ones(3), np.zeros(3))
    places, more = with_traits(where), values.copy()
    more[7] += 2.0

    def change(of: float) -> float:
        here = noise.copy()
        here[7] = of
        first, second = (process.predict(places.take(np.array([7])), places, v, here)[0] for v in (values, more))
        return float(second[0, 0] - first[0, 0])

    assert 0.0 < change(5.0) < change(0.5) < change(0.01) < 2.0


def test_empty_spots_say_nothing():
    where, values, _ = section(2)
    molecules = np.full(40, 900.0)
    molecules[7] = 0.0
    other = values.copy()
    other[7] += 50.0
    found = smooth_map(values, values, where, molecules, where, 1.0)
    for own, again in zip(found[:2], smooth_map(other, other, where, molecules, where, 1.0)[:2], strict=True):
        np.testing.assert_array_equal(own, again)


def test_a_border_stays_where_the_latents_say_that_the_tissue_changes():
    """A strip two spots wide in other tissue; what its latents say is as noisy as its values."""
    rng = np.random.default_rng(3)
    where = np.stack(np.meshgrid(np.arange(16.0), np.arange(16.0)), -1).reshape(-1, 2)
    strip = np.isin(where[:, 0], (7, 8))
    values = 3.0 * strip[:, None] * np.ones(4) + rng.normal(0.0, 1.0, (256, 4))
    latents = np.stack([4.0 * strip, np.zeros(256)], 1) + rng.normal(0.0, 1.0, (256, 2))
    molecules, beside = np.full(256, 2_000.0), np.isin(where[:, 0], (6, 7, 8, 9))

    def error(of: np.ndarray) -> float:
        found, _, _ = smooth_map(values, of, where, molecules, where, 1.0)
        return float(np.abs(found - 3.0 * strip[:, None])[beside].mean())

    assert error(latents) < 0.9 * error(np.ones((256, 2)))


def test_latents_that_are_the_same_everywhere_change_nothing():
    where, values, _ = section(5)
    molecules = np.full(40, 900.0)
    found, sd, process = smooth_map(values, np.ones((40, 3)), where, molecules, where, 1.0)
    assert process is not None
    centre = values.mean(0)
    u, s, directions = np.linalg.svd(values - centre, full_matrices=False)
    places, noise = Places.without_traits(where), np.full(40, 1_000.0 / 1_900.0)
    mean, variance = process.predict(places, places, u * s, noise)
    np.testing.assert_allclose(found, centre + mean @ directions, atol=1e-8)
    np.testing.assert_allclose(sd, np.sqrt(variance @ directions**2), atol=1e-8)


def test_tiles_have_every_place_once():
    where = np.random.default_rng(0).uniform(size=(1_500, 2)) * [3.0, 1.0]
    parts = tiles(where)
    assert max(map(len, parts)) <= TILE
    assert sorted(np.concatenate(parts)) == list(range(1_500))
