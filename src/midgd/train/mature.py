"""Which part of a stem-loop's reads is which mature miRNA, learned where both levels were counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from midgd.infer.units import in_units
from midgd.reference.arms import Arms
from midgd.train.ridge import LinearMap, centred, shared_ridge

# Of the deviations, in multiples of the mean sum of squares of a stem-loop; from 1 to 10 nothing changes.
PENALTY = 3.0
# Part of a stem-loop that its arms are at least taken for.
MIN_KEPT = 0.05


@dataclass(frozen=True)
class MatureLevel:
    """From stem-loops to mature miRNAs: constant fractions, and how the logs deviate from them with the profile.

    Which arm is kept, and how well a sequence is counted, differ between tissues; the profile tells the tissue.

    Parameters
    ----------
    arms
        Constant fractions.
    deviation
        Linear map from log1p CPM of stem-loops to what is to be added to log1p CPM of mature miRNAs.
    """

    arms: Arms
    deviation: LinearMap

    def __call__(self, stem_loops: NDArray[np.float32]) -> NDArray[np.float32]:
        """log1p CPM of mature miRNAs (n, n_mature) from log1p CPM of stem-loops (n, n_stem_loops)."""
        constant = np.log1p(self.arms.of(np.expm1(stem_loops)))
        slopes, intercept = self.deviation
        return np.maximum(constant + stem_loops @ slopes + intercept, 0.0).astype(np.float32)


def fit_mature_level(
    stem_loops: NDArray[np.float32], matures: NDArray[np.float32], pairs: NDArray[np.int64]
) -> MatureLevel:
    """Fit fractions and their deviations.

    Parameters
    ----------
    stem_loops, matures
        Counts of the same samples at both levels, (n, n_stem_loops) and (n, n_mature).
    pairs
        (n_pairs, 2) indices of stem-loop and mature miRNA.

    Returns
    -------
    The fractions, and how they change with the profile.
    """
    stem_share, mature_share = (counts / counts.sum(1, keepdims=True) for counts in (stem_loops, matures))
    arms = fit_arms(stem_share, mature_share, pairs)
    stem = in_units(stem_share, "log1p_cpm")
    sample = centred(stem, in_units(mature_share, "log1p_cpm") - in_units(arms.of(stem_share), "log1p_cpm"))
    penalty = PENALTY * float(sample.profile.square().sum()) / stem.shape[1]
    return MatureLevel(arms, shared_ridge(sample, penalty))


def fit_arms(stem_share: NDArray[np.float32], mature_share: NDArray[np.float32], pairs: NDArray[np.int64]) -> Arms:
    """Constant fractions from shares of the same samples at both levels.

    Reads of loci with the same mature sequence are summed. A fraction is the ratio of the summed shares, which weighs
    samples by expression; the arms of a stem-loop are scaled down where they would exceed it.

    Parameters
    ----------
    stem_share
        (n, n_stem_loops) shares.
    mature_share
        (n, n_mature) shares of the same samples.
    pairs
        (n_pairs, 2) indices of a stem-loop and a mature miRNA of it.

    Returns
    -------
    One fraction a pair.
    """
    stem, mature = pairs.T
    total = np.zeros(mature_share.shape[1])
    np.add.at(total, mature, stem_share.sum(0)[stem])
    fraction = np.minimum(mature_share.sum(0) / np.maximum(total, 1e-12), 1.0)[mature]
    arms_of_stem = np.zeros(stem_share.shape[1])
    np.add.at(arms_of_stem, stem, fraction)
    fraction = fraction / np.maximum(arms_of_stem, 1.0)[stem]
    return Arms(stem.copy(), mature.copy(), fraction.astype(np.float32))


def stem_loops_of(arms: Arms, mean: NDArray[np.float32], matures: NDArray[np.float32]) -> NDArray[np.float32]:
    """CPM of stem-loops that go with CPM of mature miRNAs; 0 for a stem-loop without arms.

    Reads of a mature miRNA are divided among its stem-loops as their arms are on the whole, at a ``mean`` CPM
    (n_stem_loops,); those of a stem-loop are scaled by the part of it that its arms are.

    Parameters
    ----------
    arms
        Which part of each stem-loop is which mature miRNA.
    mean
        (n_stem_loops,) mean CPM.
    matures
        (n, n_mature) CPM.

    Returns
    -------
    (n, n_stem_loops) CPM.
    """
    n = len(mean)
    part = arms.fraction * mean[arms.stem_loop]
    total, of_arms = np.zeros(arms.n_mature), np.zeros(n)
    np.add.at(total, arms.mature, part)
    np.add.at(of_arms, arms.stem_loop, arms.fraction)
    share = part / np.maximum(total[arms.mature], 1e-12) / np.maximum(of_arms[arms.stem_loop], MIN_KEPT)
    back = sparse.csr_matrix((share, (arms.mature, arms.stem_loop)), shape=(arms.n_mature, n))
    return np.asarray(matures @ back, dtype=np.float32)
