"""The log posterior of a latent given counts, lean enough for millions of cells.

The likelihood and its derivative are those of the head, over the genes that a query has; the chain from there through
softmax and decoder, and the prior, are here.
"""

from __future__ import annotations

import copy
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from midgd.nn import Decoder, GaussianMixture
from midgd.nn.heads import Memory


class Workspace(NamedTuple):
    """Memory for one evaluation, arrays (n, G): fresh memory each time would cost more than the arithmetic."""

    share: Tensor
    of_head: Memory


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
        self.decoder, self.prior = decoder, prior
        self.head = head.only(genes.to(head.bias.device)).to(device)

    def double(self) -> LogPosterior:
        """The same in float64."""
        exact = copy.copy(self)
        exact.__dict__.pop("linearised", None)
        for name in ("decoder", "prior", "head"):
            setattr(exact, name, copy.deepcopy(getattr(self, name)).double())
        return exact

    @property
    def n_genes(self) -> int:
        """Number of genes present."""
        return self.head.n_features

    @property
    def bias(self) -> Tensor:
        """Logits of the shares at features of 0, (G,): their type and device are those of an evaluation."""
        return self.head.bias

    @property
    def n_latent(self) -> int:
        """Dimension of the latent."""
        return self.prior.n_latent

    def features(self, z: Tensor) -> Tensor:
        """Decoder features of latents, (n, n_features).

        Parameters
        ----------
        z
            (n, d) latents.

        Returns
        -------
        (n, n_features).
        """
        return self.decoder(z)

    def log_share(self, z: Tensor) -> Tensor:
        """Log shares over the genes present, (n, G).

        Parameters
        ----------
        z
            (n, d) latents.

        Returns
        -------
        (n, G) natural logs of shares, which add up to 1.
        """
        return self.head.log_share(self.features(z))

    def workspace(self, n: int) -> Workspace:
        """Room for evaluations of n rows.

        Parameters
        ----------
        n
            Number of rows that are evaluated at a time.

        Returns
        -------
        Memory that evaluations use again and again.
        """
        share, one, other = (self.bias.new_empty(n, self.n_genes) for _ in range(3))
        return Workspace(share, Memory(one, other))

    def __call__(
        self, z: Tensor, counts: Tensor, library: Tensor, work: Workspace | None = None
    ) -> tuple[Tensor, Tensor]:
        """Value (n,) and gradient (n, d) at latents (n, d) for dense counts (n, G) and libraries (n, 1)."""
        work = work or self.workspace(len(z))
        with torch.enable_grad():
            leaf = z.detach().requires_grad_(True)
            features = self.features(leaf)
        logits = torch.addmm(self.bias, features.detach(), self.head.weight, out=work.share)
        torch.softmax(logits, 1, out=work.share)
        value, score = self.head.log_likelihood_and_score(counts, work.share, library, work.of_head)
        # Through the softmax: the score minus its share-weighted total.
        score.addcmul_(work.share, score.sum(1, keepdim=True), value=-1.0)
        (grad,) = torch.autograd.grad(features, leaf, score @ self.head.weight.T)
        log_prior, prior_grad = self.prior.log_prob_and_grad(z)
        return value + log_prior, grad + prior_grad

    @cached_property
    def linearised(self) -> tuple[Tensor, Tensor]:
        """At the centre of the prior: derivatives of the log shares by the latent (d, G), and log shares (G,)."""
        centre = self.prior.mean
        jacobian = torch.autograd.functional.jacobian(lambda z: self.features(z[None])[0], centre)
        direction = jacobian.T @ self.head.weight
        log_share = self.log_share(centre[None])[0].detach()
        return direction - (direction @ log_share.exp())[:, None], log_share

    def curvature(self, log_library: Tensor) -> Tensor:
        """Expected information about z at the centre of the prior for each library, (n_libraries, d, d).

        Information of the head at the mean share, through the decoder linearised at the centre, plus the average
        precision of the prior: what the optimiser is preconditioned with.

        Parameters
        ----------
        log_library
            (n_libraries,) natural logs of library sizes.

        Returns
        -------
        (n_libraries, d, d).
        """
        direction, log_share = self.linearised
        precision = torch.diag(torch.softmax(self.prior.weight_logits, 0) @ self.prior.precision)
        information = []
        for value in log_library:
            of_genes = self.head.information((log_share + value).exp())
            information.append((direction * of_genes) @ direction.T + precision)
        return torch.stack(information)
