"""Where the search for a latent starts.

One Fisher scoring step from the centre of the prior, with the head's damped score: in a deep sample the score itself is
as large as the counts, and the step diverges. An encoder, where the reference has one, corrects this step for what it
leaves out.
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
        prior, self.head, self.loops = posterior.prior, posterior.head, posterior.loops
        self.centre, self.means = prior.mean.detach(), prior.means.detach()
        direction, log_share = posterior.linearised_at_centre
        self.direction, self.share = direction.T.contiguous(), log_share.exp()
        self.prior_grad = prior.log_prob_and_grad(self.centre[None])[1].detach()
        self.component_log_share = posterior.log_share(self.means).detach().T.contiguous()
        self.log_n_genes = math.log(posterior.head.n_features)

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
        """What the encoder sees of every sample.

        The scoring step, how much worse than the best every component fits, depth and number of genes.

        Parameters
        ----------
        batch
            Rows in their slots.

        Returns
        -------
        (n_slots, n_features).
        """
        step, fit = self._scoring_step(batch), batch.counts @ self.component_log_share
        behind = fit - fit.amax(1, keepdim=True)
        library = batch.library.clamp_min(1.0)
        n_genes = torch.full_like(library, self.log_n_genes)
        return torch.cat([step, torch.softmax(behind, 1), behind / library, library.log(), n_genes], 1)

    def _scoring_step(self, batch: Batch) -> Tensor:
        out = batch.work.of_head.other
        if self.loops is not None:
            score = self.loops.damped_score(batch.counts, batch.library, self.share, out)
        else:
            mean = torch.mul(self.share, batch.library, out=batch.work.share)
            score = self.head.damped_score(batch.counts, mean, out=out)
        return batch.precondition_at_centre(score @ self.direction + self.prior_grad)
