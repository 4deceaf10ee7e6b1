"""Count likelihoods against scipy, and their gradients against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nbinom

from midgd.nn import HEADS, NegativeBinomialHead, ZeroInflatedNegativeBinomialHead
from midgd.nn.likelihoods import negative_binomial_log_prob

COUNTS = np.array([0, 1, 2, 10, 1_000, 100_000, 100_000_000], float)
MEANS = np.array([1e-6, 1e-3, 0.5, 1, 30, 1e4, 1e6])
DISPERSIONS = np.array([0.05, 0.5, 3, 100, 1e4])


def nb_reference(counts: np.ndarray, mean: np.ndarray, r: np.ndarray) -> np.ndarray:
    return nbinom.logpmf(counts, r, r / (r + mean))


def head_of(kind: str, n_inputs: int = 4, n_features: int = 5, dtype: torch.dtype = torch.float64) -> torch.nn.Module:
    torch.manual_seed(0)
    head = HEADS[kind](n_inputs, n_features, dispersion_floor=0.1).to(dtype)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.7)
    return head


def test_negative_binomial_equals_scipy_over_wide_ranges():
    x, mean, r = (a.ravel() for a in np.meshgrid(COUNTS, MEANS, DISPERSIONS))
    ours = negative_binomial_log_prob(torch.tensor(x), torch.tensor(mean).log(), torch.tensor(r))
    np.testing.assert_allclose(ours, nb_reference(x, mean, r), rtol=1e-8, atol=1e-7)


@given(x=st.integers(0, 10**8), log_mean=st.floats(np.log(1e-6), np.log(1e6)), log_r=st.floats(-3.0, 8.0))
def test_negative_binomial_equals_scipy_anywhere(x, log_mean, log_r):
    ours = negative_binomial_log_prob(*(torch.tensor(v, dtype=torch.float64) for v in (x, log_mean, np.exp(log_r))))
    expected = nb_reference(np.float64(x), np.exp(log_mean), np.exp(log_r))
    np.testing.assert_allclose(ours, expected, rtol=1e-7, atol=1e-6)


@pytest.mark.parametrize(("mean", "r"), [(0.01, 0.5), (1.0, 0.2), (3.0, 2.0), (20.0, 50.0)])
def test_probabilities_of_all_counts_add_up_to_one(mean, r):
    x = torch.arange(3_000, dtype=torch.float64)
    total = negative_binomial_log_prob(x, torch.tensor(mean).double().log(), torch.tensor(r).double()).exp().sum()
    assert total.item() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("depth", [1e2, 1e4, 1e6, 3e7])
def test_deep_libraries_keep_their_gradient_in_float32(depth):
    """Where count and mean nearly agree the gradient is of the size of r, however large both are."""
    ratio, r = np.array([0.5, 0.9, 0.99, 1.2, 3.0]), np.array([0.5, 2.0, 30.0, 2.0, 2.0])
    log_mean = torch.tensor(np.log(depth * ratio), dtype=torch.float32, requires_grad=True)
    x = torch.full((5,), depth)
    negative_binomial_log_prob(x, log_mean, torch.tensor(r, dtype=torch.float32)).sum().backward()
    mean = np.exp(log_mean.detach().double().numpy())
    np.testing.assert_allclose(log_mean.grad, (x.numpy() - mean) * (r / (mean + r)), rtol=1e-4)


def test_head_uses_its_dispersion_with_the_floor():
    head = head_of("nb")
    r = np.exp(head.log_dispersion.detach().numpy()) + 0.1
    np.testing.assert_allclose(head.dispersion.detach(), r)
    x, mean = np.random.default_rng(0).poisson(3.0, (6, 5)), np.random.default_rng(1).gamma(2.0, 2.0, (6, 5))
    ours = head.log_prob(torch.tensor(x).double(), torch.tensor(mean).log())
    np.testing.assert_allclose(ours.detach(), nb_reference(x, mean, r), rtol=1e-9)


def test_zero_inflation_equals_scipy():
    head = head_of("zinb")
    r, pi = head.dispersion.detach().numpy(), torch.sigmoid(head.zero_logit).detach().numpy()
    rng = np.random.default_rng(0)
    x, mean = rng.poisson(0.7, (50, 5)), rng.gamma(0.5, 20.0, (50, 5))
    nb = np.exp(nb_reference(x, mean, r))
    expected = np.log(np.where(x == 0, pi, 0.0) + (1 - pi) * nb)
    ours = head.log_prob(torch.tensor(x).double(), torch.tensor(mean).log())
    assert (x == 0).any() and (x > 0).any()
    np.testing.assert_allclose(ours.detach(), expected, rtol=1e-9)


def test_zero_inflated_probabilities_add_up_to_one():
    head = head_of("zinb", n_features=1)
    x = torch.arange(3_000, dtype=torch.float64)[:, None]
    total = head.log_prob(x, torch.full_like(x, 0.3)).exp().sum()
    assert total.item() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("kind", ["nb", "zinb"])
def test_extremes_are_finite_with_finite_gradients(kind):
    head = head_of(kind, n_features=len(MEANS), dtype=torch.float32)
    x = torch.tensor(np.repeat(COUNTS[:, None], len(MEANS), 1), dtype=torch.float32)
    log_mean = torch.tensor(np.log(MEANS), dtype=torch.float32).expand(len(COUNTS), -1).clone().requires_grad_()
    value = head.log_prob(x, log_mean)
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(log_mean.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


@pytest.mark.parametrize("kind", ["nb", "zinb"])
def test_gradients_equal_finite_differences(kind):
    head = head_of(kind)
    x = torch.tensor([[0.0, 0.0, 1.0, 7.0, 2_000.0], [5.0, 0.0, 0.0, 1.0, 0.0]], dtype=torch.float64)

    def log_prob(features: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        named = dict(zip((name for name, _ in head.named_parameters()), parameters, strict=True))
        log_mean = 3.0 + torch.func.functional_call(
            _LogShare(head), {f"head.{k}": v for k, v in named.items()}, features
        )
        return torch.func.functional_call(_LogProb(head), {f"head.{k}": v for k, v in named.items()}, (x, log_mean))

    features = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    parameters = [p.detach().clone().requires_grad_() for p in head.parameters()]
    assert torch.autograd.gradcheck(log_prob, (features, *parameters))


class _LogShare(torch.nn.Module):
    def __init__(self, head: torch.nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.head.log_share(features)


class _LogProb(_LogShare):
    def forward(self, x: torch.Tensor, log_mean: torch.Tensor) -> torch.Tensor:
        return self.head.log_prob(x, log_mean)


@pytest.mark.parametrize("kind", ["nb", "zinb"])
def test_a_subset_uses_the_parameters_of_its_features(kind):
    head = head_of(kind)
    measured = torch.tensor([3, 0])
    x, log_mean = torch.tensor([[4.0, 0.0]]).double(), torch.tensor([[0.2, -0.4]]).double()
    whole_x, whole_mean = torch.zeros(1, 5).double(), torch.zeros(1, 5).double()
    whole_x[:, measured], whole_mean[:, measured] = x, log_mean
    expected = head.log_prob(whole_x, whole_mean)[:, measured]
    torch.testing.assert_close(head.log_prob(x, log_mean, measured), expected)


def test_log_share_is_a_softmax_and_renormalised_over_what_was_measured():
    head = head_of("nb")
    features, measured = torch.randn(3, 4).double(), torch.tensor([4, 1, 2])
    logits = (features @ head.weight + head.bias).detach().numpy()
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(head.log_share(features).detach().exp(), share, rtol=1e-12)
    part = share[:, measured] / share[:, measured].sum(1, keepdims=True)
    np.testing.assert_allclose(head.log_share(features, measured).detach().exp(), part, rtol=1e-12)


def test_names_of_the_heads():
    assert (HEADS["nb"], HEADS["zinb"]) == (NegativeBinomialHead, ZeroInflatedNegativeBinomialHead)
    assert head_of("nb").n_features == 5
