"""Shallow versions of deep samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def downsample(counts: NDArray[np.float32], depth: float | None, generator: np.random.Generator) -> NDArray[np.float32]:
    """Poisson counts of every row with an expected total of ``depth``.

    Poisson counts have another number of molecules in every copy, as cells have, which is what the training wants.
    :func:`midgd.bench.perturb.downsample` keeps some of the molecules that there are.

    Parameters
    ----------
    counts
        (n, F) counts or rates, 0 or more.
    depth
        Expected total of a row; None leaves all as it is. A row that is not deeper stays as it is.
    generator
        Source of randomness.

    Returns
    -------
    (n, F) float32 whole numbers.
    """
    if depth is None:
        return counts
    library = counts.sum(1, keepdims=True)
    rate = counts * (depth / np.maximum(library, 1e-9))
    return np.where(library > depth, generator.poisson(rate), counts).astype(np.float32)
