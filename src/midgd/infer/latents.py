"""Maximum a posteriori latents of counts: chunks of rows in, latents out.

Zamani et al. 2026 find the latent of a new sample by 50 AdamW steps from the best component mean. The definition
here is the same optimum; the way to it is L-BFGS preconditioned with the Fisher information of the negative
binomial at the sample's depth, from the better of two starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from midgd.infer.lbfgs import Optimum, maximise
from midgd.infer.objective import LogPosterior

Counts: TypeAlias = NDArray[Any] | sparse.csr_matrix


@dataclass(frozen=True)
class InferenceOptions:
    """How latents are found.

    Parameters
    ----------
    max_steps
        Upper limit of evaluations per sample.
    tolerance
        A sample is done when the gain still to be expected in log posterior is below this.
    rows
        Samples optimised together: sets speed and memory, not the result.
    """

    max_steps: int = 100
    tolerance: float = 1e-4
    rows: int = 64


class LatentInference:
    """MAP latents for queries that have a fixed set of genes.

    Parameters
    ----------
    posterior
        Log posterior over the genes present in the query.
    options
        Optimiser settings.
    """

    def __init__(self, posterior: LogPosterior, options: InferenceOptions | None = None) -> None:
        self.posterior = posterior
        self.options = options or InferenceOptions()
        weights = torch.softmax(posterior.prior.weight_logits, 0)
        self.centre = (weights @ posterior.prior.means)[None]
        self.component_log_share = posterior.log_share(posterior.prior.means)
        self.inverse_curvature: dict[int, Tensor] = {}

    def __call__(self, counts: Counts) -> Optimum:
        """Latents of counts (n, G), dense or CSR, rows independent of each other."""
        parts = [
            self._optimise(dense_rows(counts, start, start + self.options.rows))
            for start in range(0, counts.shape[0], self.options.rows)
        ]
        return Optimum(*(torch.cat([getattr(p, name) for p in parts]) for name in Optimum.__dataclass_fields__))

    def _optimise(self, counts: Tensor) -> Optimum:
        counts = counts.to(self.posterior.bias.device)
        library = counts.sum(1, keepdim=True)
        inverse = self._preconditioner(library[:, 0])
        start = self._start(counts, library, inverse)

        def objective(z: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            if len(rows) == len(counts):
                return self.posterior(z, counts, library)
            return self.posterior(z, counts[rows], library[rows])

        return maximise(
            objective,
            start,
            inverse,
            max_steps=self.options.max_steps,
            tolerance=self.options.tolerance,
        )

    def _start(self, counts: Tensor, library: Tensor, inverse: Tensor) -> Tensor:
        """The better of the most likely component mean and one Newton step from the centre of the prior."""
        means = self.posterior.prior.means
        component = means[(counts @ self.component_log_share.T).argmax(1)]
        centre = self.centre.expand(len(counts), -1)
        _, grad = self.posterior(centre, counts, library)
        newton = centre + torch.bmm(inverse, grad[:, :, None])[:, :, 0]
        better = self.posterior(newton, counts, library)[0] > self.posterior(component, counts, library)[0]
        return torch.where(better[:, None], newton, component)

    def _preconditioner(self, library: Tensor) -> Tensor:
        """Inverse curvature of every row, at its depth rounded on a log scale, (n, d, d)."""
        depth = library.clamp_min(1.0).log().round()
        for value in torch.unique(depth).tolist():
            if int(value) not in self.inverse_curvature:
                information = self.posterior.curvature(torch.tensor([value], device=library.device))
                self.inverse_curvature[int(value)] = torch.linalg.inv(information)[0]
        return torch.stack([self.inverse_curvature[int(value)] for value in depth.tolist()])


def dense_rows(counts: Counts, start: int, stop: int) -> Tensor:
    """A few rows as a dense float32 tensor."""
    rows = counts[start:stop]
    dense = rows.toarray() if isinstance(rows, sparse.csr_matrix) else rows
    return torch.from_numpy(np.ascontiguousarray(dense, dtype=np.float32))
