"""Count heads: from the decoder's features to shares, and from shares to the likelihood of counts.

Zamani et al. 2026: the mean of a feature is the library times a softmax share; counts around it are
negative binomial, optionally zero inflated.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus


class CountHead(nn.Module, ABC):
    """Linear map from decoder features to the log shares of one modality, with a likelihood.

    Parameters
    ----------
    n_inputs
        Number of decoder features (latent and hidden together when the decoder has a linear skip).
    n_features
        Number of genes or miRNAs.
    dispersion_floor
        The inverse dispersion is ``exp(log_dispersion) + dispersion_floor`` (1 in the paper).
    """

    def __init__(self, n_inputs: int, n_features: int, *, dispersion_floor: float = 0.05) -> None:
        super().__init__()
        self.dispersion_floor = dispersion_floor
        self.weight = nn.Parameter(torch.randn(n_inputs, n_features) * 0.01)
        self.bias = nn.Parameter(torch.zeros(n_features))
        self.log_dispersion = nn.Parameter(torch.full((n_features,), 1.0))

    @property
    def n_features(self) -> int:
        """Number of genes or miRNAs."""
        return self.bias.shape[0]

    @property
    def dispersion(self) -> Tensor:
        """Inverse dispersion r of every feature: the variance of a count is mean + mean^2 / r."""
        return self.log_dispersion.exp() + self.dispersion_floor

    def log_share(self, features: Tensor, measured: Tensor | None = None) -> Tensor:
        """Log softmax shares, (n, n_measured), normalised over the features ``measured`` (indices; all if None)."""
        # Columns of the product, not of the weights: their gradient would be scattered at twice the cost.
        logits = torch.addmm(self.bias, features, self.weight)
        return torch.log_softmax(logits if measured is None else logits[:, measured], 1)

    @abstractmethod
    def log_prob(self, counts: Tensor, log_mean: Tensor, measured: Tensor | None = None) -> Tensor:
        """Elementwise log likelihood of counts given the log of their means, both (n, n_measured)."""


class NegativeBinomialHead(CountHead):
    """Counts are negative binomial."""

    def log_prob(self, counts: Tensor, log_mean: Tensor, measured: Tensor | None = None) -> Tensor:
        """Elementwise log likelihood, (n, n_measured)."""
        return negative_binomial_log_prob(counts, log_mean, _at(self.dispersion, measured))


class ZeroInflatedNegativeBinomialHead(CountHead):
    """Counts are zero with a probability of the feature's own, otherwise negative binomial."""

    def __init__(self, n_inputs: int, n_features: int, *, dispersion_floor: float = 0.05) -> None:
        super().__init__(n_inputs, n_features, dispersion_floor=dispersion_floor)
        self.zero_logit = nn.Parameter(torch.full((n_features,), -3.0))

    def log_prob(self, counts: Tensor, log_mean: Tensor, measured: Tensor | None = None) -> Tensor:
        """Elementwise log likelihood, (n, n_measured)."""
        zero_logit = _at(self.zero_logit, measured)
        nb = negative_binomial_log_prob(counts, log_mean, _at(self.dispersion, measured))
        count_part = nb - softplus(zero_logit)
        zero_part = -softplus(-zero_logit)
        return torch.where(counts > 0, count_part, torch.logaddexp(zero_part, count_part))


HEADS: dict[str, type[CountHead]] = {"nb": NegativeBinomialHead, "zinb": ZeroInflatedNegativeBinomialHead}


def _at(values: Tensor, measured: Tensor | None) -> Tensor:
    return values if measured is None else values[measured]


def negative_binomial_log_prob(counts: Tensor, log_mean: Tensor, dispersion: Tensor) -> Tensor:
    r"""Log NB(counts; mean, r), elementwise.

    With the logit :math:`a = \log(mean / r)` it reads
    :math:`-x\,\mathrm{softplus}(-a) - r\,\mathrm{softplus}(a) + \log\binom{x + r - 1}{x}`: the two first terms
    and their gradients stay of the size of r at any depth. The difference a - softplus(a) in place of
    -softplus(-a) would lose them in float32 for counts of a million.
    """
    logit = log_mean - dispersion.log()
    binomial = torch.lgamma(counts + dispersion) - torch.lgamma(dispersion) - torch.lgamma(counts + 1.0)
    return binomial - counts * softplus(-logit) - dispersion * softplus(logit)
