"""How much each part of the answer counts: every mixing weight, from what a sample shows of itself."""

from __future__ import annotations

import torch
from torch import Tensor

from midgd.nn.readout import Weights

# Molecules at which the map from counts has half of its highest weight, which is half of the shallow answer.
HALF_WEIGHT = 1e3
# Highest weight of the map from counts: it and the map from the denoised profile then count alike.
MAX_COUNTS = 0.5
# How far beyond the core a query must go to be treated as having all genes.
ENOUGH_OTHERS = 0.5
# Answers from all genes and from core genes then count alike: their mean was better than either.
MAX_ALL_GENES = 0.5
# Probability below which a kind adds nothing. Measured on sections of breast tumours: without it the mean AUROC of
# stromal miRNAs in one of five was .62 instead of .77 (.77 without kinds as well); sorted blood cells and tumours stay
# as they are.
LEAST_KIND = 0.15


def mixing_weights(
    reliability: Tensor,
    molecules: Tensor,
    other_genes: float | None = None,
    kinds: Tensor | None = None,
    cell: Tensor | None = None,
) -> Weights:
    """The weights of all parts of the answer for n samples.

    The answer begins as a mean of linear maps from expression to miRNA, and four questions decide how they are mixed:

    1. *Can single genes be trusted?* In a tissue of millions of reads the count of a gene is reliable; in a cell of a
       thousand molecules most of it is chance. The map learned on deep samples gets the mean reliability of the genes
       as its weight (near 1 for bulk, near 0 for a cell), the shallow answer gets the rest.
    2. *How many molecules are there?* The shallow answer is itself a mean of two maps: one from the profile after the
       decoder has removed the noise, one from the counts as they are, for tissues that the decoder has not seen. The
       one from counts gets nothing without molecules, a quarter at 1,000, half at most; and nothing for what is
       surely a cell of a known kind, for it mixes what tissues have with what cells have.
    3. *Does the query go beyond the genes that all training samples measured?* These are the core genes. With at least
       half of the other genes, or if at least half of its own are other ones (a panel), the answer is the mean of one
       from all genes and one from the core genes; with fewer it moves to the core.
    4. *Is the sample clearly of a known kind?* A kind of cell or tissue adds what the maps are known to miss of it, in
       proportion to its probability above 15 %. What looks a little like many kinds is none of them.

    Parameters
    ----------
    reliability
        Mean reliability of the genes, (n,), see :meth:`midgd.nn.CountHead.posterior_rate`.
    molecules
        Molecules there would be with all genes of the model, (n,).
    other_genes
        How far the query goes beyond the core, from 0 to 1, see :meth:`midgd.nn.ProfileReadout.part_of_others`; None
        for a readout without core genes, which answers from all genes alone.
    kinds
        Probabilities of the kinds, (n, n_kinds); None for a reference without kinds.
    cell
        Probabilities of being a cell of a known kind, (n,); None for a reference without kinds.

    Returns
    -------
    Each weight between 0 and 1.
    """
    counts = MAX_COUNTS * (molecules / (molecules + HALF_WEIGHT))
    if cell is not None:
        # Measured, FANTOM5 against Juzenas and back: stromal miRNAs in lymphocytes fall by .6 log2, fold differences
        # between kinds stay (.594 to .600, .602 to .593).
        counts = counts * (1.0 - cell)
    all_genes = 1.0 if other_genes is None else MAX_ALL_GENES * min(1.0, other_genes / ENOUGH_OTHERS)
    above = None if kinds is None else (kinds - LEAST_KIND).clamp_min(0.0) / (1.0 - LEAST_KIND)
    return Weights(reliability, counts, all_genes, above)


#: What the columns of :func:`parts_of_answer` are.
PARTS = ("deep_map", "shallow_map", "counts_map", "all_genes", "kinds")


def parts_of_answer(weights: Weights, *, with_counts: bool) -> Tensor:
    """The weights as parts of the answer, (n, 5), in the order of :data:`PARTS`; the first three sum to 1.

    Parameters
    ----------
    weights
        Of :func:`mixing_weights`.
    with_counts
        Whether the readout has maps from counts; their part is 0 otherwise.

    Returns
    -------
    (n, 5), each from 0 to 1.
    """
    deep = weights.deep
    counts = (1.0 - deep) * weights.counts if with_counts else torch.zeros_like(deep)
    kinds = torch.zeros_like(deep) if weights.kinds is None else weights.kinds.sum(1)
    return torch.stack([deep, 1.0 - deep - counts, counts, torch.full_like(deep, weights.all_genes), kinds], 1)
