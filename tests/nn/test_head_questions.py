"""What inference asks a head, against scipy and against the general formulas of the base class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import nbinom

from midgd.nn import HEADS, CountHead

N, G = 6, 5
MEAN = torch.tensor(np.random.default_rng(0).gamma(0.5, 20.0, (N, G)))
COUNTS = torch.tensor(np.random.default_rng(1).poisson(MEAN.numpy())).double()
COUNTS[0, :2] = 0.0


def made(name: str) -> CountHead:
    torch.manual_seed(0)
    head = HEADS[name](3, G, dispersion_floor=0.1).double()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.7)
    return head.requires_grad_(False)


@pytest.fixture(params=["nb", "zinb"])
def head(request) -> CountHead:
    """A head with a dispersion."""
    return made(request.param)


@pytest.fixture(params=list(HEADS))
def any_head(request) -> CountHead:
    """Every head there is: a new one is tested without being named here."""
    return made(request.param)


def test_probabilities_add_up_to_one_and_have_the_mean(any_head):
    x = torch.arange(5_000.0).double()[:, None].expand(-1, G)
    mean = torch.full((1, G), 7.0).double()
    chance = any_head.log_prob(x, mean.log()).exp()
    torch.testing.assert_close(chance.sum(0), torch.ones(G).double(), rtol=1e-3, atol=1e-3)


def test_likelihood_and_score_are_those_of_log_prob(any_head):
    library = torch.full((N, 1), 300.0).double()
    pairs = []
    for mean in (MEAN, MEAN.flip(0)):
        share = mean / library
        own, general = (
            function(any_head, COUNTS, share, library)
            for function in (type(any_head).log_likelihood_and_score, CountHead.log_likelihood_and_score)
        )
        torch.testing.assert_close(own[1], general[1], rtol=1e-9, atol=1e-9)
        pairs.append(own[0] - general[0])
    torch.testing.assert_close(pairs[0], pairs[1])  # a constant apart


def test_score_is_the_derivative_by_the_log_mean(any_head):
    log_mean, step = MEAN.log(), 1e-6
    upper, lower = (any_head.log_prob(COUNTS, log_mean + shift) for shift in (step, -step))
    _, score = any_head.log_likelihood_and_score(COUNTS, MEAN, torch.ones(N, 1).double())
    torch.testing.assert_close(score, (upper - lower) / (2 * step), rtol=1e-5, atol=1e-6)


def test_variance_and_information_are_those_of_the_counts(head):
    r, mean = head.dispersion.numpy(), MEAN.numpy()
    np.testing.assert_allclose(head.variance_ratio(MEAN), nbinom.var(r, r / (r + mean)) / mean, rtol=1e-10)
    x = np.arange(20_000)[:, None]
    chance = nbinom.pmf(x, r, r / (r + mean[0]))
    score = (x - mean[0]) * r / (r + mean[0])
    np.testing.assert_allclose(head.information(MEAN)[0], (chance * score**2).sum(0), rtol=1e-6)
    torch.testing.assert_close(head.information(MEAN), CountHead.information(head, MEAN))


def test_posterior_rate_is_the_best_linear_estimate(head):
    r = head.dispersion
    own, general = head.posterior_rate(COUNTS, MEAN.clone()), CountHead.posterior_rate(head, COUNTS, MEAN)
    torch.testing.assert_close(own.factor, (COUNTS + r) / (MEAN + r))
    torch.testing.assert_close(own.factor, general.factor)
    torch.testing.assert_close(own.reliability, general.reliability)


def test_damped_score_is_the_score_to_first_order_and_no_count_blows_it_up(head):
    near = MEAN * (1.0 + 1e-5)
    expected = (near - MEAN) / head.variance_ratio(MEAN)
    for function in (type(head).damped_score, CountHead.damped_score):
        torch.testing.assert_close(function(head, near, MEAN.clone()), expected, rtol=1e-4, atol=1e-12)
        huge = function(head, MEAN * 1e6, MEAN.clone()) / (MEAN + head.dispersion)
        assert huge.max() < 100.0


def test_questions_about_some_features_use_their_parameters(any_head):
    measured = torch.tensor([3, 0])
    for name in ("variance_ratio", "information"):
        ask = getattr(any_head, name)
        torch.testing.assert_close(ask(MEAN[:, measured], measured), ask(MEAN)[:, measured])
    part, features = any_head.only(measured), torch.randn(N, 3).double()
    torch.testing.assert_close(part.log_share(features), any_head.log_share(features, measured))
    torch.testing.assert_close(part.variance_ratio(MEAN[:, measured]), any_head.variance_ratio(MEAN)[:, measured])
    assert part.n_features == 2 and any_head.n_features == G and not any(p.requires_grad for p in part.parameters())


def test_likelihood_parameters_are_those_that_shares_do_not_depend_on(head):
    names = {name for name, p in head.named_parameters() if any(p is q for q in head.likelihood_parameters())}
    assert names == {"log_dispersion"} | ({"zero_logit"} if hasattr(head, "zero_logit") else set())


def test_draws_have_the_probabilities_of_the_likelihood(any_head):
    """Rates are scaled to the library: with 400 features that changes little."""
    n, many, mean = 2_000, 400, 3.0
    head = type(any_head)(3, many, dispersion_floor=0.1).requires_grad_(False)
    library = np.full((n, 1), many * mean)
    counts = head.draw(np.full((n, many), 1.0 / many), library, np.random.default_rng(0))
    np.testing.assert_allclose(counts.sum(1).mean(), many * mean, rtol=0.01)
    # What zero inflation takes from some features the others get.
    kept = 1.0 - torch.sigmoid(head.zero_logit[0]).item() if hasattr(head, "zero_logit") else 1.0
    log_mean = torch.full((1, many), mean / kept).log()
    for x in range(8):
        chance = head.log_prob(torch.full((1, many), float(x)), log_mean).exp().mean().item()
        assert (counts == x).mean() == pytest.approx(chance, abs=0.005), x


def test_draws_take_a_dispersion_in_the_place_of_the_own(head):
    n, many, mean = 2_000, 400, 3.0
    wide = type(head)(3, many).requires_grad_(False)
    if hasattr(wide, "zero_logit"):
        wide.zero_logit.fill_(-30.0)
    share, library = np.full((n, many), 1.0 / many), np.full((n, 1), many * mean)
    counts = wide.draw(share, library, np.random.default_rng(0), np.full((n, many), 0.5))
    assert counts.var() / counts.mean() == pytest.approx(1.0 + mean / 0.5, rel=0.03)
    zeros = nbinom.pmf(0, 0.5, 0.5 / (0.5 + mean))
    assert (counts == 0).mean() == pytest.approx(zeros, abs=0.005)
    torch.testing.assert_close(
        head.log_prob(COUNTS, MEAN.log(), None, head.dispersion), head.log_prob(COUNTS, MEAN.log())
    )
