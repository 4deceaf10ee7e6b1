"""The rows being worked on: dense counts of a few samples, and the memory to evaluate them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from midgd.infer.objective import LogPosterior, Workspace
from midgd.infer.parallel import Counts
from midgd.nn.loops import chosen_products, fill

# Relative error of a sum of log likelihoods: ten times and more the rounding of the type (6e-8, 1e-16).
NOISE = {torch.float32: 5e-7, torch.float64: 1e-14}
_distance = partial(torch.cdist, compute_mode="donot_use_mm_for_euclid_dist")


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

    def nearest(self, z: Tensor) -> list[int]:
        """Which landmark each latent is nearest to.

        Parameters
        ----------
        z
            (n, d) latents.

        Returns
        -------
        n indices.
        """
        # From the differences themselves: a product of matrices rounds otherwise for another number of rows.
        return _distance(z.to(self.landmarks.dtype), self.landmarks).argmin(1).tolist()

    def __call__(self, depth: int, landmark: int | None = None) -> Tensor:
        """Inverse information (d, d) at a library of e to the power of ``depth``; None is the centre of the prior."""
        key = depth, landmark
        if key not in self.known:
            at = None if landmark is None else self.landmarks[landmark]
            self.known[key] = torch.linalg.inv(self.posterior.curvature(float(depth), at))
        return self.known[key]


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
        like = posterior.head.bias
        self.noise = NOISE[like.dtype]
        self.counts = like.new_zeros(n_slots, len(like))
        self.library = like.new_zeros(n_slots, 1)
        self.depth = torch.zeros(n_slots, dtype=torch.long, device=like.device)
        self.landmarks: list[int] = []
        self.keys: dict[tuple[int, int | None], int] = {}  # of the inverse informations in use, to their places
        self.key = torch.zeros(n_slots, dtype=torch.long, device=like.device)
        self.inverses = like.new_zeros(0, posterior.prior.n_latent, posterior.prior.n_latent)

    @cached_property
    def work(self) -> Workspace:
        """Memory of an evaluation."""
        return self.posterior.workspace(self.n_slots)

    @cached_property
    def decoding(self) -> Workspace:
        """Memory for all genes of the model."""
        return self.posterior.workspace(self.n_slots, self.posterior.decoder.head("mrna").n_features)

    def begin(self, start: Tensor) -> None:
        """Before a search: the landmark that each row is nearest to.

        Parameters
        ----------
        start
            (n, d) latents from which the search of all rows begins.
        """
        self.landmarks = self.curvatures.nearest(start)

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
        keys = list(zip(self.depth[slots].tolist(), self.landmarks[rows], strict=True))
        if new := [key for key in dict.fromkeys(keys) if key not in self.keys]:
            more = torch.stack([self.curvatures(*key) for key in new]).to(self.inverses)
            self.keys |= {key: place for place, key in enumerate(new, len(self.keys))}
            self.inverses = torch.cat([self.inverses, more])
        self.key[slots] = torch.tensor([self.keys[key] for key in keys], device=self.key.device)

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
        self.depth[slots] = torch.from_numpy(np.log(library.clip(1.0)).round().astype(np.int64)).to(self.depth)

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
        return chosen_products(vectors, self.inverses, self.key)

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
