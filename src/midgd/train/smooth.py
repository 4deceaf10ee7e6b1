r"""Which miRNAs go together, learned from miRNA profiles with or without mRNA, corrects what is read out.

Let profiles y (log1p CPM) be Gaussian with mean :math:`\mu` and covariance :math:`\Sigma`, and a readout
:math:`\hat y = y + e` with errors of variance :math:`\tau` in every direction. The posterior mean of y is

.. math:: \mu + \Sigma (\Sigma + \tau I)^{-1} (\hat y - \mu)

(Wiener 1949). Directions in which miRNAs hardly vary, a difference between members of a cluster, say, are mostly error.
The map is linear, so it becomes part of the readout's weights and costs nothing at query time.

Only the map of deep samples is smoothed. The profiles are of bulk tissue, where immune cells come and go together:
smoothed answers of single cells tell monocytes from lymphocytes less well.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from midgd.nn import ProfileReadout
from midgd.nn.readout import DEEP
from midgd.train.mosaic import Modality
from midgd.train.ridge import Floats, LinearMap


def known_profiles(unpaired: Modality | None, own: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Profiles of a training set's own samples and of unpaired ones, over the miRNAs that all have.

    Parameters
    ----------
    unpaired
        Samples with miRNA alone; None without any.
    own
        (n, F) log1p CPM of the training set.

    Returns
    -------
    Profiles (k, n_common) in log1p CPM, and the indices of their miRNAs.
    """
    if unpaired is None or not unpaired.present.any():
        return own, np.arange(own.shape[1])
    more = unpaired.take(np.flatnonzero(unpaired.present))
    features = np.flatnonzero(more.measured.all(0))
    return np.concatenate([own[:, features], more.log_cpm[:, features]]), features


def smoother(profiles: Floats, noise: float) -> LinearMap:
    """The posterior mean of a profile, as a linear map, where errors are independent: Wiener's filter.

    Parameters
    ----------
    profiles
        (k, F) log1p CPM, from which mean and covariance are taken.
    noise
        Variance of the errors, in squared log1p CPM.

    Returns
    -------
    A map from F to F.
    """
    mean, covariance = profiles.mean(0), np.atleast_2d(np.cov(profiles.T, dtype=np.float64))
    slopes = np.linalg.solve(covariance + noise * np.eye(len(mean)), covariance).astype(np.float32)
    return LinearMap(slopes, mean - mean @ slopes)


@torch.no_grad()
def smooth(readout: ProfileReadout, profiles: Floats, outputs: NDArray[np.int64], noise: float) -> None:
    """Put a smoother behind some outputs of a readout's maps for deep samples, in place.

    Parameters
    ----------
    readout
        To be changed.
    profiles
        Profiles of the outputs, (k, F).
    outputs
        Their indices among all outputs, (F,).
    noise
        Variance of the errors, in squares of log1p CPM.
    """
    slopes, intercept = (torch.from_numpy(values) for values in smoother(profiles, noise))
    index = torch.from_numpy(outputs)
    for maps in (part.denoised for part in (readout.wide, readout.core) if part is not None):
        maps.slopes[DEEP, :, index] = maps.slopes[DEEP][:, index] @ slopes
        maps.intercepts[DEEP, index] = maps.intercepts[DEEP, index] @ slopes + intercept
