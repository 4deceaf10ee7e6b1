r"""How wrong an answer may be: standard deviations of log1p CPM by sample and miRNA, and what intervals they make.

.. math:: \sigma_{im} = s_m(e_i) \; \exp\{ \tfrac{1}{2} \beta^\top h(e_i, a_i, u_i) \}

:math:`s_m(e)` is the root mean square error of miRNA m on held-out samples of evidence e. The second factor says how
the error of a sample differs from that of others at its depth: it grows with the ambiguity a and the surprise u of the
sample (:mod:`midgd.infer.domain`). :math:`\beta` is fitted in :mod:`midgd.train.calibrate`, on samples of known kinds
and on kinds and cohorts that a model has not seen, so that intervals hold for both.

Errors have longer tails than a Gaussian. How many deviations hold 50, 80, 90 and 95 % of the held-out errors is
measured too (``tails``): a conformal correction (Vovk et al. 2005) of intervals that are scaled by sample and miRNA.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from midgd.infer.domain import Floats, Signs, interpolated
from midgd.reference.reference import Calibration

#: Parts of the errors that central intervals hold, for which ``tails`` are measured.
TAIL_PARTS = (0.5, 0.8, 0.9, 0.95)
# Nats of ambiguity up to which a sample is nearly of one kind.
NEARLY_ONE = 0.5
# Surprise beyond which it says no more: three of four molecules are of genes that were not expected.
MOST_SURPRISE = 1.0


def conditions(calibration: Calibration, signs: Signs, evidence: Floats) -> NDArray[np.float64]:
    """What the error of a sample depends on beside its depth: h in the formula above.

    Parameters
    ----------
    calibration
        Held-out errors by reliability.
    signs
        What says how unlike the known samples each of n samples is.
    evidence
        (n,) mean reliability of all genes of each sample.

    Returns
    -------
    (n, 7); the first column is 1.
    """
    low, high = np.log(np.maximum(calibration.evidence[[0, -1]], 1e-6))
    depth = np.clip(np.log(np.maximum(evidence, 1e-6)), low, high) / 10.0  # of the size of the other columns
    ambiguity, surprise = np.nan_to_num(signs.ambiguity), np.clip(signs.surprise, -MOST_SURPRISE, MOST_SURPRISE)
    one_kind = np.minimum(ambiguity, NEARLY_ONE)
    columns = [np.ones(len(evidence)), depth, ambiguity.astype(float), one_kind, ambiguity * depth]
    return np.stack([*columns, np.maximum(surprise, 0.0), np.minimum(surprise, 0.0)], axis=1)


def expected_sd(calibration: Calibration, signs: Signs, evidence: Floats) -> Floats:
    """Standard deviation of every sample and output.

    Parameters
    ----------
    calibration
        Held-out errors by reliability.
    signs
        What says how unlike the known samples each of n samples is.
    evidence
        (n,) mean reliability of all genes of each sample.

    Returns
    -------
    (n, n_outputs) in log1p CPM.
    """
    sd = interpolated(calibration.evidence, calibration.sd, evidence)
    return (sd * _widening(calibration, signs, evidence)[:, None]).astype(np.float32)


def _widening(calibration: Calibration, signs: Signs, evidence: Floats) -> NDArray[np.float64]:
    """The second factor, (n,)."""
    if calibration.widening is None:
        return np.ones(len(evidence))
    return np.exp(conditions(calibration, signs, evidence) @ calibration.widening / 2.0)


def n_deviations(level: float, tails: NDArray[np.floating] | None) -> float:
    """How many standard deviations to either side hold this part of the errors.

    Parameters
    ----------
    level
        Between 0 and 1.
    tails
        Deviations at :data:`TAIL_PARTS`; None for Gaussian errors. Between and beyond them it is in proportion to what
        a Gaussian has.

    Returns
    -------
    A number of standard deviations, above 0.
    """
    gaussian = norm.ppf((1.0 + level) / 2.0)
    if tails is None:
        return float(gaussian)
    known = norm.ppf((1.0 + np.array(TAIL_PARTS)) / 2.0)
    return float(gaussian * np.interp(gaussian, known, np.asarray(tails) / known))
