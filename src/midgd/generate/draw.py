"""New samples: latents, counts and miRNA, from the density of a reference or, failing that, from its prior."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from midgd._torch import apart
from midgd.generate.answer import Answers
from midgd.generate.change import smallest_change
from midgd.nn import Decoder
from midgd.reference.density import LatentDensity, Latents
from midgd.reference.reference import Reference

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
# Counts of a sample of a reference that does not say how many its training samples had.
USUAL_DEPTH = 1e6
# Samples at a time: their rates are 16 MB.
ROWS = 256
# Inverse dispersions of a sample are not below this: its counts would be a few genes alone.
LEAST_DISPERSION = 0.02


class Generated(NamedTuple):
    """New samples.

    Attributes
    ----------
    latent
        (n, d).
    counts
        (n, G) counts of all genes of the reference.
    mirna
        (n, M) log1p CPM of all outputs of the reference, 0 or more.
    kind
        (n,) index of the kind that each was drawn from, -1 for none.
    reached
        (n,) whether a guide reached its shifts; True without one.
    """

    latent: Floats
    counts: sparse.csr_matrix
    mirna: Floats
    kind: Indices
    reached: NDArray[np.bool_]


def density_of(reference: Reference) -> LatentDensity:
    """The density of a reference; without one of its own, what prior, head and calibration say of it.

    Parameters
    ----------
    reference
        The trained model.

    Returns
    -------
    Its density. Of the prior, components keep their means, and all have the mean variance of the prior.
    """
    if reference.density is not None:
        return reference.density
    prior = reference.prior
    weight = torch.softmax(prior.weight_logits, 0)
    n = len(weight)
    sd = (weight @ prior.precision.reciprocal()).sqrt().cpu().numpy()
    known = None if reference.calibration is None else reference.calibration.sd[-1]
    return LatentDensity(
        mean=prior.means.detach().cpu().numpy(),
        weight=weight.detach().cpu().numpy(),
        kind=np.full(n, -1),
        scale=np.ones((n, 2), np.float32),
        within=np.diag(sd.astype(np.float32)),
        direction=np.zeros((0, len(sd)), np.float32),
        direction_of=np.zeros(0, np.int64),
        oddness=np.ones((1, 2), np.float32),
        log_depth=np.tile(np.array([np.log(USUAL_DEPTH), 0.0], np.float32), (n, 1)),
        mirna_factors=np.zeros((0, reference.n_outputs), np.float32),
        mirna_sd=np.zeros(reference.n_outputs, np.float32) if known is None else known[: reference.n_outputs],
    )


@apart
@torch.no_grad()
def generate(
    reference: Reference,
    n: int,
    rng: np.random.Generator,
    *,
    kinds: Indices | None = None,
    outputs: Indices | None = None,
    shifts: Floats | None = None,
    depth: float | None = None,
    whole: bool = False,
) -> Generated:
    """Draw new samples with matched mRNA and miRNA.

    Parameters
    ----------
    reference
        The trained model.
    n
        Number of samples.
    rng
        Source of randomness. The same state without a guide gives the samples that the guide began from.
    kinds
        (n,) kind of each sample; None for kinds as often as the training data have them.
    outputs, shifts
        (t,) outputs of the reference that a guide shifts, and by how much in log1p CPM; None without a guide.
    depth
        Expected counts of each sample; None for depths as the training samples have them.
    whole
        See :func:`midgd.generate.smallest_change`.

    Returns
    -------
    The samples.
    """
    density, answers = density_of(reference), Answers(reference)
    if reference.density is None and kinds is None:
        drawn = _from_prior(reference, n, rng)
    else:
        drawn = density.draw(n, rng, kinds)
    depths = density.draw_depths(drawn.component, rng) if depth is None else np.full(n, depth, np.float32)
    latent, deviations, reached = drawn.latent, density.deviations(n, rng), np.ones(n, bool)
    z = torch.from_numpy(latent)
    mirna = np.concatenate([answers(part, answers.weights(part)).numpy() for part in z.split(ROWS)]) + deviations
    if outputs is not None and shifts is not None:
        change = smallest_change(answers, density, latent, outputs, shifts, whole=whole)
        latent, reached, mirna = change.latent, change.reached, mirna + change.mirna
    counts = draw_counts(answers.decoder, density, drawn._replace(latent=latent), depths, rng)
    return Generated(latent, counts, np.maximum(mirna, 0.0), density.kind[drawn.component], reached)


def _from_prior(reference: Reference, n: int, rng: np.random.Generator) -> Latents:
    """Latents of the mixture prior as it is, with a variance of each component's own."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    latent = copy.deepcopy(reference.prior).cpu().sample(n, generator=generator).numpy()
    return Latents(latent, np.zeros(n, np.int64), np.ones(n, np.float32))


@torch.no_grad()
def draw_counts(
    decoder: Decoder, density: LatentDensity, drawn: Latents, depths: Floats, rng: np.random.Generator
) -> sparse.csr_matrix:
    """Draw counts of all genes as the head says, with the dispersions of the density if it has them.

    Parameters
    ----------
    decoder
        Of the trained model.
    density
        Of its latents.
    drawn
        Latents of n samples and how noisy each is.
    depths
        (n,) expected counts.
    rng
        Source of randomness.

    Returns
    -------
    (n, G) float32.
    """
    head, parts = decoder.head("mrna"), []
    for first in range(0, len(depths), ROWS):
        rows = slice(first, first + ROWS)
        share = decoder.log_share(torch.from_numpy(drawn.latent[rows]), "mrna").exp().numpy()
        dispersion = density.dispersion
        if dispersion is not None:
            dispersion = np.maximum(dispersion / drawn.noise[rows, None], LEAST_DISPERSION)
        counts = head.draw(share, depths[rows, None], rng, dispersion)
        parts.append(sparse.csr_matrix(counts.astype(np.float32)))
    return sparse.vstack(parts, format="csr")
