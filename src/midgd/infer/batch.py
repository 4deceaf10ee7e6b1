"""The rows being worked on: dense counts of a few samples, and the memory to evaluate them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from midgd.infer.objective import LogPosterior, Workspace
from midgd.infer.parallel import Counts
from midgd.nn.count_head import Memory
from midgd.nn.loops import chosen_products, fill

# Relative error of a sum of log likelihoods: ten times and more the rounding of the type (6e-8, 1e-16).
NOISE = {torch.float32: 5e-7, torch.float64: 1e-14}
# Latents whose distances to landmarks are computed together.
BLOCK = 64


class Curvatures:
    """Inverse of the expected information about a latent, by depth on a log scale and by landmark.

    Measured on CITE-seq PBMCs, whose latents are far from every component mean: information at the component mean took
    6.2 evaluations a cell, at the nearest kind of sample 4.1 (both ended less than .2 log units from the optimum).

    Parameters
    ----------
    posterior
        Whose information.
    landmarks
        (n, d) latents of known kinds of samples; None for none. The means of the prior come before them.
    """

    def __init__(self, posterior: LogPosterior, landmarks: Tensor | None = None) -> None:
        self.posterior = posterior
        means = posterior.prior.means.detach()
        self.landmarks = means if landmarks is None else torch.cat([means, landmarks.to(means)])
        self.known: dict[tuple[int, int | None], Tensor] = {}

    def nearest(self, z: Tensor) -> Tensor:
        """Which landmark each latent is nearest to.

        Parameters
        ----------
        z
            (n, d) latents.

        Returns
        -------
        (n,) indices.
        """
        # In blocks of one size, for a product of matrices rounds otherwise for another number of rows.
        padded = torch.nn.functional.pad(z.to(self.landmarks.dtype), (0, 0, 0, max(-len(z) % BLOCK, BLOCK - len(z))))
        squares = self.landmarks.square().sum(1)  # of a distance what the latent alone adds is left out
        parts = [torch.addmm(squares, rows, self.landmarks.T, alpha=-2.0).argmin(1) for rows in padded.split(BLOCK)]
        return torch.cat(parts)[: len(z)]

    def __call__(self, depth: int, landmark: int | None = None) -> Tensor:
        """Inverse information (d, d) at a library of e to the power of ``depth``; None is the centre of the prior."""
        key = depth, landmark
        if key not in self.known:
            at = None if landmark is None else self.landmarks[landmark]
            self.known[key] = torch.linalg.inv(self.posterior.curvature(float(depth), at))
        return self.known[key]


class Batch:
    """Slots for rows of counts; every evaluation is of all slots, so that its arithmetic has one shape.

    Near the end of a search slots are given up where :meth:`LogPosterior.same_in_fewer_rows`.

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
        like = posterior.head.bias
        self.noise = NOISE[like.dtype]
        self.counts = like.new_zeros(n_slots, len(like))
        self.library = like.new_zeros(n_slots, 1)
        self.depth = torch.zeros(n_slots, dtype=torch.long, device=like.device)
        # The inverse informations in use, (k, d, d), and which of them every row and every slot has.
        self.inverses = like.new_zeros(0, posterior.prior.n_latent, posterior.prior.n_latent)
        self.of_rows, self.of_slots = torch.zeros_like(self.depth), torch.zeros_like(self.depth)

    @cached_property
    def work(self) -> Workspace:
        """Memory of an evaluation."""
        return self.posterior.workspace(self.n_slots)

    @cached_property
    def decoding(self) -> Workspace:
        """Memory for all genes of the model."""
        return self.posterior.workspace(self.n_slots, self.posterior.decoder.head("mrna").n_features)

    def begin(self, start: Tensor) -> None:
        """Before a search: the inverse information of each row, by its depth and the landmark it is nearest to.

        Parameters
        ----------
        start
            (n, d) latents from which the search of all rows begins.
        """
        library = np.asarray(self.source.sum(1, dtype=np.float64)).reshape(-1)
        depth = torch.from_numpy(_depth(library)).to(self.depth)
        keys, self.of_rows = torch.stack([depth, self.curvatures.nearest(start)], 1).unique(dim=0, return_inverse=True)
        if len(keys):
            self.inverses = torch.stack([self.curvatures(*key) for key in keys.tolist()]).to(self.inverses)

    def load(self, slots: Tensor, rows: slice) -> None:
        """Put rows in slots, for the search.

        Parameters
        ----------
        slots
            (n_rows,) which slots, from 0.
        rows
            Which rows of the counts.
        """
        self._fill(slots, rows)
        self.of_slots[slots] = self.of_rows[rows]

    @cached_property
    def same_in_fewer_slots(self) -> bool:
        """See :meth:`LogPosterior.same_in_fewer_rows`; asked before slots are given up."""
        return self.posterior.same_in_fewer_rows(self.n_slots)

    def keep(self, slots: Tensor) -> None:
        """Give up all other slots.

        Parameters
        ----------
        slots
            (n_kept,) which slots stay, from 0; in this order.
        """
        self.n_slots = n = len(slots)
        for name in ("counts", "library", "depth", "of_slots"):
            setattr(self, name, getattr(self, name)[slots])
        self.work = Workspace(self.work.share[:n], Memory(*(memory[:n] for memory in self.work.of_head)))

    def blocks(self) -> Iterator[slice]:
        """Fill the slots with consecutive rows, again and again; the rows, of which the last may be too few."""
        n = self.source.shape[0]
        for first in range(0, n, self.n_slots):
            rows = slice(first, min(first + self.n_slots, n))
            self._fill(torch.arange(rows.stop - rows.start, device=self.counts.device), rows)
            yield rows

    def _fill(self, slots: Tensor, rows: slice) -> None:
        """Put rows in slots."""
        on_cpu = self.counts.device.type == "cpu"
        at = slots.numpy() if on_cpu else np.arange(len(slots))
        host = self.counts.numpy() if on_cpu else np.zeros((len(slots), self.counts.shape[1]), np.float32)
        if isinstance(self.source, sparse.csr_matrix):
            library = fill(self.source, rows, at, host)
        else:
            host[at] = self.source[rows]
            library = self.source[rows].sum(1, dtype=np.float64)
        if not on_cpu:
            self.counts[slots] = torch.from_numpy(host).to(self.counts)
        self.library[slots, 0] = torch.from_numpy(library).to(self.library)
        self.depth[slots] = torch.from_numpy(_depth(library)).to(self.depth)

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Log posteriors (n_slots,) and gradients at latents (n_slots, d)."""
        return self.posterior(z, self.counts, self.library, self.work)

    def precondition(self, vectors: Tensor) -> Tensor:
        """Inverse curvature of every slot, at its depth and landmark, times vectors.

        Parameters
        ----------
        vectors
            (n_slots, d).

        Returns
        -------
        (n_slots, d).
        """
        return chosen_products(vectors, self.inverses, self.of_slots)

    def precondition_at_centre(self, vectors: Tensor) -> Tensor:
        """Inverse curvature of every slot, at its depth and the centre of the prior, times vectors.

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


def _depth(library: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Natural log of libraries (n,), rounded."""
    return np.log(library.clip(1.0)).round().astype(np.int64)
