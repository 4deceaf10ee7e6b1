r"""Where the search for a latent starts.

One Fisher scoring step from the centre of the prior, on a scale that no count can blow up. The score of a negative
binomial gene by its log mean is :math:`r (x - m) / (r + m)`; in a deep sample it is as large as x, and the step
diverges. Its logarithmic relative

.. math:: \omega_g = r_g \log \frac{x_g + r_g}{m_g + r_g}

is the same to first order, and for deep counts :math:`r \log(x / m)`, the step of a log-normal model. An encoder, where
the reference has one, corrects this step for what it leaves out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from midgd.infer.batch import Batch
from midgd.infer.objective import LogPosterior
from midgd.nn import LatentEncoder


class Starts:
    """Starting latents of the rows of a batch.

    Parameters
    ----------
    posterior
        The objective.
    encoder
        Of the reference; None takes the better of the scoring step and the most likely component mean.
    """

    def __init__(self, posterior: LogPosterior, encoder: LatentEncoder | None = None) -> None:
        self.encoder = encoder
        prior = posterior.prior
        self.centre, self.means = prior.mean.detach(), prior.means.detach()
        direction, log_share = posterior.linearised
        self.direction, self.share = direction.T.contiguous(), log_share.exp()
        self.prior_grad = prior.log_prob_and_grad(self.centre[None])[1].detach()
        self.component_log_share = posterior.log_share(self.means).detach().T.contiguous()
        self.log_n_genes = math.log(len(posterior.bias))

    def __call__(self, batch: Batch) -> Tensor:
        """Latents, (n_slots, d)."""
        if self.encoder is not None:
            latents: Tensor = self.encoder(self.features(batch))
            return latents
        component = self.means[(batch.counts @ self.component_log_share).argmax(1)]
        scored = self.centre + self._scoring_step(batch)
        better = batch(scored)[0] > batch(component)[0]
        return torch.where(better[:, None], scored, component)

    def features(self, batch: Batch) -> Tensor:
        """What the encoder sees, (n_slots, n_features).

        The scoring step, how much worse than the best every component fits, depth and number of genes.
        """
        step, fit = self._scoring_step(batch), batch.counts @ self.component_log_share
        behind = fit - fit.amax(1, keepdim=True)
        library = batch.library.clamp_min(1.0)
        n_genes = torch.full_like(library, self.log_n_genes)
        return torch.cat([step, torch.softmax(behind, 1), behind / library, library.log(), n_genes], 1)

    def _scoring_step(self, batch: Batch) -> Tensor:
        r = batch.posterior.dispersion
        expected = torch.mul(self.share, batch.library, out=batch.work.share).add_(r)
        score = torch.add(batch.counts, r, out=batch.work.other).div_(expected).log_().mul_(r)
        return batch.precondition(score @ self.direction + self.prior_grad)
