"""Formulas of likelihoods that need care in single precision."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus


def negative_binomial_log_prob(counts: Tensor, log_mean: Tensor, dispersion: Tensor) -> Tensor:
    r"""Log NB(counts; mean, r), elementwise.

    With the logit :math:`a = \log(mean / r)` it reads
    :math:`-x\,\mathrm{softplus}(-a) - r\,\mathrm{softplus}(a) + \log\binom{x + r - 1}{x}`: the two first terms
    and their gradients stay of the size of r at any depth. The difference a - softplus(a) in place of
    -softplus(-a) would lose them in float32 for counts of a million.

    Parameters
    ----------
    counts
        (n, F) counts x.
    log_mean
        (n, F) natural logs of the expected counts.
    dispersion
        (F,) r, above 0; the variance is mean + mean² / r.

    Returns
    -------
    (n, F) in nats.
    """
    logit = log_mean - dispersion.log()
    binomial = torch.lgamma(counts + dispersion) - torch.lgamma(dispersion) - torch.lgamma(counts + 1.0)
    return binomial - counts * softplus(-logit) - dispersion * softplus(logit)
