"""How much each part of the answer counts: every mixing weight, from what a sample shows of itself."""

from __future__ import annotations

import torch
from torch import Tensor

from midgd.nn.readout import Weights

# Molecules at which the map from counts has half of its highest weight. Chosen by hand.
HALF_WEIGHT = 1e3
# Highest weight of the map from counts: it and the map from the denoised profile then count alike. Measured at 10,000
# counts: the mean of both was better than either (docs/lab_notebook.md, "Map from counts").
MAX_COUNTS = 0.5
# Weight of the map from counts up to which it is left out, and from which on it has all of it. Of PBMCs (10x) 99 % have
# less than .005, which a map that differs by a whole log unit would shift by .005; without it and its profile the rest
# of their answer takes a fifth less time.
NEGLIGIBLE = (5e-3, 1e-2)
# How far beyond the core a query must go to be treated as having all genes. Chosen by hand.
ENOUGH_OTHERS = 0.5
# Answers from all genes and from core genes then count alike: their mean was better than either.
MAX_ALL_GENES = 0.5
# Probability up to which a kind adds nothing, and from which on it adds all that it has: kinds of cells, and tissues.
# Cells: without a floor the mean AUROC of stromal miRNAs in one of five sections of breast tumours was .62 instead of
# .77; with 1 instead of .85, lymphocytes had .1 log2 more of stromal miRNAs. Tissues, (.15, .85) / (.7, 1) / (.85, 1):
# validation patients at 1,000 counts .640 / .639 / .639, fold differences between normal tissues at 1,000 counts .91 /
# .82 / .79, breast cancer where no model had seen it .367 / .375 / .377 (at 5,000 counts .279 / .297 / .301).
SURE_CELLS, SURE_TISSUES = (0.15, 0.85), (0.7, 1.0)
# Likeness up to which a sample is of a kind that the reference does not know, and from which on it is of a known one.
# Chosen on lineages other than blood: of cells of known kinds 5 % have less than .54, 10 % less than .85; endothelium
# left out has .49 in the median, liver .65, epithelium .75; breast cancer left out .28, uveal melanoma -.07. With all
# blood left out, correlations of fold differences between blood cells rose from .15 to .29 (.10 to .20 at 300 counts);
# of known blood cells they fell from .90 to .89. For tissues (.35, .55) had the same answers to normal tissues and
# validation patients within .001, but breast cancer, where no model had seen it, .367 instead of .377.
LIKE = (0.75, 0.85)


def mixing_weights(
    reliability: Tensor,
    molecules: Tensor,
    other_genes: float | None = None,
    kinds: Tensor | None = None,
    is_cell: Tensor | None = None,
    likeness: Tensor | None = None,
) -> Weights:
    """The weights of all parts of the answer for n samples.

    The answer begins as a mean of linear maps from expression to miRNA, and five questions decide how they are mixed:

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
    4. *Is the sample clearly of a known kind?* A kind of cell adds what the maps are known to miss of it: all from a
       probability of 85 % on, nothing below 15 %. What looks a little like many kinds is none of them. A tissue adds
       something from 70 % on only: the maps know tissues well, and one never seen is often taken for another.
    5. *Is it like that kind at all?* Probabilities add up to 1 for a sample of an unknown kind too. Kinds add less to a
       sample that lies in another direction than they do, and nothing below a cosine of 0.75.

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
    is_cell
        Which kinds are cells, (n_kinds,) of 0 and 1; None for a reference without kinds.
    likeness
        How like the kinds that it is taken for each sample is, (n,), see :meth:`midgd.nn.KindExperts.likeness`; None if
        the reference cannot tell.

    Returns
    -------
    Each weight between 0 and 1.
    """
    counts = MAX_COUNTS * (molecules / (molecules + HALF_WEIGHT))
    all_genes = 1.0 if other_genes is None else MAX_ALL_GENES * min(1.0, other_genes / ENOUGH_OTHERS)
    above = None
    if kinds is not None and is_cell is not None:
        # Measured, FANTOM5 against Juzenas and back: stromal miRNAs in lymphocytes fall by .6 log2, fold differences
        # between kinds stay (.594 to .600, .602 to .593).
        counts = counts * (1.0 - kinds @ is_cell)
        counts = counts * _between(counts, *NEGLIGIBLE)
        above = torch.where(is_cell > 0, _between(kinds, *SURE_CELLS), _between(kinds, *SURE_TISSUES))
        if likeness is not None:
            above = above * _between(likeness, *LIKE)[:, None]
    return Weights(reliability, counts, all_genes, above)


def _between(values: Tensor, low: float, high: float) -> Tensor:
    """0 up to ``low``, 1 from ``high`` on, linear between them."""
    return ((values - low) / (high - low)).clamp(0.0, 1.0)


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
