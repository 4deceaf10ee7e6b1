"""Whole numbers that are unlikely to be counts. The evidence is statistical, so that these are warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from midgd.counts.scale import LARGEST_LOG, RowScales, Scale

# Rows with fewer values say nothing; findings in fewer than this share of all rows are accidents.
_LEAST_VALUES = 30
_SHARE = 0.2  # of the rows
# In counts of genes, zeros are many and one is the most frequent of the other values.
_SPARSE = 0.6
# The most abundant gene of a cell or tissue has at least this share of the counts.
_LEAST_TOP_SHARE, _DEEP = 0.004, 1_000.0

_MESSAGES = {
    "binarised": "zeros and ones only. The values look binarised, which loses how strongly genes are expressed, "
    "and the answer is worse. Raw counts are better where you have them",
    "rounded": "small whole numbers whose distribution is unlike that of counts: they may be rounded logarithms, "
    "for which the answer is wrong. Pass raw counts",
    "steps": "whole numbers of which none is 1, although most are 0: they look scaled and rounded, and the depth "
    "of each cell is lost. Raw counts are better where you have them",
}


@dataclass
class WholeNumbers:
    """What is odd about rows of whole numbers, counted over chunks."""

    _n_rows: int = 0
    _n_filled: int = 0
    _n: dict[str, int] = field(default_factory=dict)
    _first: dict[str, int] = field(default_factory=dict)

    def update(self, seen: RowScales, n_genes: int, first_row: int) -> None:
        """Count the next rows."""
        rows = (seen.scale == Scale.COUNTS) & (seen.n_values >= _LEAST_VALUES)
        self._n_rows += int(rows.sum())
        self._n_filled += int((seen.scale != Scale.EMPTY).sum())
        sparse = seen.n_values < _SPARSE * n_genes
        small = seen.largest <= LARGEST_LOG
        no_ones = sparse & (seen.smallest > 1)
        flat = (seen.sums >= _DEEP) & (seen.largest < _LEAST_TOP_SHARE * seen.sums)
        few_ones = sparse & (seen.n_ones < 0.25 * seen.n_values)
        findings = {
            "binarised": seen.largest == 1,
            "rounded": small & (seen.largest > 1) & (flat | few_ones),
            "steps": ~small & no_ones,
        }
        for kind, found in findings.items():
            if (found & rows).any():
                self._n[kind] = self._n.get(kind, 0) + int((found & rows).sum())
                self._first.setdefault(kind, first_row + int(np.argmax(found & rows)))

    def findings(self, where: str, name: Callable[[int], str]) -> Iterator[tuple[str, str]]:
        """Kind and message of what is odd in at least a fifth of the rows that are not empty."""
        for kind, n in self._n.items():
            # Where most rows are too shallow to say anything, a few deeper ones are no sample of all.
            if n >= _SHARE * self._n_filled:
                rows = f"{n:,} of {self._n_rows:,} rows of {where}, first {name(self._first[kind])}"
                yield kind, f"{rows}, hold {_MESSAGES[kind]}"
