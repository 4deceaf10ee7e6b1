"""Draws against exact moments of the mixture, and densities in files."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from midgd.reference import Reference, load
from midgd.reference.density import LatentDensity

D = 3


@pytest.fixture
def density() -> LatentDensity:
    rng = np.random.default_rng(0)
    return LatentDensity(
        mean=rng.normal(size=(2, D)).astype(np.float32),
        weight=np.array([0.75, 0.25], np.float32),
        kind=np.array([4, 7]),
        scale=np.array([[1.0, 2.0], [0.5, 1.0]], np.float32),
        within=np.linalg.cholesky(np.array([[2.0, 0.5, 0], [0.5, 1.0, 0.3], [0, 0.3, 0.5]])).astype(np.float32),
        direction=np.array([[0.0, 2.0, 1.0]], np.float32),
        direction_of=np.array([1]),
        oddness=np.array([[0.5, 0.4], [np.sqrt(1.75), 1.6]], np.float32),
        dispersion=np.ones(5, np.float32),
        log_depth=np.array([[5.0, 0.1], [8.0, 0.2]], np.float32),
        mirna_factors=np.array([[1.0, 0.5, 0.0, -1.0]], np.float32),
        mirna_sd=np.array([0.1, 0.2, 0.3, 0.4], np.float32),
    )


def test_draws_have_the_moments_of_the_mixture(density: LatentDensity) -> None:
    drawn = density.draw(200_000, np.random.default_rng(1))
    assert abs((drawn.component == 0).mean() - 0.75) < 0.01
    shared = density.within @ density.within.T
    for component, square in ((0, 1.0), (1, 0.25)):
        own = drawn.latent[drawn.component == component]
        # The squares of the two levels of oddness have the mean 1.
        expected = square * shared + (np.outer(*density.direction[[0, 0]]) if component else 0.0)
        np.testing.assert_allclose(own.mean(0), density.mean[component], atol=0.03)
        np.testing.assert_allclose(np.cov(own.T), expected, atol=0.06)
    np.testing.assert_allclose(np.unique(drawn.noise), [0.4, 0.8, 1.6, 3.2], rtol=1e-6)


def test_odd_samples_are_odd_in_both(density: LatentDensity) -> None:
    drawn = density.draw(20_000, np.random.default_rng(1), np.full(20_000, 4))
    distance = np.linalg.norm(drawn.latent - density.mean[0], axis=1)
    assert distance[drawn.noise > 1.0].mean() > 2.0 * distance[drawn.noise < 1.0].mean()


def test_kinds_are_those_that_are_asked_for(density: LatentDensity) -> None:
    kinds = np.array([7, 4, 4, 7])
    assert density.draw(4, np.random.default_rng(0), kinds).component.tolist() == [1, 0, 0, 1]
    with pytest.raises(ValueError, match="no component of kind 5"):
        density.draw(1, np.random.default_rng(0), np.array([5]))


def test_deviations_have_the_covariance_that_is_said(density: LatentDensity) -> None:
    drawn = density.deviations(200_000, np.random.default_rng(0))
    exact = density.mirna_factors.T @ density.mirna_factors + np.diag(density.mirna_sd**2)
    np.testing.assert_allclose(np.cov(drawn.T), exact, atol=0.02)
    np.testing.assert_allclose(density.deviation_covariance(np.array([3, 0])), exact[[3, 0]], rtol=1e-6)


def test_without_factors_deviations_are_independent(density: LatentDensity) -> None:
    alone = replace(density, mirna_factors=density.mirna_factors[:0])
    np.testing.assert_allclose(
        np.cov(alone.deviations(100_000, np.random.default_rng(0)).T), np.diag(density.mirna_sd**2), atol=0.01
    )


def test_depths_are_those_of_the_components(density: LatentDensity) -> None:
    logs = np.log(density.draw_depths(np.repeat([0, 1], 20_000), np.random.default_rng(0))).reshape(2, -1)
    np.testing.assert_allclose(logs.mean(1), [5.0, 8.0], atol=0.01)
    np.testing.assert_allclose(logs.std(1), [0.1, 0.2], atol=0.01)


def test_every_field_comes_back(toy_generative: Reference, tmp_path: Path) -> None:
    loaded = load(toy_generative.save(tmp_path / "reference")).density
    for field in fields(LatentDensity):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(toy_generative.density, field.name))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("mean", lambda x: x[:, :4], "within"),
        ("dispersion", lambda x: x[:-1], "genes"),
        ("dispersion", lambda x: -x, "density.dispersion must be positive"),
        ("weight", lambda x: 0 * x, "density.weight must be positive"),
        ("kind", lambda x: x + 1, "density.kind"),
        ("direction_of", lambda x: x + 1, "density.direction_of"),
        ("within", lambda x: x.T, "lower triangle"),
        ("mirna_sd", lambda x: -x, "negative deviations"),
        ("oddness", lambda x: x[:0], "components"),
        ("log_depth", lambda x: x * np.nan, "not finite"),
    ],
)
def test_damage_is_found(toy_generative: Reference, tmp_path: Path, name: str, change, message: str) -> None:  # type: ignore[no-untyped-def]
    wrong = replace(toy_generative.density, **{name: change(getattr(toy_generative.density, name))})
    path = replace(toy_generative, density=wrong).save(tmp_path / "reference")
    with pytest.raises(ValueError, match=message):
        load(path)
