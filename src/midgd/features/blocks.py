"""Antibodies or guides with the names of genes, with nothing said about them: they were put in front or behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = "names of genes together at the {} of the table, most of which have a column elsewhere (antibodies or guides)"
FRONT, BEHIND = BLOCK.format("front"), BLOCK.format("end")
# So many different names together are no accident; a larger part of the genes is the same genes once more.
_FEWEST, _LARGEST_SHARE = 3, 0.1
# Part of the names that must be repeats: a few are of genes that were filtered out. With fewer there is no block.
_REPEATS, _TOO_FEW, _AFTER = 2 / 3, 0.5, 20


def block_of_repeats(names: Sequence[str], gene: NDArray[np.int64]) -> tuple[NDArray[np.int64], str]:
    """Columns at one end of a table that are repeats of columns elsewhere, nearly all of them.

    Parameters
    ----------
    names
        What the columns are called, without a number that was added to make them unique.
    gene
        (n,) gene that each column stands for, -1 where it stands for none.

    Returns
    -------
    Positions of the columns of the block that have the name of a gene, often none, and why they are left out.
    """
    known = gene >= 0
    n_times = Counter(name for name, is_known in zip(names, known, strict=True) if is_known)
    for order, why in ((np.flatnonzero(known)[::-1], BEHIND), (np.flatnonzero(known), FRONT)):
        left, n_repeats, size = n_times.copy(), 0, 0
        repeats: set[str] = set()
        for n, i in enumerate(order, 1):
            if left[names[i]] > 1:
                left[names[i]] -= 1
                repeats.add(names[i])
                n_repeats += 1
                if len(repeats) >= _FEWEST and n_repeats >= _REPEATS * n:
                    size = n
            elif n > _AFTER and n_repeats < _TOO_FEW * n:
                break
        if 0 < size <= _LARGEST_SHARE * len(n_times):
            return np.sort(order[:size]), why
    return np.zeros(0, np.int64), ""
