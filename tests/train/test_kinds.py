"""Kinds are found again, and what they add is what was missed."""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import eigh

from midgd.nn import KindExperts
from midgd.train.kinds import EFFECT_PENALTY, RIDGE, fit_kinds

CELLS, ORIGIN = np.arange(2), np.zeros(2, np.float32)


def clouds(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Latents of three kinds that lie apart, and their indicator."""
    kind = np.repeat(np.arange(3), 40)
    centres = np.array([[4.0, 0.0], [-4.0, 1.0], [0.0, -5.0]])
    return (centres[kind] + rng.normal(0, 0.5, (120, 2))).astype(np.float32), np.eye(3, dtype=np.float32)[kind]


def test_kinds_and_their_effects_are_recovered():
    rng = np.random.default_rng(0)
    latents, kinds = clouds(rng)
    effect = rng.normal(0, 3, (3, 4)).astype(np.float32)
    experts = fit_kinds(latents, kinds, kinds @ effect, CELLS, ORIGIN)
    probability = experts(torch.tensor(latents)).numpy()
    assert (probability.argmax(1) == kinds.argmax(1)).all() and probability.max(1).mean() > 0.95
    np.testing.assert_allclose(experts.effect, effect, atol=0.4)


def test_effects_are_ridge_on_the_probabilities():
    rng = np.random.default_rng(1)
    latents, kinds = clouds(rng)
    missed = rng.normal(size=(120, 4)).astype(np.float32)
    experts = fit_kinds(latents, kinds, missed, CELLS, ORIGIN)
    p = experts(torch.tensor(latents)).numpy().astype(float)
    expected = np.linalg.solve(p.T @ p + EFFECT_PENALTY * np.eye(3), p.T @ missed)
    np.testing.assert_allclose(experts.effect, expected, atol=1e-4)


def test_a_mixture_lies_between_its_kinds():
    rng = np.random.default_rng(2)
    latents, kinds = clouds(rng)
    half = (latents[:40] + latents[40:80]) / 2
    mixed = np.tile(np.float32([[0.5, 0.5, 0.0]]), (40, 1))
    experts = fit_kinds(
        np.vstack([latents, half]), np.vstack([kinds, mixed]), np.zeros((160, 1), np.float32), CELLS, ORIGIN
    )
    found = experts(torch.tensor(half)).numpy().mean(0)
    np.testing.assert_allclose(found, [0.5, 0.5, 0.0], atol=0.1)


def test_kinds_of_cells_are_marked():
    latents, kinds = clouds(np.random.default_rng(3))
    experts = fit_kinds(latents, kinds, np.zeros((120, 4), np.float32), np.array([2, 0]), ORIGIN)
    assert experts.cells == [0, 2] and experts.is_cell.tolist() == [1.0, 0.0, 1.0]
    assert KindExperts(**experts.sizes).is_cell.tolist() == [1.0, 0.0, 1.0]


def test_samples_of_known_kinds_are_like_them_and_those_of_a_kind_left_out_are_not():
    latents, kinds = clouds(np.random.default_rng(4))
    experts = fit_kinds(latents[:80], kinds[:80, :2], np.zeros((80, 1), np.float32), CELLS, ORIGIN)
    z = torch.tensor(latents)
    likeness = experts.likeness(z, experts(z)).numpy()
    assert likeness[:80].min() > 0.9
    assert experts(z)[80:].max(1).values.min() > 0.6  # a stranger is taken for one of them all the same
    halfway = 0.5 * z[:80]
    np.testing.assert_allclose(experts.likeness(halfway, experts(z[:80])), likeness[:80], atol=1e-5)


def test_axes_are_those_of_a_linear_discriminant_analysis():
    rng = np.random.default_rng(5)
    kind = np.repeat(np.arange(4), 50)
    latents = (rng.normal(0, 2, (4, 5))[kind] + rng.normal(0, 1, (200, 5)) * [1, 1, 3, 1, 1]).astype(np.float32)
    origin = np.ones(5, np.float32)
    experts = fit_kinds(latents, np.eye(4, dtype=np.float32)[kind], np.zeros((200, 1), np.float32), CELLS, origin)
    residual = latents - np.stack([latents[kind == k].mean(0) for k in range(4)])[kind]
    shrunk = residual.T @ residual / 200
    shrunk += RIDGE * np.trace(shrunk) / 5 * np.eye(5)
    between = np.cov(np.stack([latents[kind == k].mean(0) for k in range(4)]).T)
    expected = np.linalg.qr(eigh(between, shrunk)[1][:, -3:])[0]
    found = np.linalg.qr(experts.axes.numpy())[0]
    np.testing.assert_allclose(np.linalg.svd(expected.T @ found)[1], 1.0, atol=1e-3)  # the same plane
    np.testing.assert_allclose(experts.origin, origin @ experts.axes.numpy(), rtol=1e-4)
