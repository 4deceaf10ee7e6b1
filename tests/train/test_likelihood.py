"""Likelihood and gradients of training by compiled loops, against scipy, against autograd in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import nbinom

from midgd.nn import HEADS, CountHead, NegativeBinomialHead
from midgd.train import likelihood
from midgd.train.likelihood import Measured, log_likelihood

N, D, F = 35, 4, 1_500  # more genes than a block of the loops
MEASURED = [None, torch.arange(1, F, 3)]


@pytest.fixture
def head() -> NegativeBinomialHead:
    torch.manual_seed(0)
    head = NegativeBinomialHead(D, F)
    for parameter, spread in ((head.weight, 0.3), (head.bias, 2.0), (head.log_dispersion, 1.5)):
        torch.nn.init.normal_(parameter, 0.0, spread)
    return head


def sample(head: CountHead, measured: torch.Tensor | None, depth: float = 2e5) -> tuple[torch.Tensor, torch.Tensor]:
    """Features, and counts of the measured genes; the last sample is empty."""
    rng = np.random.default_rng(1)
    features = torch.tensor(rng.normal(size=(N, D)), dtype=torch.float32)
    share = head.log_share(features, measured).exp().detach().numpy()
    counts = rng.poisson(depth * share * rng.gamma(0.7, 1.5, share.shape))
    counts[-1] = 0
    return features, torch.tensor(counts, dtype=torch.float32)


def alone(counts: torch.Tensor, measured: torch.Tensor | None = None) -> list[Measured]:
    return [Measured(torch.arange(len(counts)), counts, measured)]


def gradients(head: CountHead, features: torch.Tensor, counts: torch.Tensor, measured: torch.Tensor | None):
    """The value, and its gradients by the features and by every parameter."""
    features = features.clone().requires_grad_(True)
    value = log_likelihood(head, features, alone(counts, measured))
    return [value.detach(), *torch.autograd.grad(value, [features, *head.parameters()])]


@pytest.mark.parametrize("measured", MEASURED, ids=["all", "some"])
def test_equals_scipy(head, measured):
    features, counts = sample(head, measured)
    r = head.dispersion.detach().double()
    r = (r if measured is None else r[measured]).numpy()
    mean = counts.double().sum(1, keepdim=True).numpy() * head.log_share(features, measured).exp().detach().numpy()
    expected = nbinom.logpmf(counts.numpy(), r, r / (r + np.maximum(mean, 1e-30))).sum()
    assert log_likelihood(head, features, alone(counts, measured)).item() == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("depth", [2e3, 2e5, 2e7])
@pytest.mark.parametrize("measured", MEASURED, ids=["all", "some"])
def test_gradients_are_those_of_autograd_in_double_precision(head, measured, depth):
    features, counts = sample(head, measured, depth)
    found = gradients(head, features, counts, measured)
    expected = gradients(head.double(), features.double(), counts.double(), measured)
    for one, other in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-3, atol=2e-5 * float(other.abs().max()))


def test_a_scaled_value_has_scaled_gradients(head):
    features, counts = sample(head, None)
    (once,) = torch.autograd.grad(log_likelihood(head, features, alone(counts)), head.log_dispersion)
    (half,) = torch.autograd.grad(0.5 * log_likelihood(head, features, alone(counts)), head.log_dispersion)
    torch.testing.assert_close(half, 0.5 * once)


@pytest.mark.parametrize("name", sorted(HEADS))
def test_every_head_has_its_own_likelihood(name, monkeypatch):
    torch.manual_seed(0)
    head = HEADS[name](D, F)
    features, counts = sample(head, None)
    found = log_likelihood(head, features, alone(counts))
    monkeypatch.setattr(likelihood, "loops_for", lambda head: None)
    torch.testing.assert_close(found, log_likelihood(head, features, alone(counts)), rtol=1e-5, atol=0.0)


def test_groups_are_the_sum_of_their_samples(head):
    """Samples of two patterns and one without the modality, against each pattern alone."""
    features, counts = sample(head, None)
    some, first, last = MEASURED[1], torch.arange(0, 20), torch.arange(25, N)
    parameters = [features.requires_grad_(True), *head.parameters()]
    groups = [Measured(first, counts[first], None), Measured(last, counts[last][:, some], some)]
    found = torch.autograd.grad(log_likelihood(head, features, groups), parameters)
    expected = [torch.autograd.grad(log_likelihood(head, features, [group]), parameters) for group in groups]
    for one, parts in zip(found, zip(*expected, strict=True), strict=True):
        torch.testing.assert_close(one, sum(parts), rtol=1e-4, atol=1e-5 * float(one.abs().max()))
    assert not found[0][20:25].any()
    assert float(log_likelihood(head, features, [])) == 0.0
