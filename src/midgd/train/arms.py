"""Which part of a stem-loop's reads is which mature miRNA, learned where both levels were counted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from midgd.infer.predict import in_units
from midgd.reference.reference import Arms


def fit_arms(stem_loops: NDArray[np.float32], matures: NDArray[np.float32], pairs: NDArray[np.int64]) -> Arms:
    """Fit constant fractions.

    Reads of loci with the same mature sequence are summed. A fraction is the ratio of the summed shares, which weighs
    samples by expression; the arms of a stem-loop are scaled down where they would exceed it.

    Parameters
    ----------
    stem_loops, matures
        Counts of the same samples at both levels, (n, n_stem_loops) and (n, n_mature).
    pairs
        (n_pairs, 2) indices of stem-loop and mature miRNA.
    """
    stem_share, mature_share = (counts / counts.sum(1, keepdims=True) for counts in (stem_loops, matures))
    stem, mature = pairs.T
    n_mature = matures.shape[1]
    total = np.zeros(n_mature)
    np.add.at(total, mature, stem_share.sum(0)[stem])
    fraction = np.minimum(mature_share.sum(0) / np.maximum(total, 1e-12), 1.0)[mature]
    arms_of_stem = np.zeros(stem_loops.shape[1])
    np.add.at(arms_of_stem, stem, fraction)
    fraction = (fraction / np.maximum(arms_of_stem, 1.0)[stem]).astype(np.float32)
    arms = Arms(stem.copy(), mature.copy(), fraction, np.zeros(n_mature, np.float32))
    predicted = stem_share @ arms.matrix(stem_loops.shape[1])
    error = in_units(mature_share, "log1p_cpm") - in_units(predicted, "log1p_cpm")
    return Arms(arms.stem_loop, arms.mature, fraction, np.sqrt((error**2).mean(0)).astype(np.float32))
