r"""Which kinds of samples a latent is like, and what each kind adds to the answer.

One linear map from profiles to miRNAs cannot serve both tissues and pure cells: what tells lymphocytes from all tissues
is small beside what tells tissues from each other, so their answer stays between the two. The readout is therefore a
mixture of experts (Jacobs et al. 1991, Neural Computation 3:79) in which an expert is one constant profile:

.. math:: \hat y = f(x) + \sum_k w(\pi_k(z)) \, e_k, \qquad \pi(z) = \mathrm{softmax}(W z + b)

where f are the linear maps of :mod:`midgd.nn.readout`, k runs over the kinds of the training samples (cell types,
tissues, tumours), and :math:`e_k` is by how much the maps miss the samples of kind k. :math:`\pi` is learned on
mixtures of kinds too, so a mixture gets a part of each. The weight w is 0 up to a floor (:mod:`midgd.infer.weights`):
what looks a little like each of many kinds, as a shallow spot of a tissue does, is none of them.

Probabilities add up to 1, also for a cell of a kind that is not among them: it is taken for the least different ones.
How like these it really is, is the cosine between two directions from a common origin o, to the sample and to the kinds
that it is taken for, along the axes A that tell kinds apart best (linear discriminant analysis):

.. math:: \cos(A^T (z - o), \; \textstyle\sum_k \pi_k A^T (\mu_k - o))

A direction and not a distance, for in shallow cells the latent is drawn towards the mean of the prior, which is the
origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class KindExperts(nn.Module):
    """Probabilities of kinds from latents, and what kinds add to log1p CPM.

    Parameters
    ----------
    n_latent, n_kinds, n_mirnas
        Sizes of latent, kinds and output.
    cells
        Indices of the kinds that are cells or cell lines, not tissues.
    n_axes
        Number of axes along which samples are compared with kinds; 0 for none.
    """

    def __init__(self, n_latent: int, n_kinds: int, n_mirnas: int, cells: Sequence[int] = (), n_axes: int = 0) -> None:
        super().__init__()
        self.cells = sorted(cells)
        self.is_cell: Tensor
        self.axes: nn.Parameter | None
        self.origin: nn.Parameter | None
        self.places: nn.Parameter | None
        self.register_buffer("is_cell", torch.zeros(n_kinds), persistent=False)
        self.is_cell[self.cells] = 1.0
        self.weight = nn.Parameter(torch.zeros(n_latent, n_kinds))
        self.bias = nn.Parameter(torch.zeros(n_kinds))
        self.effect = nn.Parameter(torch.zeros(n_kinds, n_mirnas))
        shapes = {"axes": (n_latent, n_axes), "origin": (n_axes,), "places": (n_kinds, n_axes)}
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)) if n_axes else None)

    @property
    def sizes(self) -> dict[str, Any]:
        """Arguments that make experts of this shape."""
        n_latent, n_kinds = self.weight.shape
        n_mirnas, n_axes = self.effect.shape[1], 0 if self.axes is None else self.axes.shape[1]
        return {
            "n_latent": n_latent,
            "n_kinds": n_kinds,
            "n_mirnas": n_mirnas,
            "cells": self.cells,
            "n_axes": n_axes,
        }

    def forward(self, z: Tensor) -> Tensor:
        """Probabilities of the kinds.

        Parameters
        ----------
        z
            (n, n_latent) latents.

        Returns
        -------
        (n, n_kinds), each row adds up to 1.
        """
        return torch.softmax(torch.addmm(self.bias, z, self.weight), 1)

    def likeness(self, z: Tensor, probabilities: Tensor) -> Tensor | None:
        """How like the kinds that they are taken for samples are.

        Parameters
        ----------
        z
            (n, n_latent) latents.
        probabilities
            (n, n_kinds) of the kinds, each row adds up to 1.

        Returns
        -------
        (n,) cosines, 1 for a sample in the direction of its kinds; None without axes.
        """
        if self.axes is None or self.origin is None or self.places is None:
            return None
        sample = z @ self.axes - self.origin
        return torch.cosine_similarity(sample, probabilities @ self.places - self.origin, dim=1)

    def added(self, weights: Tensor) -> Tensor:
        """What the kinds of samples add to their miRNA.

        Parameters
        ----------
        weights
            (n, n_kinds), from 0 to 1, how much each kind counts for a sample.

        Returns
        -------
        (n, n_mirnas) in log1p CPM.
        """
        return weights @ self.effect
