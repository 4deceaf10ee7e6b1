"""The rows being worked on: dense counts of a few samples, and the memory to evaluate them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from midgd.infer.objective import LogPosterior, Workspace
from midgd.infer.parallel import Counts

# Relative error of a sum of log likelihoods: ten times and more the rounding of the type (6e-8, 1e-16).
NOISE = {torch.float32: 5e-7, torch.float64: 1e-14}


class Curvatures:
    """Inverse of the expected information about a latent, by depth on a log scale.

    Parameters
    ----------
    posterior
        Whose information.
    """

    def __init__(self, posterior: LogPosterior) -> None:
        self.posterior = posterior
        self.known: dict[int, Tensor] = {}

    def __call__(self, depth: int) -> Tensor:
        """Inverse information (d, d) at a library of e to the power of ``depth``."""
        if depth not in self.known:
            information = self.posterior.curvature(torch.tensor([float(depth)], device=self.posterior.bias.device))
            self.known[depth] = torch.linalg.inv(information)[0]
        return self.known[depth]


class Batch:
    """Slots for rows of counts; every evaluation is of all slots, so that its arithmetic has one shape.

    Parameters
    ----------
    posterior
        The objective; its precision is the precision of the batch.
    curvatures
        Preconditioners.
    counts
        All rows, (n, G), dense or CSR.
    n_slots
        Rows at hand.
    """

    def __init__(self, posterior: LogPosterior, curvatures: Curvatures, counts: Counts, n_slots: int) -> None:
        self.posterior, self.curvatures, self.source, self.n_slots = posterior, curvatures, counts, n_slots
        like = posterior.bias
        self.noise = NOISE[like.dtype]
        self.counts = like.new_zeros(n_slots, len(like))
        self.library = like.new_zeros(n_slots, 1)
        self.depth = torch.zeros(n_slots, dtype=torch.long, device=like.device)

    @cached_property
    def work(self) -> Workspace:
        """Memory of an evaluation."""
        return self.posterior.workspace(self.n_slots)

    def load(self, slot: int, row: int) -> None:
        """Put a row in a slot.

        Parameters
        ----------
        slot
            Which slot, from 0.
        row
            Which row of the counts, from 0.
        """
        values = torch.from_numpy(_dense_row(self.source, row))
        library = float(values.sum(dtype=torch.float64))
        self.counts[slot] = values.to(self.counts)
        self.library[slot] = library
        self.depth[slot] = round(np.log(max(library, 1.0)))

    def blocks(self) -> Iterator[slice]:
        """Fill the slots with consecutive rows, again and again; the rows, of which the last may be too few."""
        n = self.source.shape[0]
        for first in range(0, n, self.n_slots):
            rows = slice(first, min(first + self.n_slots, n))
            for slot, row in enumerate(range(rows.start, rows.stop)):
                self.load(slot, row)
            yield rows

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Log posteriors (n_slots,) and gradients at latents (n_slots, d)."""
        return self.posterior(z, self.counts, self.library, self.work)

    def precondition(self, vectors: Tensor) -> Tensor:
        """Inverse curvature of every slot, at its depth, times vectors (n_slots, d).

        Parameters
        ----------
        vectors
            (n_slots, d).

        Returns
        -------
        (n_slots, d).
        """
        result = vectors
        for depth in torch.unique(self.depth).tolist():
            product = vectors @ self.curvatures(depth).to(vectors.dtype)
            result = torch.where((self.depth == depth)[:, None], product, result)
        return result


def _dense_row(counts: Counts, row: int) -> NDArray[np.float32]:
    if not isinstance(counts, sparse.csr_matrix):
        return np.ascontiguousarray(counts[row], dtype=np.float32)
    dense = np.zeros(counts.shape[1], np.float32)
    entries = slice(counts.indptr[row], counts.indptr[row + 1])
    # Several entries of one gene are its parts, as everywhere in scipy.
    np.add.at(dense, counts.indices[entries], counts.data[entries])
    return dense
