"""The Gaussian mixture against scipy, numerical integration and its own samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

from midgd.nn import GaussianMixture
from midgd.nn.prior import softball_log_prob


@pytest.fixture
def mixture() -> GaussianMixture:
    torch.manual_seed(1)
    mixture = GaussianMixture(4, 3).double()
    for parameter in mixture.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.8)
    return mixture


def reference_log_prob(mixture: GaussianMixture, z: np.ndarray) -> np.ndarray:
    weights = torch.softmax(mixture.weight_logits, 0).detach().numpy()
    means, var = mixture.means.detach().numpy(), np.exp(-mixture.neg_log_var.detach().numpy())
    parts = [
        np.log(w) + multivariate_normal.logpdf(z, m, np.diag(v)) for w, m, v in zip(weights, means, var, strict=True)
    ]
    return logsumexp(np.stack(parts, 1), axis=1)


def test_log_prob_equals_scipy(mixture):
    z = np.random.default_rng(0).normal(scale=3.0, size=(50, 3))
    np.testing.assert_allclose(
        mixture.log_prob(torch.tensor(z)).detach(), reference_log_prob(mixture, z), rtol=1e-10, atol=1e-10
    )


def test_float32_is_close_to_float64(mixture):
    z = torch.randn(200, 3, dtype=torch.float64) * 2
    exact = mixture.log_prob(z)
    torch.testing.assert_close(mixture.float().log_prob(z.float()).double(), exact, rtol=1e-5, atol=1e-4)


def test_components_add_up_to_the_mixture(mixture):
    z = torch.randn(6, 3, dtype=torch.float64)
    parts = mixture.component_log_prob(z)
    assert parts.shape == (6, mixture.n_components) == (6, 4)
    torch.testing.assert_close(parts.logsumexp(1), mixture.log_prob(z))


def test_density_integrates_to_one():
    torch.manual_seed(3)
    mixture = GaussianMixture(3, 1).double()
    total, _ = quad(lambda x: mixture.log_prob(torch.tensor([[x]]).double()).exp().item(), -12, 12, limit=200)
    assert total == pytest.approx(1.0, abs=1e-6)


def test_value_and_gradient_equal_autograd(mixture):
    z = (2.0 * torch.randn(30, 3, dtype=torch.float64)).requires_grad_()
    value, grad = mixture.log_prob_and_grad(z.detach())
    (expected,) = torch.autograd.grad(mixture.log_prob(z).sum(), z)
    torch.testing.assert_close(value, mixture.log_prob(z))
    torch.testing.assert_close(grad, expected)
    assert torch.autograd.gradcheck(mixture.log_prob, (z,))


def test_far_away_points_have_finite_gradients(mixture):
    value, grad = mixture.float().log_prob_and_grad(torch.full((1, 3), 300.0))
    assert torch.isfinite(value).all() and torch.isfinite(grad).all()


@pytest.mark.parametrize("d", [1, 2, 3])
def test_softball_integrates_to_about_one(d):
    """The formula is normalised for a hard edge; a soft one of sharpness 30 changes the volume by a few per cent."""
    radius, sharpness = 2.0, 30.0
    surface = 2 * math.pi ** (d / 2) / math.gamma(d / 2)

    def shell(r: float) -> float:
        point = torch.zeros(1, d, dtype=torch.float64)
        point[0, 0] = r
        return softball_log_prob(point, radius, sharpness).exp().item() * surface * r ** (d - 1)

    total, _ = quad(shell, 0, 6, points=[radius], limit=200)
    # Sommerfeld: the next term of the integral over a logistic edge
    edge = 1.0 + d * (d - 1) / 2 * (math.pi**2 / 3) / sharpness**2
    assert total == pytest.approx(edge, abs=1e-4)


def test_softball_is_flat_inside_and_falls_outside():
    x = torch.tensor([[0.0, 0.0], [0.5, 0.5], [2.0, 0.0], [4.0, 0.0], [0.0, -6.0]], dtype=torch.float64)
    density = softball_log_prob(x, 2.0, 50.0)
    assert density[0].item() == pytest.approx(-math.log(4 * math.pi))
    assert density[1].item() == pytest.approx(density[0].item(), abs=1e-6)
    assert density[2].item() == pytest.approx(density[0].item() - math.log(2))
    assert density[3].item() == pytest.approx(density[0].item() - 50.0)
    assert density[4].item() == pytest.approx(density[0].item() - 100.0)


def test_log_prior_of_the_parameters(mixture):
    sd_of_typical = norm.logpdf(mixture.neg_log_var.detach().numpy(), -2 * math.log(0.5), 1.0).sum()
    balls = softball_log_prob(mixture.means, 2.0, 5.0).sum().item()
    assert mixture.log_prior().item() == pytest.approx(sd_of_typical + balls, rel=1e-12)


def test_new_mixture_has_equal_weights_and_the_typical_spread():
    mixture = GaussianMixture(5, 2, typical_sd=0.3)
    torch.testing.assert_close(mixture.precision, torch.full((5, 2), 1 / 0.3**2))
    torch.testing.assert_close(torch.softmax(mixture.weight_logits, 0), torch.full((5,), 0.2))


def test_moments_of_samples():
    mixture = GaussianMixture(2, 2)
    with torch.no_grad():
        mixture.means.copy_(torch.tensor([[-3.0, 0.0], [2.0, 1.0]]))
        mixture.neg_log_var.copy_(-torch.tensor([[0.25, 1.0], [4.0, 0.01]]).log())
        mixture.weight_logits.copy_(torch.tensor([0.3, 0.7]).log())
    z = mixture.sample(40_000, generator=torch.Generator().manual_seed(0)).numpy()
    assert z.shape == (40_000, 2)
    mean = np.array([0.3 * -3 + 0.7 * 2, 0.7])
    second = np.array([0.3 * (9 + 0.25) + 0.7 * (4 + 4), 0.3 * 1.0 + 0.7 * (1 + 0.01)])
    np.testing.assert_allclose(z.mean(0), mean, atol=0.05)
    np.testing.assert_allclose((z**2).mean(0), second, rtol=0.03)
    left = z[z[:, 1] < 0.5]  # component 2 has sd 0.1 around 1: what is below 0.5 is component 1
    np.testing.assert_allclose(left[:, 0].std(), 0.5, rtol=0.05)


def test_samples_repeat_with_the_generator(mixture):
    one, two = (mixture.sample(5, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
