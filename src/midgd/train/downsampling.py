"""Shallow versions of deep samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from midgd._torch import one_core_threads

# Rows that are drawn from one stream of random numbers, so that a draw does not depend on the number of threads.
ROWS = 256


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
    return np.where(library > depth, poisson(rate, generator), counts).astype(np.float32)


def poisson(rate: NDArray[np.floating[Any]], generator: np.random.Generator) -> NDArray[np.float32]:
    """Poisson counts, drawn on all threads of torch.

    Parameters
    ----------
    rate
        (n, F) expected counts.
    generator
        Source of randomness.

    Returns
    -------
    (n, F) whole numbers.
    """
    if len(rate) <= ROWS:
        return generator.poisson(rate).astype(np.float32)
    drawn = np.empty(rate.shape, np.float32)
    starts = range(0, len(rate), ROWS)

    def draw(start: int, stream: np.random.Generator) -> None:
        drawn[start : start + ROWS] = stream.poisson(rate[start : start + ROWS])

    with one_core_threads(torch.get_num_threads()) as pool:
        list(pool.map(draw, starts, generator.spawn(len(starts))))
    return drawn
