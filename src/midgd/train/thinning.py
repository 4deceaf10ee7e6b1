"""Shallow versions of deep samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def thin(counts: NDArray[np.float32], depth: float | None, generator: np.random.Generator) -> NDArray[np.float32]:
    """Poisson thinning of every row to an expected ``depth`` counts; None, or a row not deeper, stays as it is."""
    if depth is None:
        return counts
    library = counts.sum(1, keepdims=True)
    rate = counts * (depth / np.maximum(library, 1e-9))
    return np.where(library > depth, generator.poisson(rate), counts).astype(np.float32)
