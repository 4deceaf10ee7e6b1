from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def adjusted_rand_index(first: ArrayLike, second: ArrayLike) -> float:
    """Agreement of two partitions, corrected for chance.

    Parameters
    ----------
    first, second
        One label per sample.

    Returns
    -------
    1 for equal partitions, about 0 for unrelated ones.

    Examples
    --------
    >>> adjusted_rand_index(["a", "a", "b", "b"], [2, 2, 1, 1])
    1.0
    """
    a, b = np.asarray(first).astype(str), np.asarray(second).astype(str)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise ValueError(
            f"adjusted_rand_index: labels {a.shape} and {b.shape} must be non-empty vectors of one length."
        )
    codes_a, codes_b = (np.unique(labels, return_inverse=True)[1] for labels in (a, b))
    n = len(a)
    table = np.zeros((codes_a.max() + 1, codes_b.max() + 1))
    np.add.at(table, (codes_a, codes_b), 1)
    both, rows, columns = (
        float((counts * (counts - 1)).sum() / 2) for counts in (table, table.sum(axis=1), table.sum(axis=0))
    )
    expected = rows * columns / (n * (n - 1) / 2) if n > 1 else 0.0
    largest = (rows + columns) / 2
    return 1.0 if largest == expected else (both - expected) / (largest - expected)
