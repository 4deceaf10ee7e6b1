"""How far a sample is from what the model was trained on.

Four signs say that a sample is none of those that the model knows; each is compared with held-out samples of known
kinds. Misfit and surprise depend on how reliable the counts of the genes present are, and are compared at the same
reliability; ambiguity and unlikeness depend on all that is known of a sample, and are compared at the same evidence,
for which genes that are not present count too.

*Misfit*: the log of the squared deviations of the counts from the decoded means relative to their expectation,

    log [ sum_g (x_g - m_g)^2 / v_g  /  sum_g m_g ],

with the head's ratio v of variance to mean: about 0 where its likelihood holds. Permuted genes raise it.

*Surprise*: by how many nats a molecule is less likely than the decoded shares expect of their own molecules,

    sum_g p_g log p_g  -  sum_g x_g log p_g / N,

about 0 where the shares hold. Noise raises it, which has no large counts and so no misfit.

*Ambiguity*: the entropy of the probabilities of kinds. It is near 0 for a sample that is clearly of one kind; a kind
that was never seen is a little like several.

*Unlikeness*: 1 - the cosine between a sample and the kinds that it is taken for
(:meth:`midgd.nn.KindExperts.likeness`). It is near 0 for a sample of a known kind; the kinds that a stranger is least
different from lie in another direction.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from midgd.nn import CountHead
from midgd.reference.reference import Calibration

Floats = NDArray[np.float32]

#: Score above which a sample is outside of what the model knows: the 95th percentile of held-out samples.
OUTSIDE = 0.5
# Evidence of a handful of molecules; at 300 it is ten times as much.
NOTHING = 1e-3
# Smallest distance of the 95th percentile from the median of a sign, in its own units: where held-out samples hardly
# differ, a little more says nothing. With .05 for unlikeness 18 % of the PBMCs on 722 genes were above 0.5 (development
# model), with .1 12 %.
SMALLEST_SPREAD = {"misfit": 0.05, "surprise": 0.05, "ambiguity": 0.05, "unlikeness": 0.1}


#: Signs that depend on the genes present alone.
OF_GENES_PRESENT = ("misfit", "surprise")


class Signs(NamedTuple):
    """What says that samples are unlike those that the model knows, (n,) each, NaN where nothing is known."""

    misfit: Floats
    surprise: Floats
    ambiguity: Floats
    unlikeness: Floats


def misfit(head: CountHead, log_share: Tensor, counts: Tensor, genes: Tensor | None = None) -> Tensor:
    """Misfit of every sample: the log of its mean squared deviation, relative to what the head expects.

    Parameters
    ----------
    head
        The head of the mRNA.
    log_share
        (n, G) decoded log shares over the genes present.
    counts
        (n, G) their counts.
    genes
        (G,) their indices among the features of the head; None for all.

    Returns
    -------
    (n,) in nats; near 0 where counts scatter as the head expects.
    """
    mean = log_share.exp().mul_(counts.sum(1, keepdim=True))
    total = mean.sum(1).clamp_min(1e-9)
    excess = (counts - mean).square_().div_(head.variance_ratio(mean, genes)).sum(1)
    return (excess / total).clamp_min(1e-9).log()


def surprise(log_share: Tensor, counts: Tensor) -> Tensor:
    """Surprise of every sample: how much less likely its molecules are than those that the decoded shares would give.

    Parameters
    ----------
    log_share
        (n, G) decoded log shares over the genes present.
    counts
        (n, G) their counts.

    Returns
    -------
    (n,) in nats a molecule; 0 without counts.
    """
    library = counts.sum(1)
    expected = torch.linalg.vecdot(log_share.exp(), log_share)
    found = torch.linalg.vecdot(counts, log_share) / library.clamp_min(1e-9)
    return (expected - found).where(library > 0, 0.0)


def ambiguity(probabilities: Tensor) -> Tensor:
    """Entropy of the kinds that a sample may be of.

    Parameters
    ----------
    probabilities
        (n, n_kinds) probabilities of the kinds.

    Returns
    -------
    (n,) in nats: 0 where one kind is certain.
    """
    return torch.special.entr(probabilities).sum(1)


def out_of_domain(calibration: Calibration, signs: Signs, evidence: Floats, reliability: Floats) -> Floats:
    """Score in [0, 1], (n,).

    By :func:`excess` it is 0 up to the median held-out sample of a known kind, 0.5 at the 95th percentile of held-out
    samples, and goes towards 1 beyond. Where too few molecules are left to tell what a sample is, it is at least
    :func:`lost`.

    Parameters
    ----------
    calibration
        Of the kind of sample.
    signs
        Of n samples.
    evidence, reliability
        (n,) mean reliability of all genes of the model, 0 for those that the query lacks, and of the genes present.

    Returns
    -------
    (n,) from 0 to 1.
    """
    unusual = excess(calibration, signs, evidence, reliability)
    if calibration.excess is not None:
        unusual = unusual / np.maximum(interpolated(calibration.evidence, calibration.excess, evidence), 1.0)
    return np.maximum(1.0 - np.exp2(-(unusual**2)), lost(calibration, evidence)).astype(np.float32)


def excess(calibration: Calibration, signs: Signs, evidence: Floats, reliability: Floats) -> NDArray[np.float64]:
    """How unusual the most unusual sign of a sample is: 0 at the median of held-out samples, 1 at its 95th percentile.

    More than 5 % of the held-out samples are above 1, since any of four signs will do; the 95th percentile of this
    number itself is ``calibration.excess``.

    Parameters
    ----------
    calibration
        Of the kind of sample.
    signs
        Of n samples.
    evidence, reliability
        (n,) mean reliability of all genes of the model, 0 for those that the query lacks, and of the genes present.

    Returns
    -------
    (n,), at least 0.
    """
    found = np.zeros(len(evidence))
    of_genes = calibration.evidence if calibration.reliability is None else calibration.reliability, reliability
    of_all = calibration.evidence, evidence
    for name, values in zip(Signs._fields, signs, strict=True):
        typical = getattr(calibration, name)
        if typical is not None:
            known, at = of_genes if name in OF_GENES_PRESENT else of_all
            median, high = (interpolated(known, typical[:, i], at) for i in (0, 1))
            found = np.fmax(found, (values - median) / np.maximum(high - median, SMALLEST_SPREAD[name]))
    return found


def lost(calibration: Calibration, evidence: Floats) -> NDArray[np.float64]:
    """How much of what mRNA tells is lost at the depth of samples, (n,).

    The mean held-out variance of miRNAs grows from deep samples to those of a few molecules, of which next to nothing
    is known. The result is 0 up to half of the way and 1 at its end; always 0 if the calibration does not go down so
    far.

    Parameters
    ----------
    calibration
        Held-out errors by reliability.
    evidence
        (n,) mean reliability of all genes of each sample.

    Returns
    -------
    (n,) from 0 to 1.
    """
    if calibration.evidence[0] > NOTHING:
        return np.zeros(len(evidence))
    variance = (calibration.sd**2).mean(1)
    half = (variance.min() + variance[0]) / 2.0
    grown = (interpolated(calibration.evidence, variance, evidence) - half) / max(float(variance[0] - half), 1e-9)
    return np.clip(grown, 0.0, 1.0)


def interpolated(depths: Floats, values: Floats, at: Floats) -> NDArray[np.float64]:
    """Values known at some depths, at others: linear over the log of the depth, constant outside the known ones.

    Parameters
    ----------
    depths
        (n_depths,) where values are known.
    values
        (n_depths, ...) the values.
    at
        (n,) where they are asked for.

    Returns
    -------
    (n, ...).
    """
    order = np.argsort(depths)
    known, wanted = (np.log(np.maximum(x, 1e-6)).astype(np.float64) for x in (depths[order], at))
    position = np.interp(wanted, known, np.arange(len(known)))
    below = np.minimum(np.nan_to_num(position).astype(np.int64), max(len(known) - 2, 0))
    above = np.minimum(below + 1, len(known) - 1)
    part = (position - below).reshape(-1, *[1] * (values.ndim - 1))
    of_depth = values[order]
    return np.asarray(of_depth[below] * (1.0 - part) + of_depth[above] * part)
