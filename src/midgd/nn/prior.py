"""Prior of the latent: a mixture of diagonal Gaussians whose own parameters have priors.

Schuster & Krogh 2023 (Bioinformatics 39:btad497, section 2.2); the same in Zamani et al. 2026.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LOG_2PI = math.log(2.0 * math.pi)


class GaussianMixture(nn.Module):
    r"""Mixture :math:`p(z) = \sum_k w_k N(z; \mu_k, \mathrm{diag}(\sigma_k^2))`.

    Parameters
    ----------
    n_components
        Number of components K.
    n_latent
        Dimension d of the latent.
    radius, sharpness
        Softball prior of the means: flat inside a ball of this radius, with a soft edge.
    typical_sd
        The Gaussian prior of every :math:`-\log\sigma^2` is centred at :math:`-2\log` of this value, with sd 1.

    Notes
    -----
    The defaults of radius, sharpness and typical standard deviation are chosen by hand.
    """

    def __init__(
        self,
        n_components: int,
        n_latent: int,
        *,
        radius: float = 2.0,
        sharpness: float = 5.0,
        typical_sd: float = 0.5,
    ) -> None:
        super().__init__()
        self.radius, self.sharpness, self.typical_sd = radius, sharpness, typical_sd
        self.means = nn.Parameter(torch.randn(n_components, n_latent) * radius / math.sqrt(n_latent))
        self.neg_log_var = nn.Parameter(torch.full((n_components, n_latent), -2.0 * math.log(typical_sd)))
        self.weight_logits = nn.Parameter(torch.zeros(n_components))

    @property
    def n_components(self) -> int:
        """Number of components K."""
        return self.means.shape[0]

    @property
    def n_latent(self) -> int:
        """Dimension d of the latent."""
        return self.means.shape[1]

    @property
    def mean(self) -> Tensor:
        """Mean of the mixture, (d,)."""
        return torch.softmax(self.weight_logits, 0) @ self.means

    @property
    def precision(self) -> Tensor:
        """Inverse variances, (K, d)."""
        return self.neg_log_var.exp()

    def component_log_prob(self, z: Tensor) -> Tensor:
        """Log of weight times density of every component.

        Parameters
        ----------
        z
            (n, d) latents.

        Returns
        -------
        (n, K).
        """
        # Expanded square: (n, K) products instead of an (n, K, d) array.
        precision = self.precision
        scaled_means = precision * self.means
        square = z.square() @ precision.T - 2.0 * z @ scaled_means.T + (scaled_means * self.means).sum(1)
        log_norm = 0.5 * (self.neg_log_var.sum(1) - self.n_latent * LOG_2PI)
        return torch.log_softmax(self.weight_logits, 0) + log_norm - 0.5 * square

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density of latents.

        Parameters
        ----------
        z
            (n, d) latents.

        Returns
        -------
        (n,) log p(z).
        """
        return torch.logsumexp(self.component_log_prob(z), 1)

    def log_prob_and_grad(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Log density of latents and its gradient, without an autograd graph.

        Parameters
        ----------
        z
            (n, d) latents.

        Returns
        -------
        Log p(z), (n,), and its gradient by z, (n, d).
        """
        return FixedMixture(self)(z)

    def log_prior(self) -> Tensor:
        """Log density of the mixture's own parameters (a scalar), to be counted once per data set.

        Softball on the means, Gaussian on the negative log variances; the Dirichlet(1) on the weights is constant.
        """
        return softball_log_prob(self.means, self.radius, self.sharpness).sum() + self._variance_log_prior()

    def _variance_log_prior(self) -> Tensor:
        deviation = self.neg_log_var + 2.0 * math.log(self.typical_sd)
        return (-0.5 * deviation.square() - 0.5 * LOG_2PI).sum()

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw latents from the mixture.

        Parameters
        ----------
        n
            Number of latents.
        generator
            Source of randomness; None for torch's own.

        Returns
        -------
        (n, d).
        """
        weights = torch.softmax(self.weight_logits, 0)
        component = torch.multinomial(weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.n_latent, generator=generator, device=self.means.device)
        return self.means[component] + noise * (-0.5 * self.neg_log_var[component]).exp()


class FixedMixture:
    """A mixture that is not trained any more, for many evaluations: what does not depend on the latent is kept.

    Parameters
    ----------
    mixture
        Its parameters are copied.
    """

    @torch.no_grad()
    def __init__(self, mixture: GaussianMixture) -> None:
        scaled_means = mixture.precision * mixture.means
        origin = torch.zeros_like(mixture.means[:1])
        self.at_origin = mixture.component_log_prob(origin)[0]  # (K,)
        # Of the squares of a latent and of itself, (2 d, K), and of the components in the gradient, (K, 2 d).
        self.slopes = torch.cat([-0.5 * mixture.precision, scaled_means], 1).T.contiguous()
        self.pulls = torch.cat([mixture.precision, scaled_means], 1)

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`GaussianMixture.log_prob_and_grad`."""
        component = torch.addmm(self.at_origin, torch.cat([z.square(), z], 1), self.slopes)
        highest = component.amax(1, keepdim=True)
        responsibility = component.sub_(highest).exp_()
        total = responsibility.sum(1, keepdim=True)
        precision, pull = (responsibility.div_(total) @ self.pulls).chunk(2, 1)
        return highest[:, 0] + total[:, 0].log(), pull - z * precision


def softball_log_prob(x: Tensor, radius: float, sharpness: float) -> Tensor:
    """Log density of the softball: uniform in a d-ball with a logistic edge.

    Schuster & Krogh 2023, Bioinformatics 39:btad497.

    Parameters
    ----------
    x
        (n, d) points.
    radius
        Radius of the ball.
    sharpness
        How sudden the edge is: the density falls to half at the radius, within about radius / sharpness.

    Returns
    -------
    (n,).
    """
    d = x.shape[-1]
    log_volume = d * (math.log(radius) + 0.5 * math.log(math.pi)) - math.lgamma(1.0 + d / 2)
    return -log_volume - nn.functional.softplus(sharpness * (x.norm(dim=-1) / radius - 1.0))
