"""Maximum a posteriori latents of counts: rows in, latents out.

Zamani et al. 2026 find the latent of a new sample by 50 AdamW steps from the best component mean. The definition
here is the same optimum; the way to it is L-BFGS preconditioned with the Fisher information of the negative
binomial at the sample's depth, from the start of :mod:`midgd.infer.start`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from midgd.infer.batch import Batch, Curvatures
from midgd.infer.descent import descend
from midgd.infer.lbfgs import Optimum, maximise
from midgd.infer.objective import LogPosterior
from midgd.infer.parallel import Counts, map_rows
from midgd.infer.start import Starts
from midgd.nn import LatentEncoder

# Smallest gain (nats) that float32 can tell; below it the search goes on in float64.
FLOAT32_TOLERANCE = 1e-3
# With edges in the decoder, where a gain is foretold less well: at 0.5 the paper's own search ended up to .6 log units
# higher.
KINKED_TOLERANCE = 1e-1
# Rows that are worked on at a time: larger blocks share more of what every step costs (two threads: 4,650 cells a
# second with 128 rows, 3,530 with 64, before and after the search; in the search 5 % more).
ROWS_ON_CPU, ROWS_ON_ACCELERATOR = 128, 512


@dataclass(frozen=True)
class InferenceOptions:
    """How latents are found.

    Parameters
    ----------
    tolerance
        A sample is done when the gain still to be expected in log posterior is below this. Below 1e-3 a second pass
        in float64 follows, where the device has it.
    max_steps
        Upper limit of evaluations per sample and precision; 0 takes the start as it is.
    rows
        Samples worked on together; None is 128 on CPU, 512 elsewhere. Results depend on it in the last digits only.
    """

    tolerance: float = 0.5
    max_steps: int = 100
    rows: int | None = None

    def __post_init__(self) -> None:
        if self.max_steps < 0 or self.tolerance <= 0:
            raise ValueError(
                f"refine={self.max_steps} steps to a tolerance of {self.tolerance}: a number of steps is 0 or more,"
                " a tolerance above 0."
            )


class LatentInference:
    """MAP latents for queries that have a fixed set of genes.

    Parameters
    ----------
    posterior
        Log posterior over the genes present in the query.
    options
        Optimiser settings.
    encoder
        Of the reference, if it has one.
    landmarks
        (n, d) latents of known kinds of samples, near which the curvature is taken; None for none.
    """

    def __init__(
        self,
        posterior: LogPosterior,
        options: InferenceOptions | None = None,
        encoder: LatentEncoder | None = None,
        landmarks: Tensor | None = None,
    ) -> None:
        self.posterior, self.options = posterior, options or InferenceOptions()
        self.device = posterior.head.bias.device
        self.encoder = encoder
        self.curvatures = Curvatures(posterior, landmarks)

    @cached_property
    def starts(self) -> Starts:
        """Starting points; made on the thread that asks first, so with the arithmetic of one thread."""
        return Starts(self.posterior, self.encoder)

    @cached_property
    def exact_posterior(self) -> LogPosterior:
        """The log posterior in float64."""
        return self.posterior.double()

    def __call__(self, counts: Counts) -> Optimum:
        """Latents of counts (n, G), dense or CSR, rows independent of each other."""
        parts = map_rows(self.solve, counts, self.device)
        return Optimum(*(torch.cat([getattr(p, name) for p in parts]) for name in Optimum.__dataclass_fields__))

    @torch.no_grad()
    def solve(self, counts: Counts) -> Optimum:
        """The same on the calling thread.

        Parameters
        ----------
        counts
            (n, G) counts of the genes present.

        Returns
        -------
        Latents, objectives and what became of each row.
        """
        batch = self.batch(counts)
        start = self._from_blocks(batch, lambda: self.starts(batch))
        if self.options.max_steps == 0:
            return _unrefined(start)
        optimum = self._maximise(counts, start)
        if self.has_kinks:
            batch = self.batch(counts)
            end = self._from_blocks(batch, lambda: descend(batch, self._best_component(batch)))
            optimum = _better(optimum, self._maximise(counts, end))
        return optimum

    def batch(self, counts: Counts, posterior: LogPosterior | None = None) -> Batch:
        """As many slots for rows as the device is fast with.

        Parameters
        ----------
        counts
            (n, G) counts of the genes present.
        posterior
            What is evaluated; None for the posterior in single precision.

        Returns
        -------
        Slots without rows.
        """
        on_device = ROWS_ON_CPU if self.device.type == "cpu" else ROWS_ON_ACCELERATOR
        return Batch(posterior or self.posterior, self.curvatures, counts, self.options.rows or on_device)

    def _from_blocks(self, batch: Batch, latents: Callable[[], Tensor]) -> Tensor:
        return torch.cat([latents()[: rows.stop - rows.start] for rows in batch.blocks()])

    def _maximise(self, counts: Counts, start: Tensor) -> Optimum:
        """In float32, and on from there in float64 where the tolerance asks for it and the device has it."""
        options = self.options
        tolerance = min(options.tolerance, KINKED_TOLERANCE) if self.has_kinks else options.tolerance
        search = partial(maximise, max_steps=options.max_steps, smooth=not self.has_kinks)
        optimum = search(self.batch(counts), start, tolerance=max(tolerance, FLOAT32_TOLERANCE))
        if options.tolerance < FLOAT32_TOLERANCE and self.device.type != "mps":
            exact = self.batch(counts, self.exact_posterior)
            rough = optimum.n_evaluations
            optimum = search(exact, optimum.z.double(), tolerance=options.tolerance)
            optimum.z, optimum.n_evaluations = optimum.z.float(), optimum.n_evaluations + rough
        return optimum

    @property
    def has_kinks(self) -> bool:
        """Whether the posterior has edges, as with (leaky) ReLU: Newton steps can end at one, first-order ones pass."""
        spec = self.posterior.decoder.spec
        return spec.n_hidden > 0 and spec.activation != "silu"

    def _best_component(self, batch: Batch) -> Tensor:
        """The component mean of the highest posterior: where the paper starts."""
        means = self.starts.means
        values = [batch(mean.expand(batch.n_slots, -1))[0] for mean in means]
        return means[torch.stack(values).argmax(0)]


def _unrefined(start: Tensor) -> Optimum:
    """The start as an answer: nothing was evaluated, nothing converged."""
    zeros = torch.zeros(len(start), dtype=torch.long, device=start.device)
    return Optimum(start, start.new_full((len(start),), torch.nan), zeros, zeros.bool())


def _better(a: Optimum, b: Optimum) -> Optimum:
    """The higher of two optima, row by row; evaluations of both searches add up."""
    first = a.value >= b.value
    return Optimum(
        torch.where(first[:, None], a.z, b.z),
        torch.where(first, a.value, b.value),
        a.n_evaluations + b.n_evaluations,
        torch.where(first, a.converged, b.converged),
    )
