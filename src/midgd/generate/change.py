r"""The smallest change of a sample that shifts some of its miRNAs by so much.

A miRNA of a sample is the answer f(z) at its latent plus a deviation e that mRNA does not show. Changes of both are
Gaussian within a kind of sample, with covariances :math:`\Sigma` and R. Of all changes that shift the miRNAs t by
:math:`\delta` the most probable one is

.. math:: \Delta z = \Sigma J^T \lambda, \quad \Delta e = R_{\cdot t} \lambda, \quad
          \lambda = (J \Sigma J^T + R_{tt})^{-1} \delta

with J the slopes of :math:`f_t`: the mean of a Gaussian given some linear combinations of it (Rasmussen and Williams
2006, appendix A.2). f is bent, so the slopes are taken anew at every new latent until the shift is reached.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from midgd._torch import apart
from midgd.generate.answer import Answers
from midgd.nn.readout import Weights
from midgd.reference.density import LatentDensity

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
# Steps with new slopes. On the bundled reference three reach the tolerance for shifts of up to 2.
MAX_STEPS = 30
# Of the shift in log1p CPM: what is below cannot be told from rounding.
TOLERANCE = 1e-3
# Samples at a time: their profiles are 16 MB each way.
ROWS = 256


class Change(NamedTuple):
    """The smallest changes of n samples.

    Attributes
    ----------
    latent
        (n, d) changed latents.
    log_share
        (n, G) changes of the natural logs of the shares of genes.
    mirna
        (n, M) changes of log1p CPM of all outputs of the reference: of the answer and of the deviation together.
    distance
        (n,) how improbable each change is: its length where 1 is one standard deviation within a kind.
    in_latent
        (n, t) part of each shift that the latent makes; the miRNA's own deviation makes the rest.
    reached
        (n,) whether the shift was reached.
    """

    latent: Floats
    log_share: Floats
    mirna: Floats
    distance: Floats
    in_latent: Floats
    reached: NDArray[np.bool_]


@apart
@torch.no_grad()
def smallest_change(
    answers: Answers,
    density: LatentDensity,
    latents: Floats,
    outputs: Indices,
    shifts: Floats,
    *,
    deep: Floats | None = None,
    whole: bool = False,
) -> Change:
    """The most probable change of each sample by which some of its miRNAs shift by so much.

    Parameters
    ----------
    answers
        Of the reference.
    density
        Of its latents, and of the deviations.
    latents
        (n, d) latents of the samples.
    outputs
        (t,) indices of the outputs that shift.
    shifts
        (t,) by how much, in natural log1p CPM.
    deep
        (n,) part of the map for deep samples in the answer; None for deep samples.
    whole
        Whether the latent makes the whole shift. By default it makes the part that is most probable, and the
        deviation, which mRNA does not show, the rest.

    Returns
    -------
    The changes.
    """
    factor, targets = torch.from_numpy(density.within).float(), torch.from_numpy(outputs)
    own = torch.from_numpy(density.deviation_covariance(outputs))
    own = torch.zeros_like(own) if whole else own
    parts = []
    for first in range(0, len(latents), ROWS):
        rows = slice(first, first + ROWS)
        z = torch.from_numpy(np.ascontiguousarray(latents[rows], np.float32))
        weights = answers.weights(z, None if deep is None else torch.from_numpy(deep[rows]).float())
        found = _solve(answers, weights, z, targets, torch.from_numpy(shifts).float(), factor, own)
        parts.append([tensor.numpy() for tensor in found])
    return Change(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _solve(
    answers: Answers, weights: Weights | None, z: Tensor, targets: Tensor, shifts: Tensor, factor: Tensor, own: Tensor
) -> tuple[Tensor, ...]:
    """The fields of :class:`Change` for some rows; ``factor`` is L, ``own`` R of the targets and all outputs."""
    before, slopes = answers.with_slopes(z, weights, targets)
    of_targets, identity = own[:, targets], torch.eye(len(targets))
    step, multiplier, moved = torch.zeros_like(z), torch.zeros(len(z), len(targets)), before
    # How much of a step is made: less after one that led away, which slopes far from where they hold can do.
    part = torch.ones(len(z), 1)

    def gap(moved: Tensor, multiplier: Tensor) -> Tensor:
        return shifts - (moved - before)[:, targets] - multiplier @ of_targets

    for _ in range(MAX_STEPS):
        left = gap(moved, multiplier)
        if bool((left.abs().amax(1) < TOLERANCE).all()):
            break
        spread = slopes @ factor  # (n, t, d): slopes in units of standard deviations
        gram = spread @ spread.mT + of_targets
        # A miRNA that does not depend on the latent and has no deviation cannot shift: no division by 0 then.
        gram = gram + 1e-6 * gram.diagonal(dim1=1, dim2=2).amax(1).clamp_min(1e-6)[:, None, None] * identity
        wanted = left + multiplier @ of_targets + (slopes @ step[:, :, None])[:, :, 0]
        full = torch.linalg.solve(gram, wanted)
        new_multiplier = torch.lerp(multiplier, full, part)
        new_step = torch.lerp(step, (full[:, None] @ spread)[:, 0] @ factor.T, part)
        new_moved, new_slopes = answers.with_slopes(z + new_step, weights, targets)
        nearer = (gap(new_moved, new_multiplier).norm(dim=1) < left.norm(dim=1))[:, None]
        step, multiplier = torch.where(nearer, new_step, step), torch.where(nearer, new_multiplier, multiplier)
        moved, slopes = torch.where(nearer, new_moved, moved), torch.where(nearer[:, :, None], new_slopes, slopes)
        part = torch.where(nearer, (2.0 * part).clamp_max(1.0), 0.5 * part)
    reached = gap(moved, multiplier).abs().amax(1) < TOLERANCE
    length = torch.linalg.solve_triangular(factor, step.T, upper=False).square().sum(0)
    length = length + ((multiplier @ of_targets) * multiplier).sum(1)
    log_share = answers.decoder.log_share(z + step, "mrna") - answers.decoder.log_share(z, "mrna")
    mirna = moved - before + multiplier @ own
    in_latent = (moved - before)[:, targets] / torch.where(shifts == 0, torch.ones_like(shifts), shifts)
    return z + step, log_share, mirna, length.sqrt(), in_latent, reached
