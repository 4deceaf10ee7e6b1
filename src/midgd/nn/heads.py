"""The likelihoods that there are: counts around their means are negative binomial, zero inflated, or Poisson.

Another one is a class with :meth:`~midgd.nn.CountHead.log_prob` and :meth:`~midgd.nn.CountHead.variance_ratio`, and its
name in :data:`HEADS`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import softplus

from midgd.nn.count_head import FLOOR, CountHead, Memory, PosteriorRate, Rates
from midgd.nn.likelihoods import negative_binomial_log_prob


class NegativeBinomialHead(CountHead):
    r"""Counts are negative binomial: their rates scatter as a Gamma distribution of shape r around the decoded mean."""

    def __init__(self, n_inputs: int, n_features: int, *, dispersion_floor: float = 0.05) -> None:
        super().__init__(n_inputs, n_features, dispersion_floor=dispersion_floor)
        self.log_dispersion = nn.Parameter(torch.full((n_features,), 1.0))

    @property
    def dispersion(self) -> Tensor:
        """Inverse dispersion r of every feature: the variance of a count is mean + mean^2 / r."""
        return self.log_dispersion.exp() + self.dispersion_floor

    def log_prob(
        self, counts: Tensor, log_mean: Tensor, measured: Tensor | None = None, dispersion: Tensor | None = None
    ) -> Tensor:
        """Elementwise log likelihood, (n, n_measured); ``dispersion`` (n_measured,) in the place of the head's own."""
        r = _at(self.dispersion, measured) if dispersion is None else dispersion
        return negative_binomial_log_prob(counts, log_mean, r)

    def variance_ratio(self, mean: Tensor, measured: Tensor | None = None) -> Tensor:
        """1 + mean / r."""
        return (mean / _at(self.dispersion, measured)).add_(1.0)

    def information(self, mean: Tensor, measured: Tensor | None = None) -> Tensor:
        """Fisher information about the log mean, m r / (m + r)."""
        r = _at(self.dispersion, measured)
        return mean * r / (mean + r)

    def posterior_rate(self, counts: Tensor, mean: Tensor, measured: Tensor | None = None) -> PosteriorRate:
        """Posterior mean (x + r) / (m + r) of the rate relative to m, with m / (m + r) from the count itself.

        Conjugacy of Gamma and Poisson; ``mean`` is overwritten.
        """
        r = _at(self.dispersion, measured)
        spread = mean + r
        reliability = mean.div_(spread).mean(1)
        return PosteriorRate(torch.add(counts, r, out=mean).div_(spread), reliability)

    def log_likelihood_and_score(
        self, counts: Tensor, share: Tensor, library: Tensor, memory: Memory | None = None
    ) -> tuple[Tensor, Tensor]:
        r"""As the general one, with one exponential for softmax and likelihood together and no lgamma.

        With the logit :math:`a = \log(mean / r)` and s = softplus(a), log NB is x (a - s) - r s and a constant, and its
        derivative by a is x - (x + r) sigmoid(a).
        """
        r = self.dispersion
        odds, other = memory or Memory(torch.empty_like(share), torch.empty_like(share))
        torch.mul(share, 1.0 / r, out=odds).mul_(library).clamp_min_(FLOOR)
        excess = torch.log1p(odds, out=other)  # s
        value = -(excess @ r)
        at_zero = self._at_zero(counts, excess, r)
        # s - a instead of s and a: both terms stay of the size of r, so float32 is enough
        shortfall = torch.reciprocal(odds, out=other).log1p_()
        value -= shortfall.mul_(counts).sum(1)
        # x - (x + r) sigmoid(a) = (x - mean) / (1 + odds): of the size of r without cancelling terms of the size of x
        score = torch.addcmul(counts, share, library, value=-1.0, out=other).div_(odds.add_(1.0))
        if at_zero is not None:
            value += at_zero[0]
            score *= at_zero[1]
        return value, score

    def _at_zero(self, counts: Tensor, excess: Tensor, r: Tensor) -> tuple[Tensor, Tensor] | None:
        """What is added to the log likelihood (n,) for counts of zero, and factors of the score (n, F)."""
        return None

    def damped_score(self, counts: Tensor, mean: Tensor, out: Tensor | None = None) -> Tensor:
        r"""R log((x + r) / (m + r)): for deep counts r log(x / m), the score of a log-normal model."""
        r = self.dispersion
        return torch.add(counts, r, out=out).div_(mean.add_(r)).log_().mul_(r)

    def _draw_rates(
        self, share: Rates, library: Rates, rng: np.random.Generator, dispersion: Rates | None
    ) -> NDArray[np.float64]:
        """Gamma distributed, of shape r."""
        r = self.dispersion.detach().numpy() if dispersion is None else dispersion
        return np.asarray(share * rng.standard_gamma(r, share.shape) / r)


