r"""miRNA from what a sample shows of its genes: the denoised profile, and its own molecules.

The latent explains what samples share; what a gene says beyond it is in the counts. Given the latent, the rate of
a negative binomial gene is Gamma distributed with shape r and mean p(z), and its posterior mean given the counts is

.. math:: \rho_g = p_g(z) \, \frac{x_g + r_g}{m_g + r_g}, \qquad m_g = N p_g(z)

(conjugacy of Gamma and Poisson). A deep sample keeps its own profile, a shallow cell gets the decoder's, and a gene
that was not measured is completed by the decoder. The *denoised profile* :math:`\log(1 + 10^6 \rho)` is mapped linearly
to the log1p CPM of miRNAs, by maps that :mod:`midgd.train.readout` fits: one learned on samples of all depths, one on
deep ones.

In tissues that the decoder has not seen, its profile is a guess. So shallow samples are also answered from the
*counts profile*, :math:`\log(1 + 10^3 x_g / N)`, by a map learned on molecules drawn from the training samples, which
has up to half of the weight. Deep samples keep their own counts in the denoised profile anyway: all answers are mixed
by the share of evidence :math:`e = \mathrm{mean}_g\, m_g / (m_g + r_g)` over the genes present, which is near 1 for
bulk and near 0 for a cell of a thousand molecules. What kinds of cells add to these maps is in :mod:`midgd.nn.kinds`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from midgd.nn.heads import CountHead

MILLION = 1e6
THOUSAND = 1e3  # molecules: the scale of the counts profile
FEW = 1e3  # molecules at which the counts profile has half of its weight
ANY_DEPTH, DEEP = 0, 1  # the two maps from the denoised profile


class Counted(NamedTuple):
    """The counts profile of n samples, (n, G), and its weight beside the denoised one, (n,)."""

    profile: Tensor
    weight: Tensor


class View(NamedTuple):
    """What n samples show of the G genes of the model.

    Attributes
    ----------
    profile
        Denoised profile, (n, G).
    evidence
        Share of evidence in single genes, (n,).
    counted
        None where the counts profile was not asked for.
    """

    profile: Tensor
    evidence: Tensor
    counted: Counted | None = None

    def of_cells(self, cell: Tensor) -> View:
        """The same where samples are cells of known kinds with these probabilities, (n,): counts have less weight."""
        if self.counted is None:
            return self
        return self._replace(counted=self.counted._replace(weight=self.counted.weight * (1.0 - cell)))


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
        self.mean = nn.Parameter(torch.zeros(n_genes))
        self.basis = nn.Parameter(torch.zeros(n_genes, rank))
        self.slopes = nn.Parameter(torch.zeros(n_maps, rank, n_mirnas))
        self.intercepts = nn.Parameter(torch.zeros(n_maps, n_mirnas))

    @property
    def rank(self) -> int:
        """Size of the basis."""
        return self.basis.shape[1]

    def forward(self, profile: Tensor) -> list[Tensor]:
        """log1p CPM of miRNAs by each map, (n, n_mirnas), from profiles (n, n_genes)."""
        scores = (profile - self.mean) @ self.basis
        return [torch.addmm(b, scores, slopes) for b, slopes in zip(self.intercepts, self.slopes, strict=True)]


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

    def forward(self, view: View) -> Tensor:
        """log1p CPM of miRNAs, (n, n_mirnas)."""
        answers = self.denoised(view.profile)
        shallow, deep = answers[ANY_DEPTH], answers[DEEP]
        if self.counts is not None and view.counted is not None:
            shallow = torch.lerp(shallow, self.counts(view.counted.profile)[0], view.counted.weight[:, None])
        return torch.lerp(shallow, deep, view.evidence[:, None])


class ProfileReadout(nn.Module):
    """log1p CPM of miRNAs: the mean of an answer from all genes and one from core genes.

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

    @property
    def with_counts(self) -> bool:
        """Whether it has maps from the counts profile."""
        return self.wide.counts is not None

    @property
    def sizes(self) -> dict[str, int]:
        """Arguments that make a readout of this shape."""
        denoised, counts = self.wide.denoised, self.wide.counts
        return {
            "n_genes": len(denoised.mean),
            "n_mirnas": denoised.intercepts.shape[1],
            "rank": denoised.rank,
            "n_core": len(self.core_genes),
            "counts_rank": 0 if counts is None else counts.rank,
        }

    def breadth(self, genes: Tensor) -> float:
        """Whether a query with these genes (G,) has those beside the core: 1 from half of them on, 0 without any."""
        others = torch.ones(len(self.wide.denoised.mean), dtype=torch.bool, device=genes.device)
        others[self.core_genes] = False
        return min(1.0, 2.0 * float(others[genes].sum() / others.sum().clamp_min(1)))

    def core_profile(self, profile: Tensor, scale: float) -> Tensor:
        """A log1p profile of this scale (n, n_genes) as one of the core genes among themselves, (n, n_core).

        Their part of all genes is the decoder's guess where the others are missing, and would shift every gene.
        """
        rate = profile[:, self.core_genes].expm1()
        return torch.log1p(rate * (scale / rate.sum(1, keepdim=True).clamp_min(1e-30)))

    def core_view(self, view: View) -> View:
        """What the core genes show."""
        counted = view.counted
        if counted is not None:
            counted = counted._replace(profile=self.core_profile(counted.profile, THOUSAND))
        return view._replace(profile=self.core_profile(view.profile, MILLION), counted=counted)

    def forward(self, view: View, breadth: float = 1.0, added: Tensor | None = None) -> Tensor:
        """log1p CPM of miRNAs, (n, n_mirnas), from what n samples show, and what is added before values below 0 go."""
        answer: Tensor = self.wide(view)
        if self.core is not None:
            answer = torch.lerp(self.core(self.core_view(view)), answer, breadth / 2)
        return (answer if added is None else answer + added).clamp_min(0.0)


