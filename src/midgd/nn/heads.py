"""Count heads: from the decoder's features to shares, and all that depends on how counts scatter around their means.

Zamani et al. 2026: the mean of a feature is the library times a softmax share; counts around it are
negative binomial, optionally zero inflated. Training, inference, domain score and readout ask the head and know no
likelihood themselves: another one is a class with :meth:`CountHead.log_prob` and :meth:`CountHead.variance_ratio`,
and its name in :data:`HEADS`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from midgd.nn.likelihoods import negative_binomial_log_prob

FLOOR = 1e-30  # of a mean, before its logarithm


class Memory(NamedTuple):
    """Two arrays (n, F) that a head may overwrite: fresh memory costs more than the arithmetic."""

    one: Tensor
    other: Tensor


class PosteriorRate(NamedTuple):
    """What counts say about the rates of n samples beyond the latent.

    Attributes
    ----------
    factor
        Posterior mean of each rate, relative to the decoded one, (n, F).
    reliability
        Part of the posterior mean that comes from the count itself, mean over the features, (n,).
    """

    factor: Tensor
    reliability: Tensor


class CountHead(nn.Module, ABC):
    """Linear map from decoder features to the log shares of one modality, with a likelihood.

    The last dimension of every parameter is the feature. Arguments named ``measured`` are indices of features (all if
    None); counts and means are (n, n_measured).

    Parameters
    ----------
    n_inputs
        Number of decoder features (latent and hidden together when the decoder has a linear skip).
    n_features
        Number of genes or miRNAs.
    dispersion_floor
        For heads with a dispersion: the inverse of it is ``exp(log_dispersion) + dispersion_floor`` (1 in the paper).
    """

    #: Whether a count says more about its rate than the latent does; without, a sample has no evidence (always 0).
    rates_scatter: ClassVar[bool] = True

    def __init__(self, n_inputs: int, n_features: int, *, dispersion_floor: float = 0.05) -> None:
        super().__init__()
        self.dispersion_floor = dispersion_floor
        self.weight = nn.Parameter(torch.randn(n_inputs, n_features) * 0.01)
        self.bias = nn.Parameter(torch.zeros(n_features))

    @property
    def n_features(self) -> int:
        """Number of genes or miRNAs."""
        return self.bias.shape[0]

    def log_share(self, features: Tensor, measured: Tensor | None = None) -> Tensor:
        """Log shares by a softmax over the features that were measured.

        Parameters
        ----------
        features
            (n, n_features) from the decoder.
        measured
            (n_measured,) indices of the features that were measured; None for all.

        Returns
        -------
        (n, n_measured) natural logs of shares, which add up to 1.
        """
        # Columns of the product, not of the weights: their gradient would be scattered at twice the cost.
        logits = self.logits(features)
        return torch.log_softmax(logits if measured is None else logits[:, measured], 1)

    def logits(self, features: Tensor) -> Tensor:
        """Log shares, but for a constant of each sample.

        Parameters
        ----------
        features
            (n, n_inputs) of the decoder.

        Returns
        -------
        (n, n_features).
        """
        return torch.addmm(self.bias, features, self.weight)

    def likelihood_parameters(self) -> list[nn.Parameter]:
        """Parameters that shares do not depend on, such as dispersions."""
        return [p for name, p in self.named_parameters() if name not in ("weight", "bias")]

    def only(self, measured: Tensor) -> Self:
        """A frozen copy with some of the features.

        Parameters
        ----------
        measured
            (n_measured,) indices of the features to keep.

        Returns
        -------
        A head of these features, whose parameters cannot be trained.
        """
        part = copy.deepcopy(self).requires_grad_(False)
        for parameter in part.parameters():
            parameter.data = parameter.data[..., measured].contiguous()
        return part

    @abstractmethod
    def log_prob(self, counts: Tensor, log_mean: Tensor, measured: Tensor | None = None) -> Tensor:
        """Elementwise log likelihood of counts given the log of their means.

        Parameters
        ----------
        counts
            (n, n_measured) counts.
        log_mean
            (n, n_measured) natural logs of the expected counts.
        measured
            (n_measured,) indices of the columns among the features of the head; None for all.

        Returns
        -------
        (n, n_measured) in nats.
        """

    @abstractmethod
    def variance_ratio(self, mean: Tensor, measured: Tensor | None = None) -> Tensor:
        """Variance of counts divided by their mean, elementwise: 1 for Poisson counts, more where rates scatter.

        Parameters
        ----------
        mean
            (n, n_measured) expected counts.
        measured
            (n_measured,) indices of the columns among the features of the head; None for all.

        Returns
        -------
        (n, n_measured), 1 or more.
        """

    def chance_of_zero(self, mean: Tensor, measured: Tensor | None = None) -> Tensor:
        """Probability that a count of this mean is 0, elementwise.

        Parameters
        ----------
        mean
            (n, n_measured) expected counts.
        measured
            (n_measured,) indices of the columns among the features of the head; None for all.

        Returns
        -------
        (n, n_measured), from 0 to 1.
        """
        return self.log_prob(torch.zeros_like(mean), mean.clamp_min(FLOOR).log(), measured).exp()

    def information(self, mean: Tensor, measured: Tensor | None = None) -> Tensor:
        """Expected information of a count about the log of its mean, elementwise.

        The square of the mean over the variance: exact where, at a given dispersion, the likelihood is an exponential
        family, as Poisson and negative binomial are.

        Parameters
        ----------
        mean
            (n, n_measured) expected counts.
        measured
            (n_measured,) indices of the columns among the features of the head; None for all.

        Returns
        -------
        (n, n_measured), 0 or more.
        """
        return mean / self.variance_ratio(mean, measured)

    def posterior_rate(self, counts: Tensor, mean: Tensor, measured: Tensor | None = None) -> PosteriorRate:
        r"""Posterior of the rates behind the counts, given their decoded means; ``mean`` may be overwritten.

        The best linear estimate from mean and variance (credibility, Bühlmann 1967, ASTIN Bulletin 4:199): a count is
        taken for its rate to the part :math:`1 - 1/v`, with v the variance ratio. It is exact for the negative
        binomial, whose rates are Gamma distributed; Poisson counts say nothing beyond their mean.

        Parameters
        ----------
        counts
            (n, n_measured) counts.
        mean
            (n, n_measured) expected counts.
        measured
            (n_measured,) indices of the columns among the features of the head; None for all.

        Returns
        -------
        By what factor each rate differs from its mean, (n, n_measured), and the mean reliability of each sample, (n,).
        """
        reliability = 1.0 - self.variance_ratio(mean, measured).reciprocal()
        factor = 1.0 + reliability * (counts / mean.clamp_min(FLOOR) - 1.0)
        return PosteriorRate(factor, reliability.mean(1))

    def log_likelihood_and_score(
        self, counts: Tensor, share: Tensor, library: Tensor, memory: Memory | None = None
    ) -> tuple[Tensor, Tensor]:
        """Log likelihood of rows, (n,), up to a constant, and its derivative by the log means, (n, F).

        Inference spends its time here, so heads have formulas of their own; this one is right for all.

        Parameters
        ----------
        counts, share
            Counts and decoded shares, (n, F).
        library
            Sums of the counts, (n, 1).
        memory
            To be overwritten; the derivative may be in it.

        Returns
        -------
        Nats (n,), and their derivatives by the logs of the means (n, F).
        """
        with torch.enable_grad():
            log_mean = (share * library).clamp_min(FLOOR).log().detach().requires_grad_(True)
            value = self.log_prob(counts, log_mean).sum(1)
        (score,) = torch.autograd.grad(value, log_mean, torch.ones_like(value))
        return value.detach(), score

    def damped_score(self, counts: Tensor, mean: Tensor, out: Tensor | None = None) -> Tensor:
        r"""The derivative of the log likelihood by the log means, on a scale that no count can blow up, (n, F).

        To first order it is the score :math:`(x - m) / v`, with v the variance ratio; in deep samples it grows with
        :math:`\log(x / m)`. ``mean`` may be overwritten, ``out`` is memory for the result.

        Parameters
        ----------
        counts
            (n, n_features) counts.
        mean
            (n, n_features) expected counts.
        out
            (n, n_features) memory for the result; None takes new memory.

        Returns
        -------
        (n, n_features).
        """
        ratio = ((counts + 1.0) / (mean + 1.0)).log_()
        return torch.mul(ratio, (mean + 1.0) / self.variance_ratio(mean), out=out)


class NegativeBinomialHead(CountHead):
    r"""Counts are negative binomial: their rates scatter as a Gamma distribution of shape r around the decoded mean."""

    def __init__(self, n_inputs: int, n_features: int, *, dispersion_floor: float = 0.05) -> None:
        super().__init__(n_inputs, n_features, dispersion_floor=dispersion_floor)
        self.log_dispersion = nn.Parameter(torch.full((n_features,), 1.0))

    @property
    def dispersion(self) -> Tensor:
        """Inverse dispersion r of every feature: the variance of a count is mean + mean^2 / r."""
        return self.log_dispersion.exp() + self.dispersion_floor

    def log_prob(self, counts: Tensor, log_mean: Tensor, measured: Tensor | None = None) -> Tensor:
        """Elementwise log likelihood, (n, n_measured)."""
        return negative_binomial_log_prob(counts, log_mean, _at(self.dispersion, measured))

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


class ZeroInflatedNegativeBinomialHead(NegativeBinomialHead):
    """Counts are zero with a probability of the feature's own, otherwise negative binomial.

    Variance, information and posterior rate are those of the counts that are not zero by inflation.
    """

    def __init__(self, n_inputs: int, n_features: int, *, dispersion_floor: float = 0.05) -> None:
        super().__init__(n_inputs, n_features, dispersion_floor=dispersion_floor)
        self.zero_logit = nn.Parameter(torch.full((n_features,), -3.0))

    def log_prob(self, counts: Tensor, log_mean: Tensor, measured: Tensor | None = None) -> Tensor:
        """Elementwise log likelihood, (n, n_measured)."""
        zero_logit = _at(self.zero_logit, measured)
        count_part = super().log_prob(counts, log_mean, measured) - softplus(zero_logit)
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
