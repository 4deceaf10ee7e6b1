"""What binds mature miRNAs to the stem-loops that they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

# In 2,438 samples of TCGA the arms of a stem-loop together have 1.00 (median) to 1.05 times its counts per million.
ALLOWED_EXCESS = 1.05


@dataclass(frozen=True)
class Arms:
    """Which part of each stem-loop's reads is which mature miRNA, on the whole.

    Parameters
    ----------
    stem_loop, mature
        (n_pairs,) indices; every mature miRNA is in at least one pair.
    fraction
        (n_pairs,) part of the stem-loop's reads. Fractions of one stem-loop add up to at most 1.
    """

    stem_loop: NDArray[np.int64]
    mature: NDArray[np.int64]
    fraction: NDArray[np.float32]

    @property
    def n_mature(self) -> int:
        """Number of mature miRNAs."""
        return int(self.mature.max()) + 1

    def matrix(self, n_stem_loops: int) -> sparse.csr_matrix:
        """Fractions as a sparse matrix (n_stem_loops, n_mature).

        Parameters
        ----------
        n_stem_loops
            Number of stem-loops of the reference.

        Returns
        -------
        Fractions as a sparse matrix (n_stem_loops, n_mature).
        """
        shape = (n_stem_loops, self.n_mature)
        return sparse.csr_matrix((self.fraction, (self.stem_loop, self.mature)), shape=shape)

    def of(self, stem_loops: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shares of mature miRNAs that go with shares of stem-loops on the whole.

        Parameters
        ----------
        stem_loops
            (n, n_stem_loops) shares.

        Returns
        -------
        (n, n_mature) shares.
        """
        return np.asarray(stem_loops @ self.matrix(stem_loops.shape[1]), dtype=np.float32)

    def bound(self, matures: NDArray[np.float32], stem_loops: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shares of mature miRNAs, lowered where the arms of a stem-loop would exceed it.

        They may exceed it by :data:`ALLOWED_EXCESS`. A mature miRNA of several stem-loops comes from each in
        proportion to what each has of it on the whole.

        Parameters
        ----------
        matures, stem_loops
            (n, n_mature) and (n, n_stem_loops) shares.

        Returns
        -------
        (n, n_mature) shares.
        """
        # Rows and columns exchanged, once: scipy would do it for each product, and mix both orders in between.
        stems, own = np.ascontiguousarray(stem_loops.T), np.ascontiguousarray(matures.T)
        fractions = self.matrix(len(stems))
        of_stems = fractions.T.tocsr()
        relative = own / np.maximum(of_stems @ stems, 1e-12)
        allowed = np.minimum(1.0, ALLOWED_EXCESS / np.maximum(fractions @ relative, 1e-12))
        return np.ascontiguousarray((relative * (of_stems @ (stems * allowed))).T, dtype=np.float32)