def view_of(
    head: CountHead, log_share: Tensor, counts: Tensor, genes: Tensor | None = None, *, with_counts: bool = True
) -> View:
    """What samples show, given their decoded shares.

    Parameters
    ----------
    head
        The mRNA head, for its dispersions.
    log_share
        log shares over all genes of the model, (n, n_genes).
    counts
        Counts of the genes present, (n, G).
    genes
        Their indices, (G,); None when all are present.
    with_counts
        Whether the counts profile is asked for.
    """
    share = log_share.exp()
    present = share if genes is None else share[:, genes]
    # The library counts the genes present only: these are the molecules there would be with all.
    molecules = counts.sum(1, keepdim=True) / present.sum(1, keepdim=True)
    counted = None
    if with_counts:
        weight = 0.5 * (molecules / (molecules + FEW))[:, 0]
        counted = Counted(counts_profile(share, counts, molecules, genes), weight)
    dispersion = head.dispersion if genes is None else head.dispersion[genes]
    mean = present * molecules
    # From here on in place: new memory costs more than the arithmetic.
    spread = mean + dispersion
    evidence = mean.div_(spread).mean(1)
    factor = torch.add(counts, dispersion, out=mean).div_(spread)
    rate = share.mul_(factor) if genes is None else share.index_copy_(1, genes, present * factor)
    return View(rate.mul_(MILLION).log1p_(), evidence, counted)


def counts_profile(share: Tensor, counts: Tensor, molecules: Tensor, genes: Tensor | None = None) -> Tensor:
    r"""log1p counts per thousand of all genes, (n, n_genes).

    A gene that is not present gets about what a Poisson draw of mean :math:`m = N p` would show: with probability
    :math:`1 - e^{-m}` a count, of mean :math:`m / (1 - e^{-m})`.

    Parameters
    ----------
    share
        Decoded shares, (n, n_genes).
    counts
        Counts of the genes present, (n, G).
    molecules
        Molecules there would be with all genes, (n, 1).
    genes
        Indices of the genes present, (G,); None for all.
    """
    own = (counts * (THOUSAND / molecules.clamp_min(1e-6))).log1p_()
    if genes is None:
        return own
    absent = torch.ones(share.shape[1], dtype=torch.bool, device=share.device)
    absent[genes] = False
    expected = share[:, absent]
    some = -torch.expm1(-molecules * expected)
    profile = torch.empty_like(share)
    profile[:, absent] = some * torch.log1p(THOUSAND * expected / some.clamp_min(1e-30))
    return profile.index_copy_(1, genes, own)
