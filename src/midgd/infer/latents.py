"""Maximum a posteriori latents of counts: chunks of rows in, latents out.

Zamani et al. 2026 find the latent of a new sample by 50 AdamW steps from the best component mean. The definition
here is the same optimum; the way to it is L-BFGS preconditioned with the Fisher information of the negative
binomial at the sample's depth, from the better of two starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from midgd.infer.descent import descend
from midgd.infer.lbfgs import Objective, Optimum, Stage, maximise
from midgd.infer.objective import LogPosterior

Counts: TypeAlias = NDArray[Any] | sparse.csr_matrix

ROUGH_TOLERANCE = 1e-3
FLOAT32_NOISE, FLOAT64_NOISE = 5e-7, 1e-14


@dataclass(frozen=True)
class InferenceOptions:
    """How latents are found.

    Parameters
    ----------
    tolerance
        A sample is done when the gain still to be expected in log posterior is below this. The default makes shares
        equal to 1e-5 whatever the batch; float32 alone stalls near 1e-4.
    max_steps
        Upper limit of evaluations per sample and precision.
    rows
        Samples optimised together: sets speed and memory, not the result.
    """

    tolerance: float = 1e-10
    max_steps: int = 100
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
        # Apple's MPS has no float64: results there are equal between batches to float32 only.
        self.precision = torch.float32 if posterior.bias.device.type == "mps" else torch.float64
        self.component_log_share = posterior.log_share(posterior.prior.means)
        self.inverse_curvature: dict[int, Tensor] = {}

    @cached_property
    def exact_posterior(self) -> LogPosterior:
        """The log posterior in float64."""
        return self.posterior.double()

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
        stages = self._stages(counts, library)
        optimum = maximise(stages, start.to(self.precision), inverse.to(self.precision))
        if self.has_kinks:
            end = descend(stages[0].objective, self._best_component(counts, library))
            optimum = _better(optimum, maximise(stages, end.to(self.precision), inverse.to(self.precision)))
        optimum.z = optimum.z.float()
        return optimum

    def _stages(self, counts: Tensor, library: Tensor) -> list[Stage]:
        """A pass in float32, and one in float64 where the tolerance asks for it and the device has it."""
        options = self.options
        rough = _objective(self.posterior, counts, library)
        stages = [Stage(rough, max(options.tolerance, ROUGH_TOLERANCE), options.max_steps, FLOAT32_NOISE)]
        if options.tolerance < ROUGH_TOLERANCE and self.precision is torch.float64:
            exact = _objective(self.exact_posterior, counts.double(), library.double())
            stages.append(Stage(exact, options.tolerance, options.max_steps, FLOAT64_NOISE))
        return stages

    @property
    def has_kinks(self) -> bool:
        """Whether the posterior has edges, as with (leaky) ReLU: Newton steps can end at one, first-order ones pass."""
        spec = self.posterior.decoder.spec
        return spec.n_hidden > 0 and spec.activation != "silu"

    def _best_component(self, counts: Tensor, library: Tensor) -> Tensor:
        """The component mean of the highest posterior: where the paper starts."""
        means = self.posterior.prior.means
        values = [self.posterior(mean.expand(len(counts), -1), counts, library)[0] for mean in means]
        return means[torch.stack(values).argmax(0)]

    def _start(self, counts: Tensor, library: Tensor, inverse: Tensor) -> Tensor:
        """The better of the most likely component mean and one Newton step from the centre of the prior."""
        means = self.posterior.prior.means
        component = means[(counts @ self.component_log_share.T).argmax(1)]
        centre = self.posterior.prior.mean.expand(len(counts), -1)
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


def _objective(posterior: LogPosterior, counts: Tensor, library: Tensor) -> Objective:
    """The log posterior as a function of points and the rows they belong to."""

    def objective(z: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        everything = len(rows) == len(counts)
        x, n = (counts, library) if everything else (counts[rows], library[rows])
        return posterior(z.to(counts.dtype), x, n)

    return objective


def _better(a: Optimum, b: Optimum) -> Optimum:
    """The higher of two optima, row by row; evaluations of both searches add up."""
    first = a.value >= b.value
    return Optimum(
        torch.where(first[:, None], a.z, b.z),
        torch.where(first, a.value, b.value),
        a.n_evaluations + b.n_evaluations,
        torch.where(first, a.converged, b.converged),
    )


def dense_rows(counts: Counts, start: int, stop: int) -> Tensor:
    """A few rows as a dense float32 tensor."""
    rows = counts[start:stop]
    dense = rows.toarray() if isinstance(rows, sparse.csr_matrix) else rows
    return torch.from_numpy(np.ascontiguousarray(dense, dtype=np.float32))
