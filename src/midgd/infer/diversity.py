"""Whether a sample shows as many genes as a tissue does.

The readout's answer from counts is learned on tissues, mixtures of many kinds of cells, and is better than the
decoder's where the tissue is new. On single cells it is worse: across tissues all immune genes come and go together,
which says nothing about one immune cell. A cell gives itself away by the few genes that it expresses: at the same
number of molecules it shows a half to four fifths of the genes that a tissue shows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from midgd.nn import CountHead

CELL, TISSUE = 0.8, 0.9  # genes seen, as a fraction of those expected: up to the first a cell, from the second a tissue
STEP, N_STEPS = 0.25, 80  # natural logarithms of molecules: up to 4e8


class Diversity:
    """Compares the number of genes that samples show with that expected of a tissue of the same depth.

    Parameters
    ----------
    head
        The mRNA head, for its dispersions.
    log_share
        log shares of a typical tissue over the genes present, (G,).
    genes
        Indices of the genes present, (G,).
    """

    def __init__(self, head: CountHead, log_share: Tensor, genes: Tensor) -> None:
        molecules = torch.exp(STEP * torch.arange(N_STEPS, device=log_share.device))
        mean = molecules[:, None] * torch.softmax(log_share, 0)
        dispersion = head.dispersion[genes]
        unseen = torch.pow(1.0 + mean / dispersion, -dispersion)  # a negative binomial zero
        self.expected = (1.0 - unseen).sum(1)

    def __call__(self, counts: Tensor) -> Tensor:
        """From 0 for a cell to 1 for a tissue, (n,), for counts of the genes present, (n, G)."""
        position = (counts.sum(1).clamp_min(1.0).log() / STEP).clamp_max(N_STEPS - 1.001)
        below = position.long()
        expected = torch.lerp(self.expected[below], self.expected[below + 1], position - below)
        return (((counts > 0).sum(1) / expected - CELL) / (TISSUE - CELL)).clamp(0.0, 1.0)
