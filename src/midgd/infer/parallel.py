"""Rows on all cores: tasks of some rows each, every one on a single thread.

A product of matrices sums in another order when more threads share it. One thread per task makes the result of a row
the same on any number of threads, and wastes none of them on the small steps in between.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from midgd._torch import one_core_threads

Counts: TypeAlias = NDArray[Any] | sparse.csr_matrix
Result = TypeVar("Result")

# Rows of one task: about 140 MB of counts of 17,000 genes in float32.
MAX_ROWS = 2_048


def map_rows(work: Callable[[Counts], Result], counts: Counts, device: torch.device) -> list[Result]:
    """Results of ``work`` on consecutive rows of counts, in order.

    Parameters
    ----------
    work
        What is done with a block of rows (n_block, G).
    counts
        (n, G) counts.
    device
        Where the work runs. On the CPU every thread of torch takes blocks; an accelerator gets all rows at once.

    Returns
    -------
    One result a block, in the order of the rows.
    """
    n, n_threads = counts.shape[0], torch.get_num_threads() if device.type == "cpu" else 1
    n_tasks = max(1, -(-n // MAX_ROWS), min(n_threads, n)) if device.type == "cpu" else 1
    edges = np.linspace(0, n, n_tasks + 1).round().astype(int)
    with one_core_threads(n_threads) as pool:
        return [task.result() for task in [pool.submit(work, counts[a:b]) for a, b in pairwise(edges)]]
