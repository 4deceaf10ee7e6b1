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
from midgd.nn.count_head import Memory
from midgd.nn.loops import loops_for
from midgd.nn.prior import FixedMixture

# Fewest rows that are evaluated: a single one is multiplied by other routines than several are.
FEWEST_ROWS = 4
# What was found by :meth:`LogPosterior.same_in_fewer_rows`: it depends on sizes and the library alone.
_same_in_fewer_rows: dict[tuple[object, ...], bool] = {}


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
        self.loops = loops_for(self.head)

    @cached_property
    def _fixed(self) -> tuple[FixedMixture, Tensor]:
        """The prior, and the weights of the head with genes as rows, (G, n_features): what evaluations need."""
        return FixedMixture(self.prior), self.head.weight.detach().T.contiguous()

    def double(self) -> LogPosterior:
        """The same in float64."""
        exact = copy.copy(self)
        for name in ("linearised_at_centre", "_fixed"):
            exact.__dict__.pop(name, None)
        for name in ("decoder", "prior", "head"):
            setattr(exact, name, copy.deepcopy(getattr(self, name)).double())
        exact.loops = None
        return exact

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
        return self.head.log_share(self.decoder(z))

    def workspace(self, n: int, n_genes: int | None = None) -> Workspace:
        """Room for evaluations of n rows.

        Parameters
        ----------
        n
            Number of rows that are evaluated at a time.
        n_genes
            Number of genes; None for those present.

        Returns
        -------
        Memory that evaluations use again and again.
        """
        share, one, other = (self.head.bias.new_empty(n, n_genes or self.head.n_features) for _ in range(3))
        return Workspace(share, Memory(one, other))

    def __call__(
        self, z: Tensor, counts: Tensor, library: Tensor, work: Workspace | None = None
    ) -> tuple[Tensor, Tensor]:
        """Value (n,) and gradient (n, d) at latents (n, d) for dense counts (n, G) and libraries (n, 1)."""
        work = work or self.workspace(len(z))
        with torch.enable_grad():
            leaf = z.detach().requires_grad_(True)
            features = self.decoder(leaf)
        logits = torch.addmm(self.head.bias, features.detach(), self.head.weight, out=work.share)
        if self.loops is not None:
            value, score = self.loops.log_likelihood(logits, counts, library)
        else:
            torch.softmax(logits, 1, out=work.share)
            value, score = self.head.log_likelihood_and_score(counts, work.share, library, work.of_head)
            # Through the softmax: the score minus its share-weighted total.
            score.addcmul_(work.share, score.sum(1, keepdim=True), value=-1.0)
        prior, weight = self._fixed
        (grad,) = torch.autograd.grad(features, leaf, score @ weight)
        log_prior, prior_grad = prior(z)
        return value + log_prior, grad + prior_grad

    def same_in_fewer_rows(self, n: int) -> bool:
        """Whether a row has the same digits in a block of n rows and in smaller ones, which libraries differ in.

        Tried on random rows: sums in another order have other last digits somewhere among so many numbers.

        Parameters
        ----------
        n
            Rows of a block, more than :data:`FEWEST_ROWS`.

        Returns
        -------
        Whether all digits of values and gradients were the same in blocks of four sizes.
        """
        bias, means = self.head.bias, self.prior.means
        key = (
            type(self),
            n,
            str(self.decoder.spec),
            bias.shape,
            means.shape,
            bias.dtype,
            bias.device,
            self.loops is None,
        )
        if key not in _same_in_fewer_rows:
            z = torch.randn(n, self.prior.n_latent, generator=torch.Generator().manual_seed(0)).to(bias)
            counts = torch.ones_like(z[:, :1]).repeat(1, self.head.n_features)
            library = counts.sum(1, keepdim=True)

            def digits(k: int) -> Tensor:
                value, grad = self(z[:k], counts[:k], library[:k])
                return torch.cat([value[:, None], grad, (grad * z[:k]).sum(1, keepdim=True)], 1)

            whole, fewer = digits(n), (max(k, FEWEST_ROWS) for k in (n // 4 + 1, n // 12, 0))
            _same_in_fewer_rows[key] = all(torch.equal(digits(k), whole[:k]) for k in fewer)
        return _same_in_fewer_rows[key]

    def linearised(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The log shares near a latent, to first order.

        Parameters
        ----------
        z
            (d,) the latent.

        Returns
        -------
        Derivatives of the log shares by the latent, (d, G), and the log shares, (G,).
        """
        slopes = self.head.weight  # of the logits by the features
        if self.decoder.spec.n_hidden:
            slopes = torch.autograd.functional.jacobian(lambda z: self.decoder(z[None])[0], z).T @ slopes
        log_share = self.log_share(z[None])[0].detach()
        return slopes - (slopes @ log_share.exp())[:, None], log_share

    @cached_property
    def linearised_at_centre(self) -> tuple[Tensor, Tensor]:
        """Log shares and their derivatives at the mean of the prior, see :meth:`linearised`."""
        return self.linearised(self.prior.mean)

    def curvature(self, log_library: float, at: Tensor | None = None) -> Tensor:
        """Expected information about z, (d, d): what the optimiser is preconditioned with.

        Information of the head, through the decoder linearised at a latent, plus the precision of the component of the
        prior that the latent is in, but for precisions below the average: the longer steps of a wide component ended in
        worse optima where few genes are present (of the demo cells, 8 % lost more than one log unit; now 3 %).

        Parameters
        ----------
        log_library
            Natural log of the sum of the counts.
        at
            (d,) the latent; None takes the mean of the prior and the average precision.

        Returns
        -------
        (d, d).
        """
        direction, log_share = self.linearised_at_centre if at is None else self.linearised(at)
        precision = torch.softmax(self.prior.weight_logits, 0) @ self.prior.precision
        if at is not None:
            component = self.prior.component_log_prob(at[None])[0].argmax()
            precision = torch.maximum(precision, self.prior.precision[component])
        of_genes = self.head.information((log_share + log_library).exp())
        return (direction * of_genes) @ direction.T + torch.diag(precision)
