"""Kinds against their formula."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import softmax

from midgd.nn import KindExperts


def random_experts() -> KindExperts:
    experts = KindExperts(4, 3, 5, n_axes=2).requires_grad_(False)
    for parameter in experts.parameters():
        torch.nn.init.normal_(parameter)
    return experts


def test_probabilities_are_a_softmax():
    torch.manual_seed(0)
    experts, z = random_experts(), torch.randn(6, 4)
    expected = softmax(z.numpy() @ experts.weight.numpy() + experts.bias.numpy(), axis=1)
    np.testing.assert_allclose(experts(z), expected, rtol=1e-5)


def test_kinds_add_their_profiles_by_weight():
    experts, weights = random_experts(), torch.tensor([[0.1, 0.0, 0.7], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(experts.added(weights), weights.numpy() @ experts.effect.numpy(), atol=1e-5)
    np.testing.assert_allclose(experts.added(weights)[1], experts.effect[2], rtol=1e-5)
    assert (experts.added(weights)[2] == 0).all()


def test_sizes_rebuild_it():
    experts = random_experts()
    assert KindExperts(**experts.sizes).state_dict().keys() == experts.state_dict().keys()
    assert experts.sizes == {"n_latent": 4, "n_kinds": 3, "n_mirnas": 5, "cells": [], "n_axes": 2}


def test_likeness_is_a_cosine_from_the_origin():
    experts, z = random_experts(), torch.randn(6, 4)
    p = experts(z)
    axes, origin, places = (getattr(experts, name).numpy() for name in ("axes", "origin", "places"))
    one, other = z.numpy() @ axes - origin, p.numpy() @ places - origin
    cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    np.testing.assert_allclose(experts.likeness(z, p), cosine, rtol=1e-4, atol=1e-6)


def test_without_axes_nothing_tells():
    experts = KindExperts(4, 3, 5)
    assert experts.likeness(torch.zeros(2, 4), torch.zeros(2, 3)) is None
    assert set(experts.state_dict()) == {"weight", "bias", "effect"}  # as references of older formats
