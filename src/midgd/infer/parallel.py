"""Rows on all cores: tasks of some rows each, every one on a single thread.

A product of matrices sums in another order when more threads share it. One thread per task makes the result of a row
the same on any number of threads, and wastes none of them on the small steps in between.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

Counts: TypeAlias = NDArray[Any] | sparse.csr_matrix
Result = TypeVar("Result")

MAX_ROWS = 2_048


def map_rows(work: Callable[[Counts], Result], counts: Counts, device: torch.device) -> list[Result]:
    """Results of ``work`` on consecutive rows of counts, in order."""
    if device.type != "cpu":
        return [work(counts)]
    n, n_threads = counts.shape[0], torch.get_num_threads()
    n_tasks = max(1, -(-n // MAX_ROWS), min(n_threads, n))
    edges = np.linspace(0, n, n_tasks + 1).round().astype(int)
    with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        tasks = [pool.submit(work, counts[a:b]) for a, b in pairwise(edges)]
        try:
            return [task.result() for task in tasks]
        finally:
            # An error or Ctrl-C: what has not begun never will.
            pool.shutdown(wait=True, cancel_futures=True)
