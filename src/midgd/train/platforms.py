r"""What two platforms say differently of the same kinds, miRNA by miRNA.

A free offset for every study would take up what all pure cells lack, and the next tissue would get it back. So the
offset of a platform is tied to the kinds that both measured: with differences :math:`d_{tm}` of kind t and miRNA m,

.. math:: o_m = \frac{\sum_t w_{tm} d_{tm}}{\sum_t w_{tm} + \lambda}, \qquad
          w_{tm} = \mathrm{clip}\left(\frac{\max(y_{tm}, y'_{tm}) - \log 6}{2}, 0, 1\right)

Weights are 0 where neither platform sees the miRNA, and the offset fades where a profile has none of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SHRINK = 1.0  # kinds that the offset is shrunk by
ABSENT, PRESENT = np.log1p(5.0), 2.0  # log1p CPM below which a miRNA is not seen, and over what range it comes in
FADE = np.log1p(50.0)  # log1p CPM from which on a profile gets the whole offset


def tied_offset(platform: Floats, standard: Floats) -> Floats:
    """Offset of a platform from another, from kinds of samples that both measured.

    NaN marks what was not measured; a miRNA without any kind gets 0.

    Parameters
    ----------
    platform
        (n_kinds, n_mirnas) log1p CPM on the platform; NaN where not measured.
    standard
        (n_kinds, n_mirnas) log1p CPM of the same kinds on the standard; NaN where not measured.

    Returns
    -------
    (n_mirnas,) in log1p CPM: how much higher the platform reads. 0 for a miRNA that no kind ties.
    """
    difference = platform - standard
    weight = np.clip((np.fmax(platform, standard) - ABSENT) / PRESENT, 0.0, 1.0)
    weight = np.where(np.isnan(difference), 0.0, weight)
    return np.asarray((weight * np.nan_to_num(difference)).sum(0) / (weight.sum(0) + SHRINK), np.float32)


def remove_offset(profile: Floats, offset: Floats) -> Floats:
    """Profiles of log1p CPM (..., n_mirnas) on the scale of the standard.

    Parameters
    ----------
    profile
        (..., n_mirnas) log1p CPM on the platform.
    offset
        (n_mirnas,) from :func:`tied_offset`.

    Returns
    -------
    (..., n_mirnas) log1p CPM, 0 or more. Values near 0 are changed less: what is absent has no offset.
    """
    return np.maximum(profile - offset * np.clip(profile / FADE, 0.0, 1.0), 0.0).astype(np.float32)
