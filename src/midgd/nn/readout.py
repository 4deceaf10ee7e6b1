r"""miRNA from the denoised mRNA profile: the evidence of single genes, beside the latent's.

The latent explains what samples share; what a gene says beyond it is in the counts. Given the latent, the rate of
a negative binomial gene is Gamma distributed with shape r and mean p(z), and its posterior mean given the counts is

.. math:: \rho_g = p_g(z) \, \frac{x_g + r_g}{m_g + r_g}, \qquad m_g = N p_g(z)

(conjugacy of Gamma and Poisson). A deep sample keeps its own profile, a shallow cell gets the decoder's, and a gene
that was not measured is completed by the decoder. The readout maps :math:`\log(1 + 10^6 \rho)` linearly to the log1p
CPM of miRNAs. Two maps share one low-rank basis: one was learned on samples of all depths, one on deep samples only.
They are mixed by the share of evidence :math:`e = \mathrm{mean}_g\, m_g / (m_g + r_g)` over the genes present, which
is near 1 for bulk and near 0 for a cell of a thousand molecules.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from midgd.nn.heads import CountHead

MILLION = 1e6


class ProfileReadout(nn.Module):
    """Reduced-rank linear maps from the denoised profile to log1p CPM of miRNAs.

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
        scores = ((profile - self.mean).to(self.basis.dtype) @ self.basis).to(profile.dtype)
        any_depth, deep = (scores @ self.slopes[i] + self.intercepts[i] for i in (0, 1))
        return torch.lerp(any_depth, deep, evidence[:, None]).clamp_min(0.0)


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
    factor = (counts + dispersion) / (mean + dispersion)
    evidence = (mean / (mean + dispersion)).mean(1)
    rate = share * factor if genes is None else share.index_copy(1, genes, present * factor)
    return torch.log1p(rate * MILLION), evidence
