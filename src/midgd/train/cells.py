r"""Cells and mixtures drawn from the samples of a mosaic, so that one readout serves droplets, spots and tissues.

*Droplets.* A droplet of a kind of cell shows other genes than bulk RNA of the same kind: some transcripts are captured
badly, some are of the nucleus. Where a kind has both, the difference of the log profiles is the *shift* of that
single-cell study; the mean over its kinds is shrunk, :math:`\delta_g = \sum_k d_{gk} / (n_g + 1)`. A pure bulk profile
becomes a droplet by a random part of the shifts, and by Poisson noise of few molecules.

*Mixtures.* A tissue is the sum of its cells on the linear scale; so is the miRNA of a mixture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from midgd.train.downsampling import poisson
from midgd.train.labels import SampleLabels
from midgd.train.mosaic import Modality

Floats = NDArray[np.float32]

# Added to shares before the logarithm, 5 molecules in a million: below it a profile of some hundred cells is noise.
# Chosen by hand, as the three below.
SOFTEN = 5e-6
# Part of the shifts that a droplet gets: from studies that hardly differ from bulk to somewhat more than those known.
STRENGTH = (0.3, 1.3)
# Standard deviation of the log of the molecules of a droplet around what was asked for.
SPREAD = 0.4
# Molecules of a mixture: from a spot or cell to a deep spot.
MIXTURE_MOLECULES = (600.0, 30_000.0)


@dataclass(frozen=True)
class CellOptions:
    """Which cells and mixtures the readout learns from beside the samples themselves.

    Parameters
    ----------
    droplets
        Molecules of the droplets of every pure sample, one of each.
    panel_genes
        Genes of a panel on which the shallowest of these are seen once more.
    n_mixtures
        Mixtures of two or three samples, at least one of them pure, at 600 to 30,000 molecules.
    """

    droplets: tuple[float, ...] = (20_000.0, 5_000.0, 2_000.0, 600.0)
    panel_genes: int = 1_000
    n_mixtures: int = 400


class Drawn(NamedTuple):
    """Drawn samples: mRNA, and the parts (n, n_samples) that the samples of the mosaic have in each."""

    mrna: Modality
    parts: Floats


def droplet_shifts(mrna: Modality, labels: SampleLabels) -> dict[str, Floats]:
    """Log ratio of droplets to bulk by single-cell study, (G,) each; 0 for genes that nothing is known of.

    Studies without a kind that has a pure bulk profile are left out.

    Parameters
    ----------
    mrna
        Samples, of which some are averages of the droplets of a single-cell study.
    labels
        What the samples are.

    Returns
    -------
    Study to natural log ratios, (G,).
    """
    share, measured = _shares(mrna), mrna.measured
    found = {}
    for study in np.unique(labels.droplet_study[labels.droplet_study != ""]):
        total, n = np.zeros(mrna.n_features), np.zeros(mrna.n_features)
        for kind in np.unique(labels.kind[labels.droplet_study == study]):
            ours = labels.kind == kind
            droplets, bulk = (ours & (labels.droplet_study == name) & labels.pure for name in (study, ""))
            pairs = [(i, j) for i in np.flatnonzero(droplets) for j in np.flatnonzero(bulk)]
            for i, j in pairs:
                both = measured[i] & measured[j]
                ratio = [np.log(share[row, both] / share[row, both].sum() + SOFTEN) for row in (i, j)]
                total[both] += (ratio[0] - ratio[1]) / len(pairs)
                n[both] += 1.0 / len(pairs)
        if n.any():
            found[str(study)] = (total / (n + 1.0)).astype(np.float32)
    return found


def completed(mrna: Modality, profile: Floats) -> Floats:
    """Shares over all genes: as measured, and the rest after denoised profiles.

    Parameters
    ----------
    mrna
        Samples that may lack genes.
    profile
        (n, G) denoised profiles of log1p CPM.

    Returns
    -------
    (n, G) shares.
    """
    rate = np.expm1(profile)
    rate /= rate.sum(1, keepdims=True)
    counts = np.where(mrna.measured, mrna.counts, 0.0)
    known = (rate * mrna.measured).sum(1, keepdims=True)  # what part of all molecules the measured genes have
    own = counts * (known / np.maximum(counts.sum(1, keepdims=True), 1e-9))
    return np.where(mrna.measured, own, rate).astype(np.float32)


def shifted(rate: Floats, is_droplet: NDArray[np.bool_], shifts: dict[str, Floats], rng: np.random.Generator) -> Floats:
    """Shares as droplets would show them; those of droplets already stay as they are.

    Parameters
    ----------
    rate
        (n, G) shares.
    is_droplet
        (n,) whether the shares are those of droplets.
    shifts
        Study to log ratios, from :func:`droplet_shifts`. Each row takes a random mixture of them.
    rng
        Source of randomness.

    Returns
    -------
    (n, G) shares.
    """
    if not shifts:
        return rate
    known = np.stack(list(shifts.values()))
    strength = rng.dirichlet(np.ones(len(known)), len(rate)) * rng.uniform(*STRENGTH, (len(rate), 1))
    strength[is_droplet] = 0.0
    changed = rate * np.exp(strength @ known)
    return (changed / changed.sum(1, keepdims=True)).astype(np.float32)


def draw_droplets(
    rate: Floats, labels: SampleLabels, shifts: dict[str, Floats], molecules: float, rng: np.random.Generator
) -> Drawn:
    """One droplet of every pure sample.

    Parameters
    ----------
    rate
        (n, G) shares of all samples.
    labels
        What the samples are.
    shifts
        From :func:`droplet_shifts`.
    molecules
        Median number of molecules of a droplet.
    rng
        Source of randomness.

    Returns
    -------
    Counts of the droplets, and which sample each is of.
    """
    rows = np.flatnonzero(labels.pure)
    size = molecules * np.exp(rng.normal(0.0, SPREAD, (len(rows), 1)))
    mean = size * shifted(rate[rows], labels.droplet_study[rows] != "", shifts, rng)
    return Drawn(_counts(mean, rng), np.eye(len(labels), dtype=np.float32)[rows])


def on_panel(drawn: Drawn, n_genes: int, rng: np.random.Generator) -> Drawn:
    """The same with some genes only, chosen with a chance in proportion to how much they vary.

    Parameters
    ----------
    drawn
        Samples that were drawn.
    n_genes
        Number of genes to keep.
    rng
        Source of randomness.

    Returns
    -------
    The same samples; the other genes were not measured.
    """
    counts = drawn.mrna.counts
    varies = np.log1p(counts).std(0).astype(np.float64)
    chosen = rng.choice(len(varies), min(n_genes, int((varies > 0).sum())), replace=False, p=varies / varies.sum())
    panel = np.zeros(counts.shape, bool)
    panel[:, chosen] = True
    return drawn._replace(mrna=Modality.from_mask(counts * panel, panel))


def draw_mixtures(rate: Floats, labels: SampleLabels, n: int, rng: np.random.Generator) -> Drawn:
    """Mixtures of two or three samples.

    In every second mixture one of them is not pure; all others are.

    Parameters
    ----------
    rate
        (n_samples, G) shares of all samples.
    labels
        What the samples are.
    n
        Number of mixtures; none are drawn where fewer than three samples are pure.
    rng
        Source of randomness.

    Returns
    -------
    Counts of the mixtures, and the part of each sample in them.
    """
    pure, other = np.flatnonzero(labels.pure), np.flatnonzero(~labels.pure)
    parts = np.zeros((n if len(pure) > 2 else 0, len(labels)), np.float32)
    for i, row in enumerate(parts):
        chosen = rng.choice(pure, rng.integers(2, 4), replace=False)
        if i % 2 and len(other):
            chosen[0] = rng.choice(other)
        row[chosen] = rng.dirichlet(np.ones(len(chosen)))
    low, high = np.log(MIXTURE_MOLECULES)
    molecules = np.exp(rng.uniform(low, high, (len(parts), 1)))
    return Drawn(_counts(molecules * (parts @ rate), rng), parts)


def _counts(mean: NDArray[np.floating[Any]], rng: np.random.Generator) -> Modality:
    return Modality.from_mask(poisson(mean, rng))


def _shares(mrna: Modality) -> Floats:
    counts = np.where(mrna.measured, mrna.counts, 0.0)
    return (counts / np.maximum(counts.sum(1, keepdims=True), 1e-9)).astype(np.float32)
