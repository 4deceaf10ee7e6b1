r"""Zero-shot miRNAs: linear maps from what a sample shows to miRNAs that were never measured.

.. math:: \hat y_{im} = b_m + \sum_k \lambda_{km} z_{ik} + \sum_o s_{om} y_{io} + \sum_g w_{gm} x_{ig}, \qquad
          z_{ik} = \sum_o B_{ok} y_{io}

:math:`y_{io}` is log1p CPM of output o as the reference infers it and :math:`x_{ig}` the denoised profile of gene g
(:mod:`midgd.infer.profiles`). :mod:`midgd.zeroshot.fit` finds the weights; :math:`s` is not 0 for relatives of m only,
:math:`w` for its host gene and the genes near it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

#: Expected accuracies of zero-shot miRNAs: across tissue samples, across kinds of cells.
ACCURACIES = ("spearman_bulk", "spearman_cells_left_out")


@dataclass(frozen=True)
class ZeroShotMaps:
    """Weights of M miRNAs in K factors of the outputs, in single outputs and in genes.

    Parameters
    ----------
    basis
        (n_outputs, K) factors of log1p CPM of the outputs of the reference: of stem-loops, then of mature miRNAs.
    loadings
        (K, M) weights of the factors.
    intercept
        (M,) log1p CPM at 0.
    relative, relative_of, relative_weight
        Output, miRNA and weight, three arrays of one length.
    gene, gene_of, gene_weight
        Gene, miRNA and weight, three arrays of one length.
    sd, cell_sd
        (5, M) standard deviations of log1p CPM in tissues and in cells where about each of
        :data:`midgd.infer.uncertainty.TAIL_LEVELS` is predicted, from miRNAs that were left out.
    """

    basis: Floats
    loadings: Floats
    intercept: Floats
    relative: Indices
    relative_of: Indices
    relative_weight: Floats
    gene: Indices
    gene_of: Indices
    gene_weight: Floats
    sd: Floats
    cell_sd: Floats

    def __len__(self) -> int:
        return len(self.intercept)

    def __call__(self, profile: Tensor, outputs: Tensor) -> Tensor:
        """log1p CPM of the miRNAs, (n, M).

        Parameters
        ----------
        profile
            Denoised profiles, (n, n_genes).
        outputs
            log1p CPM of all outputs of the reference, (n, n_outputs).
        """
        device = outputs.device
        answer = torch.from_numpy(self.intercept).to(device) + (
            outputs @ torch.from_numpy(self.basis).to(device) @ torch.from_numpy(self.loadings).to(device)
        )
        for values, index, of, weight in (
            (outputs, self.relative, self.relative_of, self.relative_weight),
            (profile, self.gene, self.gene_of, self.gene_weight),
        ):
            terms = values[:, torch.from_numpy(index).to(device)] * torch.from_numpy(weight).to(device)
            answer.index_add_(1, torch.from_numpy(of).to(device), terms)
        return answer.clamp_min_(0.0)

    def take(self, chosen: NDArray[np.int64]) -> ZeroShotMaps:
        """The maps of some of the miRNAs, in this order, each once."""
        place = np.full(len(self), -1)
        place[chosen] = np.arange(len(chosen))
        relatives, genes = place[self.relative_of] >= 0, place[self.gene_of] >= 0
        return ZeroShotMaps(
            self.basis,
            self.loadings[:, chosen],
            self.intercept[chosen],
            self.relative[relatives],
            place[self.relative_of[relatives]],
            self.relative_weight[relatives],
            self.gene[genes],
            place[self.gene_of[genes]],
            self.gene_weight[genes],
            self.sd[:, chosen],
            self.cell_sd[:, chosen],
        )
