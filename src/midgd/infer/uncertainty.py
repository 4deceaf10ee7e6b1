r"""How wrong an answer may be: standard deviations of log1p CPM by sample and miRNA, and what intervals they make.

.. math:: \sigma_{im} = s_m(e_i) \; \exp\{ \tfrac{1}{2} \beta^\top h(e_i, a_i, u_i, o_i) \}

:math:`s_m(e)` is the root mean square error of miRNA m on held-out samples of evidence e. The second factor says how
the error of a sample differs from that of others at its depth: it grows with the ambiguity a, the surprise u and the
out-of-domain score o of the sample (:mod:`midgd.infer.domain`). :math:`\beta` is fitted in
:mod:`midgd.train.calibrate`, on samples of known kinds and on kinds and cohorts that a model has not seen, so that
intervals hold for both.

Errors are not Gaussian: most miRNAs that are predicted to be absent are absent, and a few are not. How many deviations
hold 50, 80, 90 and 95 % of the held-out errors is measured too (``tails``), for predictions of about
:data:`TAIL_LEVELS` each: a conformal correction (Vovk et al. 2005) within groups of the prediction (Mondrian) of
intervals that are scaled by sample and miRNA.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from midgd.infer.domain import Floats, Signs, interpolated, out_of_domain
from midgd.reference.reference import Calibration

#: Parts of the errors that central intervals hold, for which ``tails`` are measured.
TAIL_PARTS = (0.5, 0.8, 0.9, 0.95)
#: Predictions, in log1p CPM, at which they are measured: absent, 5, 50, 500 and 5,000 CPM. Linear between them.
TAIL_LEVELS = tuple(float(np.log1p(cpm)) for cpm in (0.5, 5.0, 50.0, 500.0, 5_000.0))
# Nats of ambiguity up to which a sample is nearly of one kind.
NEARLY_ONE = 0.5
# Surprise beyond which it says no more: three of four molecules are of genes that were not expected.
MOST_SURPRISE = 1.0


def conditions(calibration: Calibration, signs: Signs, evidence: Floats, reliability: Floats) -> NDArray[np.float64]:
    """What the error of a sample depends on beside its depth: h in the formula above.

    Parameters
    ----------
    calibration
        Held-out errors by reliability.
    signs
        What says how unlike the known samples each of n samples is.
    evidence, reliability
        (n,) mean reliability of all genes of the model, 0 for those that the query lacks, and of the genes present.

    Returns
    -------
    (n, 8); the first column is 1, the last the out-of-domain score.
    """
    low, high = np.log(np.maximum(calibration.evidence[[0, -1]], 1e-6))
    depth = np.clip(np.log(np.maximum(evidence, 1e-6)), low, high) / 10.0  # of the size of the other columns
    ambiguity, surprise = np.nan_to_num(signs.ambiguity), np.clip(signs.surprise, -MOST_SURPRISE, MOST_SURPRISE)
    one_kind = np.minimum(ambiguity, NEARLY_ONE)
    score = out_of_domain(calibration, signs, evidence, reliability).astype(float)
    columns = [np.ones(len(evidence)), depth, ambiguity.astype(float), one_kind, ambiguity * depth]
    return np.stack([*columns, np.maximum(surprise, 0.0), np.minimum(surprise, 0.0), score], axis=1)


def expected_sd(calibration: Calibration, signs: Signs, evidence: Floats, reliability: Floats) -> Floats:
    """Standard deviation of every sample and output.

    Parameters
    ----------
    calibration
        Held-out errors by reliability.
    signs
        What says how unlike the known samples each of n samples is.
    evidence, reliability
        (n,) mean reliability of all genes of the model, 0 for those that the query lacks, and of the genes present.

    Returns
    -------
    (n, n_outputs) in log1p CPM.
    """
    sd = interpolated(calibration.evidence, calibration.sd, evidence)
    if calibration.widening is not None:
        h = conditions(calibration, signs, evidence, reliability)[:, : len(calibration.widening)]
        sd *= np.exp(h @ calibration.widening / 2.0)[:, None]
    return sd.astype(np.float32)


def nearest_tail_level(predicted: NDArray[np.floating]) -> NDArray[np.int64]:
    """Which of :data:`TAIL_LEVELS` predictions are nearest to.

    Parameters
    ----------
    predicted
        (n,) in log1p CPM.

    Returns
    -------
    (n,) indices.
    """
    return np.abs(predicted[:, None] - np.array(TAIL_LEVELS, np.float32)).argmin(1)


def n_deviations(
    level: float, tails: NDArray[np.floating] | None, predicted: NDArray[np.floating]
) -> NDArray[np.float64]:
    """How many standard deviations to either side of a prediction hold this part of the errors.

    Parameters
    ----------
    level
        Between 0 and 1.
    tails
        Deviations at :data:`TAIL_PARTS`, at every one of :data:`TAIL_LEVELS` in turn or of all predictions; None for
        Gaussian errors. Between and beyond the parts it is in proportion to what a Gaussian has.
    predicted
        The predictions, in log1p CPM, of any shape.

    Returns
    -------
    Numbers of standard deviations, above 0, in the shape of the predictions.
    """
    gaussian = float(norm.ppf((1.0 + level) / 2.0))
    known = norm.ppf((1.0 + np.array(TAIL_PARTS)) / 2.0)
    measured = known[None] if tails is None else np.reshape(np.asarray(tails, float), (-1, len(TAIL_PARTS)))
    at_level = [gaussian * np.interp(gaussian, known, own / known) for own in measured]
    return np.interp(predicted, TAIL_LEVELS, np.broadcast_to(at_level, len(TAIL_LEVELS)))


def interval_ends(
    predicted: Floats, sd: Floats, level: float, tails: NDArray[np.floating] | None
) -> tuple[Floats, Floats]:
    """Ends of central prediction intervals.

    Parameters
    ----------
    predicted, sd
        Predictions and their standard deviations in log1p CPM, of one shape.
    level
        Part of the errors that lie inside, between 0 and 1.
    tails
        See :func:`n_deviations`.

    Returns
    -------
    Lower and upper ends in log1p CPM, never below 0.
    """
    half = n_deviations(level, tails, predicted).astype(np.float32) * sd
    return np.maximum(predicted - half, 0.0), predicted + half
