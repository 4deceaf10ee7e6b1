from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from midgd.spatial.process import Floats, Process, fit_process

# Principal components that are smoothed; chosen by hand.
COMPONENTS = 30
# Molecules at which the variance of inferred log CPM is half of that of an empty spot. Measured by downsampling the
# counts of five breast sections into halves: 110 / (molecules + 1,000) from 200 to 9,000 molecules, means over miRNAs.
HALF = 1_000.0


def noise_of(molecules: Floats) -> Floats:
    """Relative variance of what is inferred from these many molecules, (n,)."""
    return HALF / (HALF + molecules)


def smooth_map(
    values: NDArray[np.floating], where: Floats, molecules: Floats, at: Floats, unit: float
) -> tuple[Floats, Floats, Process | None]:
    """Values of many correlated miRNAs at places, smoothed.

    The principal components of the values are smoothed, each with its own part of noise: 30 maps instead of 1,000.

    Parameters
    ----------
    values
        (n, m) log CPM.
    where
        (n, 2) coordinates of the spots, each another place.
    molecules
        (n,) counts of mRNA; at least one spot has some.
    at
        (k, 2) coordinates of the map.
    unit
        Distance of neighbouring spots.

    Returns
    -------
    Map and its standard deviation, (k, m) each, and the process of the components; None for values that are the same
    at all places.
    """
    known = molecules > 0  # an empty spot says nothing
    noise = noise_of(molecules[known])
    centre = values[known].mean(0, dtype=float)
    u, s, directions = np.linalg.svd(values[known] - centre, full_matrices=False)
    kept = s > 1e-6 * max(float(np.abs(values).max()), 1.0)
    kept[COMPONENTS:] = False
    if not kept.any():
        flat = np.tile(centre, (len(at), 1))
        return flat, np.zeros_like(flat), None
    directions, parts = directions[kept], u[:, kept] * s[kept]
    process = fit_process(where[known], parts, noise, unit)
    mean, variance = process.predict(at, where[known], parts, noise)
    return centre + mean @ directions, np.sqrt(variance @ directions**2), process
