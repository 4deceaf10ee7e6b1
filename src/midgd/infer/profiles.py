r"""What samples show of their genes, given their latents: the denoised profile, and the counts themselves.

The latent explains what samples share; what a gene says beyond it is in the counts. Given the latent, the rate of
a gene has a posterior (:meth:`midgd.nn.CountHead.posterior_rate`); for the negative binomial its mean is

.. math:: \rho_g = p_g(z) \, \frac{x_g + r_g}{m_g + r_g}, \qquad m_g = N p_g(z)

A deep sample keeps its own profile, a shallow cell gets the decoder's, and a gene that was not measured is completed by
the decoder. The *denoised profile* is :math:`\log(1 + 10^6 \rho)`, the *counts profile* :math:`\log(1 + 10^3 x_g / N)`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from midgd.infer.domain import misfit, surprise
from midgd.nn import CountHead
from midgd.nn.loops import loops_for
from midgd.nn.readout import MILLION, THOUSAND


class Shown(NamedTuple):
    """What n samples show.

    Attributes
    ----------
    denoised
        The denoised profile of all genes of the model, (n, n_genes).
    reliability
        How far the counts of the genes present can be trusted, mean over them, (n,).
    molecules
        Molecules there would be with all genes, (n,).
    misfit, surprise
        How unlike the decoded shares the counts are, (n,), see :mod:`midgd.infer.domain`.
    """

    denoised: Tensor
    reliability: Tensor
    molecules: Tensor
    misfit: Tensor
    surprise: Tensor


def shown_by(
    head: CountHead, logits: Tensor, counts: Tensor, genes: Tensor | None = None, out: Tensor | None = None
) -> Shown:
    """What samples show, given their decoded shares.

    Parameters
    ----------
    head
        The mRNA head.
    logits
        Of the shares of all genes of the model, (n, n_genes).
    counts
        Counts of the genes present, (n, G).
    genes
        Their indices, (G,); None when all are present.
    out
        (n, n_genes) memory that the profile may be in.

    Returns
    -------
    The samples, in their order.
    """
    loops = loops_for(head)
    if loops is not None and logits.dtype == torch.float32:
        denoised = torch.empty_like(logits) if out is None else out
        return Shown(denoised, *loops.shown(logits, counts, genes, denoised))
    log_share = torch.log_softmax(logits, 1)
    of_present = log_share if genes is None else torch.log_softmax(logits[:, genes], 1)
    unlike = misfit(head, of_present, counts, genes), surprise(of_present, counts)
    share = log_share.exp()
    present = share if genes is None else share[:, genes]
    # The library counts the genes present only: these are the molecules there would be with all.
    molecules = counts.sum(1, keepdim=True) / present.sum(1, keepdim=True)
    factor, reliability = head.posterior_rate(counts, present * molecules, genes)
    # In place: new memory costs more than the arithmetic.
    rate = share.mul_(factor) if genes is None else share.index_copy_(1, genes, present * factor)
    return Shown(rate.mul_(MILLION).log1p_(), reliability, molecules[:, 0], *unlike)


def counts_profiles(
    head: CountHead,
    logits: Tensor,
    counts: Tensor,
    molecules: Tensor,
    genes: Tensor | None = None,
    rows: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Counts profiles of samples, all of them or some.

    Parameters
    ----------
    head, logits, counts, genes
        See :func:`shown_by`.
    molecules
        (n,) molecules there would be with all genes.
    rows
        (k,) which samples; None for all.
    out
        (k or more, n_genes) memory that the profiles may be in.

    Returns
    -------
    (k, n_genes).
    """
    rows = torch.arange(len(logits), device=logits.device) if rows is None else rows
    loops = loops_for(head)
    if loops is not None and logits.dtype == torch.float32:
        out = torch.empty_like(logits) if out is None else out
        return loops.counts_profiles(logits, counts, molecules, genes, rows, out)
    return counts_profile(torch.softmax(logits[rows], 1), counts[rows], molecules[rows, None], genes)


def counts_profile(share: Tensor, counts: Tensor, molecules: Tensor, genes: Tensor | None = None) -> Tensor:
    r"""log1p counts per thousand of all genes, (n, n_genes).

    A gene that is not present gets about what a Poisson draw of mean :math:`m = N p` would show: with probability
    :math:`1 - e^{-m}` a count, of mean :math:`m / (1 - e^{-m})`. It is not the chance of the head, in which rates
    scatter around the decoded ones: the map was trained on Poisson draws from decoded rates.

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

    Returns
    -------
    (n, n_genes), float32.
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
