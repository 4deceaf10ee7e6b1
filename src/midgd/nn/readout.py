r"""miRNA from the profiles of a sample: linear maps and their mixture.

:mod:`midgd.infer.profiles` makes the profiles, :mod:`midgd.train.readout` fits the maps to log1p CPM of miRNAs: from
the denoised profile one learned on samples of all depths and one on deep ones; from the counts profile one learned on
molecules drawn from the training samples, for in tissues that the decoder has not seen the denoised profile is a guess.
How they are mixed is in :mod:`midgd.infer.weights`, what kinds of cells add in :mod:`midgd.nn.kinds`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from midgd.nn.loops import among

# Counts per million, in which miRNAs are given.
MILLION = 1e6
THOUSAND = 1e3  # molecules: the scale of the counts profile
ANY_DEPTH, DEEP = 0, 1  # the two maps from the denoised profile


class Profiles(NamedTuple):
    """Profiles of n samples over the G genes of a map.

    Attributes
    ----------
    denoised
        log1p counts per million after the decoder has removed the noise, (n, G).
    counts
        log1p counts per thousand as they are, (k, G); None where they were not asked for.
    rows
        (k,) which samples have a counts profile, the others have no use for it; None for all.
    """

    denoised: Tensor
    counts: Tensor | None = None
    rows: Tensor | None = None


class Weights(NamedTuple):
    """How the answers for n samples are mixed; :func:`midgd.infer.weights.mixing_weights` chooses.

    Attributes
    ----------
    deep
        Of the map learned on deep samples, (n,); the shallow answer has the rest.
    counts
        Of the map from counts within the shallow answer, (n,).
    all_genes
        Of the answer from all genes; the one from core genes has the rest.
    kinds
        With which the profile of every kind is added, (n, n_kinds); None without kinds.
    """

    deep: Tensor
    counts: Tensor
    all_genes: float = 1.0
    kinds: Tensor | None = None


class ReducedMaps(nn.Module):
    """Linear maps from profiles to log1p CPM of miRNAs, of reduced rank, with one basis.

    Parameters
    ----------
    n_genes, n_mirnas
        Sizes of profile and output.
    rank
        Size of the basis.
    n_maps
        Number of maps.
    """

    def __init__(self, n_genes: int, n_mirnas: int, rank: int, n_maps: int) -> None:
        super().__init__()
        self.mean: nn.Parameter | None = nn.Parameter(torch.zeros(n_genes))
        self.basis = nn.Parameter(torch.zeros(n_genes, rank))
        self.slopes = nn.Parameter(torch.zeros(n_maps, rank, n_mirnas))
        self.intercepts = nn.Parameter(torch.zeros(n_maps, n_mirnas))

    @property
    def rank(self) -> int:
        """Size of the basis."""
        return self.basis.shape[1]

    @torch.no_grad()
    def fold_mean(self) -> None:
        """Move the mean of the profiles into the intercepts, in place: to subtract it from each takes longer."""
        if self.mean is not None:
            self.intercepts.sub_((self.mean @ self.basis) @ self.slopes)
            self.mean = None

    def forward(self, profile: Tensor, weights: list[Tensor]) -> Tensor:
        """The answers of the maps, mixed.

        Parameters
        ----------
        profile
            (n, n_genes) log1p profiles.
        weights
            Of the maps, (n,) each.

        Returns
        -------
        (n, n_mirnas) in log1p CPM, times the sum of the weights.
        """
        scores = (profile if self.mean is None else profile - self.mean) @ self.basis
        mixed = torch.cat([scores * weight[:, None] for weight in weights], 1)
        # The maps as one: a product for each, and its mean, would each read and write all miRNAs.
        intercepts = torch.stack(weights, 1) @ self.intercepts
        return torch.addmm(intercepts, mixed, self.slopes.flatten(0, 1))


class DepthMaps(nn.Module):
    """log1p CPM of miRNAs at any depth, from both profiles of the same genes.

    Parameters
    ----------
    n_genes, n_mirnas, rank
        See :class:`ReducedMaps`.
    counts_rank
        Rank of the map from the counts profile; 0 leaves it out.
    """

    def __init__(self, n_genes: int, n_mirnas: int, rank: int, counts_rank: int = 0) -> None:
        super().__init__()
        self.denoised = ReducedMaps(n_genes, n_mirnas, rank, 2)
        self.counts = ReducedMaps(n_genes, n_mirnas, counts_rank, 1) if counts_rank else None

    def forward(self, profiles: Profiles, weights: Weights) -> Tensor:
        """The maps mixed by the depth of each sample.

        Parameters
        ----------
        profiles
            Both log1p profiles of each sample.
        weights
            How much each map counts for each sample.

        Returns
        -------
        (n, n_mirnas) in log1p CPM.
        """
        deep, shallow = weights.deep, 1.0 - weights.deep
        if self.counts is None or profiles.counts is None:
            return self.denoised(profiles.denoised, [shallow, deep])
        # In the order of the maps: ANY_DEPTH, DEEP.
        parts = [shallow * (1.0 - weights.counts), deep]
        of_denoised = self.denoised(profiles.denoised, parts)
        of_counts, rows = shallow * weights.counts, profiles.rows
        if rows is None:
            return of_denoised + self.counts(profiles.counts, [of_counts])
        return of_denoised.index_add_(0, rows, self.counts(profiles.counts, [of_counts[rows]]))


class ProfileReadout(nn.Module):
    """log1p CPM of miRNAs: a mixture of an answer from all genes and one from core genes.

    Core genes were measured in every training sample. A query that lacks the others does not get the first answer
    in full: what the decoder completes for a tissue that never showed it these genes is not evidence.

    Parameters
    ----------
    n_genes, n_mirnas
        Sizes of profile and output.
    rank
        Size of the basis of each answer.
    n_core
        Number of core genes; 0 if all training samples measured the same genes, then there is one answer.
    counts_rank
        Rank of the maps from the counts profile; 0 leaves them out.
    """

    def __init__(self, n_genes: int, n_mirnas: int, rank: int, n_core: int = 0, counts_rank: int = 0) -> None:
        super().__init__()
        self.wide = DepthMaps(n_genes, n_mirnas, rank, counts_rank)
        self.core = DepthMaps(n_core, n_mirnas, rank, counts_rank) if n_core else None
        self.core_genes: Tensor
        self.register_buffer("core_genes", torch.zeros(n_core, dtype=torch.long))

    def fold_means(self) -> ProfileReadout:
        """The same with the means of its maps in their intercepts, see :meth:`ReducedMaps.fold_mean`; in place."""
        for maps in self.modules():
            if isinstance(maps, ReducedMaps):
                maps.fold_mean()
        return self

    @property
    def with_counts(self) -> bool:
        """Whether it has maps from the counts profile."""
        return self.wide.counts is not None

    @property
    def sizes(self) -> dict[str, int]:
        """Arguments that make a readout of this shape."""
        denoised, counts = self.wide.denoised, self.wide.counts
        return {
            "n_genes": len(denoised.basis),
            "n_mirnas": denoised.intercepts.shape[1],
            "rank": denoised.rank,
            "n_core": len(self.core_genes),
            "counts_rank": 0 if counts is None else counts.rank,
        }

    def part_of_others(self, genes: Tensor) -> float | None:
        """How far a query goes beyond the core genes.

        Parameters
        ----------
        genes
            (G,) indices of the genes of the query.

        Returns
        -------
        Which part of the genes beside the core it has, or, of a panel, which part of its genes are beside the core: the
        larger one, from 0 to 1. None without a core.
        """
        if self.core is None:
            return None
        others = torch.ones(len(self.wide.denoised.basis), dtype=torch.bool, device=genes.device)
        others[self.core_genes] = False
        found = others[genes].sum()
        return float(torch.maximum(found / others.sum().clamp_min(1), found / max(len(genes), 1)))

    def core_profile(self, profile: Tensor, scale: float) -> Tensor:
        """A log1p profile of all genes as one of the core genes among themselves.

        Their part of all genes is the decoder's guess where the others are missing, and would shift every gene.

        Parameters
        ----------
        profile
            (n, n_genes) log1p profiles.
        scale
            What the counts of a profile add up to: a million or a thousand.

        Returns
        -------
        (n, n_core).
        """
        quick = among(profile, self.core_genes, scale)
        if quick is not None:
            return quick
        rate = profile[:, self.core_genes].expm1()
        return torch.log1p(rate * (scale / rate.sum(1, keepdim=True).clamp_min(1e-30)))

    def core_profiles(self, profiles: Profiles) -> Profiles:
        """Both profiles of the core genes.

        Parameters
        ----------
        profiles
            Profiles of all genes, (n, n_genes) and (k, n_genes).

        Returns
        -------
        (n, n_core) and (k, n_core); no counts profile if there was none.
        """
        counts = None if profiles.counts is None else self.core_profile(profiles.counts, THOUSAND)
        return Profiles(self.core_profile(profiles.denoised, MILLION), counts, profiles.rows)

    def forward(self, profiles: Profiles, weights: Weights, added: Tensor | None = None) -> Tensor:
        """The answer of the readout.

        Parameters
        ----------
        profiles
            Both log1p profiles of each sample, (n, n_genes) and (k, n_genes).
        weights
            How much each map counts for each sample.
        added
            (n, n_mirnas) in log1p CPM, added before values below 0 are set to 0; None for nothing.

        Returns
        -------
        (n, n_mirnas) in log1p CPM, 0 or more.
        """
        return self.unbounded(profiles, weights, added).clamp_min(0.0)

    def unbounded(self, profiles: Profiles, weights: Weights, added: Tensor | None = None) -> Tensor:
        """The answer before values below 0 are set to 0: with a slope everywhere.

        Parameters
        ----------
        profiles, weights, added
            See :meth:`forward`.

        Returns
        -------
        (n, n_mirnas) in log1p CPM.
        """
        of_core = None if self.core is None else self.core(self.core_profiles(profiles), weights)
        answer: Tensor = self.wide(profiles, weights)
        if of_core is not None:
            answer = torch.lerp(of_core, answer, weights.all_genes)
        return answer if added is None else answer + added
