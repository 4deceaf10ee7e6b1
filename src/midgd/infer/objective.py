"""The log posterior of a latent given counts, lean enough for millions of cells.

With the decoder frozen every term without z drops out of the negative binomial (no lgamma), and its logit form
needs one exponential for the softmax and the likelihood together:

    a = log(mean / r),   s = softplus(a),   log NB = x (a - s) - r s + const,   d log NB / d a = x - (x + r) sigmoid(a)

Zero inflation belongs to the miRNA head; where a reference has it on the mRNA head, :class:`LogPosterior`
adds it for zero counts.
"""

from __future__ import annotations

import copy
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from midgd.nn import Decoder, GaussianMixture, ZeroInflatedNegativeBinomialHead

FLOOR = 1e-30


class Workspace(NamedTuple):
    """Memory for one evaluation, each (n, G): fresh memory at every evaluation would cost more than the arithmetic."""

    share: Tensor
    odds: Tensor
    other: Tensor


class _Inflation(NamedTuple):
    """What zero inflation adds to the value (n,) and how it scales the slope (n, G)."""

    gain: Tensor
    factor: Tensor


class LogPosterior:
    """log p(x | z) + log p(z) up to a constant in z, and its gradient, for the genes that a query has.

    Parameters
    ----------
    decoder, prior
        The frozen model.
    genes
        Indices of the reference genes present in the query, (G,); the softmax is renormalised over them.
    modality
        Which head is observed.
    device
        Where to compute.
    """

    def __init__(
        self,
        decoder: Decoder,
        prior: GaussianMixture,
        genes: Tensor,
        *,
        modality: str = "mrna",
        device: torch.device | str = "cpu",
    ) -> None:
        head = decoder.head(modality)
        genes = genes.to(head.bias.device)
        self.decoder, self.prior = decoder, prior
        self.weight = head.weight.detach()[:, genes].contiguous().to(device)
        self.bias = head.bias.detach()[genes].to(device)
        self.dispersion = head.dispersion.detach()[genes].to(device)
        zero_logit = head.zero_logit.detach()[genes] if isinstance(head, ZeroInflatedNegativeBinomialHead) else None
        self.zero_logit = None if zero_logit is None else zero_logit.to(device)

    def double(self) -> LogPosterior:
        """The same in float64."""
        exact = copy.copy(self)
        exact.__dict__.pop("linearised", None)
        exact.decoder, exact.prior = copy.deepcopy(self.decoder).double(), copy.deepcopy(self.prior).double()
        for name in ("weight", "bias", "dispersion"):
            setattr(exact, name, getattr(self, name).double())
        exact.zero_logit = None if self.zero_logit is None else self.zero_logit.double()
        return exact

    @property
    def n_latent(self) -> int:
        """Dimension of the latent."""
        return self.prior.n_latent

    def features(self, z: Tensor) -> Tensor:
        """Decoder features of latents, (n, n_features)."""
        return self.decoder(z)

    def log_share(self, z: Tensor) -> Tensor:
        """Log shares over the genes present, (n, G)."""
        return torch.log_softmax(torch.addmm(self.bias, self.features(z), self.weight), 1)

    def workspace(self, n: int) -> Workspace:
        """Room for evaluations of n rows."""
        return Workspace(*(self.weight.new_empty(n, self.weight.shape[1]) for _ in range(3)))

    def __call__(
        self, z: Tensor, counts: Tensor, library: Tensor, work: Workspace | None = None
    ) -> tuple[Tensor, Tensor]:
        """Value (n,) and gradient (n, d) at latents (n, d) for dense counts (n, G) and libraries (n, 1)."""
        work = work or self.workspace(len(z))
        with torch.enable_grad():
            leaf = z.detach().requires_grad_(True)
            features = self.features(leaf)
        logits = torch.addmm(self.bias, features.detach(), self.weight, out=work.share)
        torch.softmax(logits, 1, out=work.share)
        value, slope = self._likelihood(work, counts, library)
        # d share-softmax: the slope minus its share-weighted total
        slope.addcmul_(work.share, slope.sum(1, keepdim=True), value=-1.0)
        (grad,) = torch.autograd.grad(features, leaf, slope @ self.weight.T)
        log_prior, prior_grad = self.prior.log_prob_and_grad(z)
        return value + log_prior, grad + prior_grad

    def _likelihood(self, work: Workspace, counts: Tensor, library: Tensor) -> tuple[Tensor, Tensor]:
        """Log likelihood (n,) and its derivative by the log mean (n, G)."""
        odds = torch.mul(work.share, 1.0 / self.dispersion, out=work.odds).mul_(library).clamp_min_(FLOOR)
        excess = torch.log1p(odds, out=work.other)  # s
        value = -(excess @ self.dispersion)
        keep_zeros = None if self.zero_logit is None else self._inflated_zeros(counts, excess)
        # s - a instead of s and a: both terms stay of the size of r, so float32 is enough
        shortfall = torch.reciprocal(odds, out=work.other).log1p_()
        value -= shortfall.mul_(counts).sum(1)
        # x - (x + r) sigmoid(a) = (x - mean) / (1 + odds): of the size of r without cancelling terms of the size of x
        slope = torch.addcmul(counts, work.share, library, value=-1.0, out=work.other).div_(odds.add_(1.0))
        if keep_zeros is not None:
            value += keep_zeros.gain
            slope *= keep_zeros.factor
        return value, slope

    def _inflated_zeros(self, counts: Tensor, excess: Tensor) -> _Inflation:
        """Of log(pi + (1 - pi) NB(0)) in place of log NB(0) at zero counts; (1 - pi) elsewhere is constant."""
        assert self.zero_logit is not None
        at_zero = counts == 0
        log_zero = -self.dispersion * excess
        inflated = torch.logaddexp(self.zero_logit.expand_as(log_zero), log_zero) - log_zero
        # derivative of logaddexp(c, l) is sigmoid(l - c) times that of l
        factor = torch.where(at_zero, torch.sigmoid(log_zero - self.zero_logit), 1.0)
        return _Inflation(torch.where(at_zero, inflated, 0.0).sum(1), factor)

    @cached_property
    def linearised(self) -> tuple[Tensor, Tensor]:
        """At the centre of the prior: derivatives of the log shares by the latent (d, G), and log shares (G,)."""
        centre = self.prior.mean
        jacobian = torch.autograd.functional.jacobian(lambda z: self.features(z[None])[0], centre)
        direction = jacobian.T @ self.weight
        log_share = self.log_share(centre[None])[0].detach()
        return direction - (direction @ log_share.exp())[:, None], log_share

    def curvature(self, log_library: Tensor) -> Tensor:
        """Expected information about z at the centre of the prior for each library, (n_libraries, d, d).

        Fisher information of the negative binomial at the mean share, through the decoder linearised at the
        centre, plus the average precision of the prior: what the optimiser is preconditioned with.
        """
        direction, log_share = self.linearised
        precision = torch.diag(torch.softmax(self.prior.weight_logits, 0) @ self.prior.precision)
        information = []
        for value in log_library:
            mean = (log_share + value).exp()
            fisher = mean * self.dispersion / (mean + self.dispersion)
            information.append((direction * fisher) @ direction.T + precision)
        return torch.stack(information)
