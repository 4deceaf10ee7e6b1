from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from midgd.spatial.process import Floats, Places, Process, fit_process

# Principal components that are smoothed; chosen by hand.
COMPONENTS = 30
# Molecules at which the variance of inferred log CPM is half of that of an empty spot. Measured by downsampling the
# counts of five breast sections into halves: 110 / (molecules + 1,000) from 200 to 9,000 molecules, means over miRNAs.
HALF = 1_000.0


# Difference of two places in the first map of latents, in root mean squares of that map, at which they count e^(-1/2)
# times as much for each other. Chosen of 0.7, 1 and 2 by spots left out and by the other half of the molecules, on
# three of the five breast sections (docs/lab_notebook.md).
UNLIKE = 1.0


def noise_of(molecules: Floats) -> Floats:
    """Relative variance of what is inferred from these many molecules, (n,)."""
    return HALF / (HALF + molecules)


def smooth_map(
    values: NDArray[np.floating],
    latents: NDArray[np.floating],
    where: Floats,
    molecules: Floats,
    at: Floats,
    unit: float,
) -> tuple[Floats, Floats, Process | None]:
    """Values of many correlated miRNAs at places, smoothed.

    The principal components of the values are smoothed, each with its own part of noise: 30 maps instead of 1,000.
    First the latents are smoothed in the same way, by distance alone. Where this first map changes, the tissue does,
    and places on the two sides say less about each other.

    Parameters
    ----------
    values
        (n, m) log CPM.
    latents
        (n, d) what kind of mRNA profile each spot has.
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
    noise, spots = noise_of(molecules[known]), where[known]
    first, _, _ = _components_map(
        *(latents[known], Places.without_traits(spots), noise), Places.without_traits(np.vstack([spots, at])), unit
    )
    traits = first - first[: len(spots)].mean(0)
    size = np.sqrt((traits[: len(spots)] ** 2).sum(1).mean())
    if size > 0:
        traits /= UNLIKE * size
    here, there = Places(spots, traits[: len(spots)]), Places(at, traits[len(spots) :])
    return _components_map(values[known], here, noise, there, unit)


def _components_map(
    values: NDArray[np.floating], known: Places, noise: Floats, at: Places, unit: float
) -> tuple[Floats, Floats, Process | None]:
    """Principal components of the values, each smoothed; map, standard deviation and process."""
    centre = values.mean(0, dtype=float)
    u, s, directions = np.linalg.svd(values - centre, full_matrices=False)
    kept = s > 1e-6 * max(float(np.abs(values).max()), 1.0)
    kept[COMPONENTS:] = False
    if not kept.any():
        flat = np.tile(centre, (len(at.where), 1))
        return flat, np.zeros_like(flat), None
    directions, parts = directions[kept], u[:, kept] * s[kept]
    process = fit_process(known, parts, noise, unit)
    mean, variance = process.predict(at, known, parts, noise)
    return centre + mean @ directions, np.sqrt(variance @ directions**2), process
