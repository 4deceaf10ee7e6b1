"""What the kinds of a reference say of latents."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from midgd.infer.domain import ambiguity
from midgd.nn import KindExperts


class Taken(NamedTuple):
    """What n samples are taken for.

    Attributes
    ----------
    probabilities
        Of the kinds, (n, n_kinds); None without kinds.
    is_cell
        Which kinds are cells, (n_kinds,) of 0 and 1; None without kinds.
    likeness
        How like these each sample is, (n,), see :meth:`midgd.nn.KindExperts.likeness`; None where nothing tells.
    ambiguity, unlikeness
        Signs of being like no known sample, (n,), see :mod:`midgd.infer.domain`; NaN where nothing tells.
    nearest
        Index of the most probable kind, (n,); -1 without kinds or counts.
    probability
        Its probability, (n,); NaN there.
    """

    probabilities: Tensor | None
    is_cell: Tensor | None
    likeness: Tensor | None
    ambiguity: Tensor
    unlikeness: Tensor
    nearest: Tensor
    probability: Tensor


def taken_for(kinds: KindExperts | None, z: Tensor, empty: Tensor | None = None) -> Taken:
    """What samples are taken for.

    Parameters
    ----------
    kinds
        Of the reference; None if it has none.
    z
        (n, n_latent) latents.
    empty
        (n,) which samples have no counts; None for latents without samples.

    Returns
    -------
    The samples in their order.
    """
    unknown = torch.full_like(z[:, 0], torch.nan)
    empty = torch.zeros_like(unknown, dtype=torch.bool) if empty is None else empty
    if kinds is None:
        return Taken(None, None, None, unknown, unknown, torch.full_like(empty, -1, dtype=torch.long), unknown)
    probabilities = kinds(z)
    likeness = kinds.likeness(z, probabilities)
    highest = probabilities.max(1)
    return Taken(
        probabilities,
        kinds.is_cell,
        likeness,
        ambiguity(probabilities),
        unknown if likeness is None else 1.0 - likeness,
        highest.indices.where(~empty, -1),
        highest.values.where(~empty, torch.nan),
    )
