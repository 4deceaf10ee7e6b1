"""How far a sample is from what the model was trained on.

The misfit of a sample is the log of its squared deviations from the decoded means relative to their expectation,

    log [ sum_g (x_g - m_g)^2 / v_g  /  sum_g m_g ],

with the head's ratio v of variance to mean: about 0 where its likelihood holds. It is compared with held-out samples of
the same evidence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from midgd.nn import CountHead
from midgd.reference.reference import Calibration

# Evidence of a handful of molecules; at 300 it is ten times as much.
NOTHING = 1e-3


def misfit(head: CountHead, log_share: Tensor, counts: Tensor, genes: Tensor) -> Tensor:
    """Misfit of every sample, (n,), from log shares over the G genes present and their counts, both (n, G)."""
    mean = log_share.exp().mul_(counts.sum(1, keepdim=True))
    total = mean.sum(1).clamp_min(1e-9)
    excess = (counts - mean).square_().div_(head.variance_ratio(mean, genes)).sum(1)
    return (excess / total).clamp_min(1e-9).log()


def out_of_domain(
    calibration: Calibration, misfit: NDArray[np.float32], evidence: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Score in [0, 1], (n,).

    By the misfit it is 0 up to the median held-out sample, 0.5 at the 95th percentile, and goes towards 1 beyond. Where
    too few molecules are left to tell what a sample is, it is at least :func:`lost`.
    """
    median, high = (_at_evidence(calibration, calibration.misfit[:, i], evidence) for i in (0, 1))
    excess = np.maximum(misfit - median, 0.0) / np.maximum(high - median, 1e-6)
    return np.maximum(1.0 - np.exp2(-(excess**2)), lost(calibration, evidence)).astype(np.float32)


def lost(calibration: Calibration, evidence: NDArray[np.float32]) -> NDArray[np.float64]:
    """How much of what mRNA tells is lost at the depth of samples, (n,).

    The mean held-out variance of miRNAs grows from deep samples to those of a few molecules, of which next to nothing
    is known. The result is 0 up to half of the way and 1 at its end; always 0 if the calibration does not go down so
    far.
    """
    if calibration.evidence[0] > NOTHING:
        return np.zeros(len(evidence))
    variance = (calibration.sd**2).mean(1)
    half = (variance.min() + variance[0]) / 2.0
    grown = (_at_evidence(calibration, variance, evidence) - half) / max(float(variance[0] - half), 1e-9)
    return np.clip(grown, 0.0, 1.0)


def expected_sd(
    calibration: Calibration, evidence: NDArray[np.float32], ood: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Standard deviation of log1p CPM of every sample and output, (n, n_outputs).

    The held-out error at the sample's evidence, widened up to twofold outside the domain.
    """
    sd = np.stack([_at_evidence(calibration, column, evidence) for column in calibration.sd.T], axis=1)
    return (sd * (1.0 + ood)[:, None]).astype(np.float32)


def _at_evidence(
    calibration: Calibration, values: NDArray[np.float32], evidence: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Linear interpolation over the log of the evidence, constant outside the calibrated range."""
    return np.interp(np.log(np.maximum(evidence, 1e-6)), np.log(calibration.evidence), values)
