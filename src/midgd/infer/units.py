"""Units of predictions: shares of the miRNA library, counts per million, and their logarithm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from midgd.nn.readout import MILLION

UNITS = ("log1p_cpm", "cpm", "share")


def in_units(share: NDArray[np.float32], units: str) -> NDArray[np.float32]:
    """Shares in the units that a user asks for.

    Parameters
    ----------
    share
        (n, n_mirnas) shares.
    units
        ``"share"``, ``"cpm"`` (counts per million miRNA reads) or ``"log1p_cpm"`` (its natural log, after adding 1).

    Returns
    -------
    (n, n_mirnas) float32.

    Raises
    ------
    ValueError
        If the units are none of these.
    """
    if units not in UNITS:
        raise ValueError(f"units={units!r} is unknown; choose among {UNITS}.")
    if units == "share":
        return share
    cpm = share * np.float32(MILLION)
    return cpm if units == "cpm" else np.log1p(cpm)


def log1p_cpm_of(values: NDArray[np.float32], units: str) -> NDArray[np.float32]:
    """What :func:`in_units` made into ``units``, as log1p CPM again.

    Parameters
    ----------
    values
        (n, n_mirnas) in ``units``.
    units
        See :func:`in_units`.

    Returns
    -------
    (n, n_mirnas) natural log1p CPM.
    """
    if units == "log1p_cpm":
        return values
    return np.log1p(values * np.float32(MILLION) if units == "share" else values)


def sd_in_units(
    sd: NDArray[np.float32], log1p_cpm: NDArray[np.float32], units: str, *, inverse: bool = False
) -> NDArray[np.float32]:
    """Standard deviations of log1p CPM in other units, to first order: d cpm = (1 + cpm) d log1p(cpm).

    Parameters
    ----------
    sd
        (n, n_mirnas) standard deviations of log1p CPM; with ``inverse`` those in ``units``.
    log1p_cpm
        (n, n_mirnas) the values they belong to.
    units
        See :func:`in_units`.
    inverse
        Go back, from ``units`` to log1p CPM.

    Returns
    -------
    (n, n_mirnas) float32.
    """
    if units == "log1p_cpm":
        return sd
    scale = np.exp(log1p_cpm) / np.float32(MILLION if units == "share" else 1.0)
    return (sd / scale if inverse else sd * scale).astype(np.float32)
