"""The base of count heads: from the decoder's features to shares, and how counts scatter around their means.

Zamani et al. 2026: the mean of a feature is the library times a softmax share. Training, inference, domain score,
readout and generation ask the head and know no likelihood themselves: one is a class with :meth:`CountHead.log_prob`
and :meth:`CountHead.variance_ratio`, see :mod:`midgd.nn.heads`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

FLOOR = 1e-30  # of a mean, before its logarithm
Rates: TypeAlias = "NDArray[np.floating[Any]]"


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

    def draw(
        self, share: Rates, library: Rates, rng: np.random.Generator, dispersion: Rates | None = None
    ) -> NDArray[np.int64]:
        """Draw counts of samples, whose expected sums are the libraries.

        Rates are drawn around the shares and scaled to the library of their sample; counts are Poisson draws of them.
        Where a zero-inflated head takes the counts of some features away, the others get them. A head whose counts
        are no mixture of Poisson counts has a method of its own in the place of this one.

        Parameters
        ----------
        share
            (n, F) decoded shares, which add up to 1.
        library
            (n, 1) expected sums of the counts.
        rng
            Source of randomness.
        dispersion
            (n, F) inverse dispersions in the place of the head's own; for heads without, None.

        Returns
        -------
        (n, F) counts.
        """
        rate = self._draw_rates(share, library, rng, dispersion)
        # Rates of one sample scatter, its depth does not. Where all of them are 0, no count can be drawn.
        total = rate.sum(1, keepdims=True)
        return rng.poisson(rate * (library / np.where(total > 0, total, 1.0)))

    def _draw_rates(
        self, share: Rates, library: Rates, rng: np.random.Generator, dispersion: Rates | None
    ) -> NDArray[np.float64]:
        """Rates (n, F) on the scale of the shares: Gamma distributed, with the variance of the counts."""
        ratio = self.variance_ratio(torch.from_numpy(np.asarray(share * library, np.float32))).detach().numpy()
        scatters = ratio > 1.0
        shape = np.where(scatters, share * library / np.where(scatters, ratio - 1.0, 1.0), 1.0)
        shape = np.maximum(shape, FLOOR)
        return np.where(scatters, share * rng.standard_gamma(shape) / shape, share)
