"""Rows that wait until there are enough of them to be judged together."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


@dataclass
class WaitingRows:
    """Rows of a matrix in the order in which they came, with their positions in it."""

    _positions: list[NDArray[np.int64]] = field(default_factory=list)
    _rows: list[sp.csr_matrix] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self._positions))

    def put(self, positions: NDArray[np.int64], rows: sp.csr_matrix) -> None:
        """Append rows."""
        if len(positions):
            self._positions.append(positions)
            self._rows.append(rows)

    def take(self, n: int) -> tuple[NDArray[np.int64], sp.csr_matrix]:
        """Remove the first ``n`` rows and return their positions and values."""
        positions = np.concatenate(self._positions)
        rows = sp.csr_matrix(sp.vstack(self._rows, format="csr"))
        self._positions, self._rows = [], []
        self.put(positions[n:], rows[n:])
        return positions[:n], rows[:n]
