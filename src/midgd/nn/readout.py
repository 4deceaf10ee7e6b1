r"""miRNA from the denoised mRNA profile: the evidence of single genes, beside the latent's.

The latent explains what samples share; what a gene says beyond it is in the counts. Given the latent, the rate of
a negative binomial gene is Gamma distributed with shape r and mean p(z), and its posterior mean given the counts is

.. math:: \rho_g = p_g(z) \, \frac{x_g + r_g}{m_g + r_g}, \qquad m_g = N p_g(z)

(conjugacy of Gamma and Poisson). A deep sample keeps its own profile, a shallow cell gets the decoder's, and a gene
that was not measured is completed by the decoder. The readout maps :math:`\log(1 + 10^6 \rho)` linearly to the log1p
CPM of miRNAs, by maps that :mod:`midgd.train.readout` fits. One was learned on samples of all depths, one on deep ones.
They are mixed by the share of evidence :math:`e = \mathrm{mean}_g\, m_g / (m_g + r_g)` over the genes present, which
is near 1 for bulk and near 0 for a cell of a thousand molecules.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from midgd.nn.heads import CountHead

MILLION = 1e6
ANY_DEPTH, DEEP = 0, 1  # the two maps of DepthMaps


class DepthMaps(nn.Module):
    """Two reduced-rank linear maps from profiles to log1p CPM of miRNAs: for any depth, and for deep samples.

    Parameters
    ----------
    n_genes, n_mirnas
        Sizes of profile and output.
    rank
        Size of the basis that the two maps share.
    """

    def __init__(self, n_genes: int, n_mirnas: int, rank: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(n_genes))
        self.basis = nn.Parameter(torch.zeros(n_genes, rank))
        self.slopes = nn.Parameter(torch.zeros(2, rank, n_mirnas))
        self.intercepts = nn.Parameter(torch.zeros(2, n_mirnas))

    @property
    def rank(self) -> int:
        """Size of the basis."""
        return self.basis.shape[1]

    def forward(self, profile: Tensor, evidence: Tensor) -> Tensor:
        """log1p CPM of miRNAs, (n, n_mirnas), from profiles (n, n_genes) and evidence (n,)."""
        scores = (profile - self.mean) @ self.basis
        any_depth, deep = (scores @ self.slopes[i] + self.intercepts[i] for i in (ANY_DEPTH, DEEP))
        return torch.lerp(any_depth, deep, evidence[:, None])


class ProfileReadout(nn.Module):
    """log1p CPM of miRNAs from the denoised profile: the mean of an answer from all genes and one from core genes.

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
    """

    def __init__(self, n_genes: int, n_mirnas: int, rank: int, n_core: int = 0) -> None:
        super().__init__()
        self.wide = DepthMaps(n_genes, n_mirnas, rank)
        self.core = DepthMaps(n_core, n_mirnas, rank) if n_core else None
        self.core_genes: Tensor
        self.register_buffer("core_genes", torch.zeros(n_core, dtype=torch.long))

    @property
    def sizes(self) -> dict[str, int]:
        """Arguments that make a readout of this shape."""
        n_genes, n_mirnas = len(self.wide.mean), self.wide.intercepts.shape[1]
        return {"n_genes": n_genes, "n_mirnas": n_mirnas, "rank": self.wide.rank, "n_core": len(self.core_genes)}

    def breadth(self, genes: Tensor) -> float:
        """Whether a query with these genes (G,) has those beside the core: 1 from half of them on, 0 without any."""
        others = torch.ones(len(self.wide.mean), dtype=torch.bool, device=genes.device)
        others[self.core_genes] = False
        return min(1.0, 2.0 * float(others[genes].sum() / others.sum().clamp_min(1)))

    def core_profile(self, profile: Tensor) -> Tensor:
        """log1p CPM of the core genes among themselves, (n, n_core), from profiles (n, n_genes).

        Their part of all genes is the decoder's guess where the others are missing, and would shift every gene.
        """
        rate = profile[:, self.core_genes].expm1()
        return torch.log1p(rate * (MILLION / rate.sum(1, keepdim=True)))

    def forward(self, profile: Tensor, evidence: Tensor, breadth: float = 1.0) -> Tensor:
        """log1p CPM of miRNAs, (n, n_mirnas), from profiles (n, n_genes), evidence (n,) and breadth."""
        answer: Tensor = self.wide(profile, evidence)
        if self.core is not None:
            answer = torch.lerp(self.core(self.core_profile(profile), evidence), answer, breadth / 2)
        return answer.clamp_min(0.0)


def denoised_profile(
    head: CountHead, log_share: Tensor, counts: Tensor, genes: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Posterior mean rates as log1p CPM, (n, n_genes), and the share of evidence, (n,).

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
    """
    share = log_share.exp()
    present = share if genes is None else share[:, genes]
    dispersion = head.dispersion if genes is None else head.dispersion[genes]
    # The library counts the genes present only, so the mean is scaled by their part of the shares.
    mean = present * (counts.sum(1, keepdim=True) / present.sum(1, keepdim=True))
    # From here on in place: new memory costs more than the arithmetic.
    spread = mean + dispersion
    evidence = mean.div_(spread).mean(1)
    factor = torch.add(counts, dispersion, out=mean).div_(spread)
    rate = share.mul_(factor) if genes is None else share.index_copy_(1, genes, present * factor)
    return rate.mul_(MILLION).log1p_(), evidence
