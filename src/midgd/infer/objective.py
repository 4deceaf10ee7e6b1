"""The log posterior of a latent given counts, lean enough for millions of cells.

With the decoder frozen every term without z drops out of the negative binomial (no lgamma), and its logit form
needs one exponential for the softmax and the likelihood together:

    a = log(mean / r),   s = softplus(a),   log NB = x (a - s) - r s + const,   d log NB / d a = x - (x + r) sigmoid(a)

Zero inflation belongs to the miRNA head; where a reference has it on the mRNA head, :class:`LogPosterior`
adds it for zero counts.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from midgd.nn import Decoder, GaussianMixture, ZeroInflatedNegativeBinomialHead

FLOOR = 1e-30


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

    def __call__(self, z: Tensor, counts: Tensor, library: Tensor) -> tuple[Tensor, Tensor]:
        """Value (n,) and gradient (n, d) at latents (n, d) for dense counts (n, G) and libraries (n, 1)."""
        with torch.enable_grad():
            leaf = z.detach().requires_grad_(True)
            features = self.features(leaf)
        share = torch.addmm(self.bias, features.detach(), self.weight)
        share = share.sub_(share.amax(1, keepdim=True)).exp_()
        share /= share.sum(1, keepdim=True)
        value, slope = self._likelihood(share, counts, library)
        # d share-softmax: the slope minus its share-weighted total
        slope.addcmul_(share, slope.sum(1, keepdim=True), value=-1.0)
        (grad,) = torch.autograd.grad(features, leaf, slope @ self.weight.T)
        log_prior, prior_grad = self.prior.log_prob_and_grad(z)
        return value + log_prior, grad + prior_grad

    def _likelihood(self, share: Tensor, counts: Tensor, library: Tensor) -> tuple[Tensor, Tensor]:
        """Log likelihood (n,) and its derivative by the log mean (n, G)."""
        odds = share * library
        odds /= self.dispersion
        odds.clamp_min_(FLOOR)
        excess = odds.log1p()  # s
        shortfall = odds.reciprocal().log1p_()  # s - a: both terms stay of the size of r, so float32 is enough
        value = -torch.einsum("ng,ng->n", counts, shortfall) - excess @ self.dispersion
        # x - (x + r) sigmoid(a) = (x - mean) / (1 + odds): of the size of r without cancelling terms of the size of x
        slope = torch.addcmul(counts, odds, self.dispersion, value=-1.0).div_(odds + 1.0)
        if self.zero_logit is not None:
            self._inflate_zeros(value, slope, counts, excess)
        return value, slope

    def _inflate_zeros(self, value: Tensor, slope: Tensor, counts: Tensor, excess: Tensor) -> None:
        """Replace log NB(0) by log(pi + (1 - pi) NB(0)) where the count is zero; (1 - pi) elsewhere is constant."""
        assert self.zero_logit is not None
        at_zero = counts == 0
        log_zero = -self.dispersion * excess
        inflated = torch.logaddexp(self.zero_logit.expand_as(log_zero), log_zero) - log_zero
        value += torch.where(at_zero, inflated, 0.0).sum(1)
        # derivative of logaddexp(c, l) is sigmoid(l - c) times that of l
        slope *= torch.where(at_zero, torch.sigmoid(log_zero - self.zero_logit), 1.0)

    def curvature(self, log_library: Tensor) -> Tensor:
        """Expected information about z at the centre of the prior for each library, (n_libraries, d, d).

        Fisher information of the negative binomial at the mean share, through the decoder linearised at the
        centre, plus the average precision of the prior: what the optimiser is preconditioned with.
        """
        centre = self.prior.mean
        jacobian = torch.autograd.functional.jacobian(lambda z: self.features(z[None])[0], centre)
        direction = jacobian.T @ self.weight
        log_share = self.log_share(centre[None])[0]
        direction = direction - (direction @ log_share.exp())[:, None]
        precision = torch.diag(torch.softmax(self.prior.weight_logits, 0) @ self.prior.precision)
        information = []
        for value in log_library:
            mean = (log_share + value).exp()
            fisher = mean * self.dispersion / (mean + self.dispersion)
            information.append((direction * fisher) @ direction.T + precision)
        return torch.stack(information)
