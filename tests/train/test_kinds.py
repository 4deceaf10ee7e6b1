"""Kinds are found again, and what they add is what was missed."""

from __future__ import annotations

import numpy as np
import torch

from midgd.nn import KindExperts
from midgd.train.kinds import EFFECT_PENALTY, fit_kinds

CELLS = np.arange(2)


def clouds(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Latents of three kinds that lie apart, and their indicator."""
    kind = np.repeat(np.arange(3), 40)
    centres = np.array([[4.0, 0.0], [-4.0, 1.0], [0.0, -5.0]])
    return (centres[kind] + rng.normal(0, 0.5, (120, 2))).astype(np.float32), np.eye(3, dtype=np.float32)[kind]


def test_kinds_and_their_effects_are_recovered():
    rng = np.random.default_rng(0)
    latents, kinds = clouds(rng)
    effect = rng.normal(0, 3, (3, 4)).astype(np.float32)
    experts = fit_kinds(latents, kinds, kinds @ effect, CELLS)
    probability = experts(torch.tensor(latents)).numpy()
    assert (probability.argmax(1) == kinds.argmax(1)).all() and probability.max(1).mean() > 0.95
    np.testing.assert_allclose(experts.effect, effect, atol=0.4)


def test_effects_are_ridge_on_the_probabilities():
    rng = np.random.default_rng(1)
    latents, kinds = clouds(rng)
    missed = rng.normal(size=(120, 4)).astype(np.float32)
    experts = fit_kinds(latents, kinds, missed, CELLS)
    p = experts(torch.tensor(latents)).numpy().astype(float)
    expected = np.linalg.solve(p.T @ p + EFFECT_PENALTY * np.eye(3), p.T @ missed)
    np.testing.assert_allclose(experts.effect, expected, atol=1e-4)


def test_a_mixture_lies_between_its_kinds():
    rng = np.random.default_rng(2)
    latents, kinds = clouds(rng)
    half = (latents[:40] + latents[40:80]) / 2
    mixed = np.tile(np.float32([[0.5, 0.5, 0.0]]), (40, 1))
    experts = fit_kinds(np.vstack([latents, half]), np.vstack([kinds, mixed]), np.zeros((160, 1), np.float32), CELLS)
    found = experts(torch.tensor(half)).numpy().mean(0)
    np.testing.assert_allclose(found, [0.5, 0.5, 0.0], atol=0.1)


def test_kinds_of_cells_are_marked():
    latents, kinds = clouds(np.random.default_rng(3))
    experts = fit_kinds(latents, kinds, np.zeros((120, 4), np.float32), np.array([2, 0]))
    assert experts.cells == [0, 2] and experts.is_cell.tolist() == [1.0, 0.0, 1.0]
    assert KindExperts(**experts.sizes).is_cell.tolist() == [1.0, 0.0, 1.0]
