from __future__ import annotations

import numpy as np
import pytest
import torch

from midgd.infer.centres import KindMap, kind_centres
from midgd.nn import GaussianMixture, KindExperts


@pytest.fixture
def world() -> tuple[GaussianMixture, KindExperts]:
    """Two far components in four dimensions, each of its own kind, and a third kind that is nowhere."""
    prior, kinds = GaussianMixture(2, 4), KindExperts(4, 3, 1)
    with torch.no_grad():
        prior.means.copy_(torch.tensor([[3.0, 0, 0, 1], [-3.0, 0, 0, 1]]))
        prior.neg_log_var.fill_(2 * np.log(2.0))
        kinds.weight.copy_(torch.tensor([[4.0, -4, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]))
        kinds.bias.copy_(torch.tensor([0.0, 0, -30]))
    return prior, kinds


def test_centres_are_those_of_the_components(world):
    centres = kind_centres(*world, n_draws=20_000)
    np.testing.assert_allclose(centres.mean[:2], [[3, 0, 0, 1], [-3, 0, 0, 1]], atol=0.05)
    np.testing.assert_allclose(centres.within, 0.25 * np.eye(4), atol=0.03)


def test_centres_agree_with_a_sum_over_draws(world):
    prior, kinds = world
    with torch.no_grad():
        kinds.weight.mul_(0.1)
        kinds.bias.zero_()
    centres = kind_centres(prior, kinds, n_draws=300, seed=1)
    probability = kinds(torch.tensor(centres.draws, dtype=torch.float32)).detach().numpy()
    within = np.zeros((4, 4))
    for k in range(3):
        total = sum(probability[i, k] * centres.draws[i] for i in range(300)) / probability[:, k].sum()
        np.testing.assert_allclose(centres.mean[k], total, rtol=1e-4)
        for i in range(300):
            within += probability[i, k] * np.outer(centres.draws[i] - total, centres.draws[i] - total) / 300
    np.testing.assert_allclose(centres.within, within, rtol=1e-4, atol=1e-5)


def test_the_map_sets_kinds_apart_and_does_not_see_the_length(world):
    centres = kind_centres(*world, n_draws=5_000)
    plane = KindMap.of(centres, np.array([0.5, 0.5, 0.0]))
    place = plane.place(centres.mean[:2])
    assert abs(place[0, 0] - place[1, 0]) > 1.9  # opposite directions
    far = plane.origin + 7 * (centres.mean[:2] - plane.origin)
    np.testing.assert_allclose(plane.place(far), place, atol=1e-9)
    np.testing.assert_array_equal(plane.place(plane.origin[None]), np.zeros((1, 2)))


def test_the_same_draws_each_time(world):
    first, second = (kind_centres(*world, n_draws=50) for _ in range(2))
    np.testing.assert_array_equal(first.draws, second.draws)