class ZeroInflatedNegativeBinomialHead(NegativeBinomialHead):
    """Counts are zero with a probability of the feature's own, otherwise negative binomial.

    Variance, information and posterior rate are those of the counts that are not zero by inflation.
    """

    def __init__(self, n_inputs: int, n_features: int, *, dispersion_floor: float = 0.05) -> None:
        super().__init__(n_inputs, n_features, dispersion_floor=dispersion_floor)
        self.zero_logit = nn.Parameter(torch.full((n_features,), -3.0))

    def log_prob(
        self, counts: Tensor, log_mean: Tensor, measured: Tensor | None = None, dispersion: Tensor | None = None
    ) -> Tensor:
        """Elementwise log likelihood, (n, n_measured); ``dispersion`` (n_measured,) in the place of the head's own."""
        zero_logit = _at(self.zero_logit, measured)
        count_part = super().log_prob(counts, log_mean, measured, dispersion) - softplus(zero_logit)
        zero_part = -softplus(-zero_logit)
        return torch.where(counts > 0, count_part, torch.logaddexp(zero_part, count_part))

    def _at_zero(self, counts: Tensor, excess: Tensor, r: Tensor) -> tuple[Tensor, Tensor] | None:
        """Of log(pi + (1 - pi) NB(0)) in place of log NB(0); (1 - pi) elsewhere is constant."""
        zero = counts == 0
        log_zero = -r * excess
        inflated = torch.logaddexp(self.zero_logit.expand_as(log_zero), log_zero) - log_zero
        # derivative of logaddexp(c, l) is sigmoid(l - c) times that of l
        factor = torch.where(zero, torch.sigmoid(log_zero - self.zero_logit), 1.0)
        return torch.where(zero, inflated, 0.0).sum(1), factor

    def _draw_rates(
        self, share: Rates, library: Rates, rng: np.random.Generator, dispersion: Rates | None
    ) -> NDArray[np.float64]:
        """As the negative binomial, or 0."""
        rate = super()._draw_rates(share, library, rng, dispersion)
        return np.where(rng.random(share.shape) < torch.sigmoid(self.zero_logit.detach()).numpy(), 0.0, rate)


class PoissonHead(CountHead):
    """Counts scatter around their means as molecules drawn by chance do, and no more."""

    rates_scatter = False

    def log_prob(self, counts: Tensor, log_mean: Tensor, measured: Tensor | None = None) -> Tensor:
        """Elementwise log likelihood, (n, n_measured)."""
        return counts * log_mean - log_mean.exp() - torch.lgamma(counts + 1.0)

    def variance_ratio(self, mean: Tensor, measured: Tensor | None = None) -> Tensor:
        """1."""
        return torch.ones_like(mean)


HEADS: dict[str, type[CountHead]] = {
    "nb": NegativeBinomialHead,
    "zinb": ZeroInflatedNegativeBinomialHead,
    "poisson": PoissonHead,
}


def _at(values: Tensor, measured: Tensor | None) -> Tensor:
    return values if measured is None else values[measured]
