r"""How many molecules counts can stand for.

The likelihood takes every count for a molecule. In protocols that read whole transcripts and mark no molecules
(Smart-seq2), and in tables that were scaled to a million, one molecule stands for a hundred counts, and a cell of 3,000
molecules would be trusted like a tissue. The number of genes that were found tells: of N molecules of shares p,

.. math:: E[D(N)] = \sum_g 1 - P(x_g = 0 \mid N p_g)

genes have a count. A row with far more counts than its number of genes asks for is scaled down, its profile kept.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from midgd.infer.objective import LogPosterior
from midgd.infer.parallel import Counts
from midgd.nn.loops import has_repeats

# Numbers of molecules for which the number of genes is worked out.
MOLECULES = np.logspace(0, 6, 13)
# Part of the genes from which on the limit fades, and from which on there is none: where most genes have a count, the
# others are silent, and their number says nothing of the molecules. Bulk samples have 70 to 100 % of the genes of any
# panel tried, single cells read by Smart-seq2 10 to 50 %.
MANY_GENES, MOST_GENES = 0.5, 0.75
# The part of the components of the prior that show fewer genes than the number a row is compared with, and how many
# times the molecules it may have. No cell or spot with UMIs (CITE-seq and 68k PBMCs, five breast sections) is scaled
# down then; the median blood cell of Smart-seq2 (Zanini 2018) keeps 10,000 of 270,000 counts. Its answers were alike
# with 5,000 to 10,000 (docs/lab_notebook.md, "Reads are not molecules").
FEWEST_GENES, TIMES_MORE = 0.05, 4.0
# Variance of the number of reads of a molecule, relative to the square of its mean. With 0 a third of the cells of
# Zanini 2018 and 8 % of those of Aizarani 2019 had scores above 0.5, with 4 and with 1,000 a fifth and 1 %; as many
# cells with permuted genes were found.
SCATTER_OF_READS = 4.0


class MoleculeLimit:
    """The most molecules that rows can have, by their number of genes.

    Parameters
    ----------
    posterior
        Of the genes present in the query.
    """

    def __init__(self, posterior: LogPosterior) -> None:
        self.posterior, self.n_present = posterior, posterior.head.n_features

    @cached_property
    @torch.no_grad()
    def log_genes(self) -> NDArray[np.float64]:
        """Natural log of the number of genes at each of :data:`MOLECULES`; .2 s, made when a row asks."""
        posterior = self.posterior
        log_share = posterior.log_share(posterior.prior.means)
        none, found = torch.zeros_like(log_share), []
        for molecules in MOLECULES:
            missed = posterior.head.log_prob(none, log_share + float(np.log(molecules))).exp().sum(1)
            found.append(self.n_present - missed.cpu().double())
        fewest = torch.quantile(torch.stack(found), FEWEST_GENES, 1)
        return np.maximum.accumulate(fewest.clamp_min(1e-6).log().numpy())

    def of(self, n_genes: NDArray[np.integer]) -> NDArray[np.float64]:
        """Most molecules of rows.

        Parameters
        ----------
        n_genes
            (n,) genes with a count.

        Returns
        -------
        (n,), infinite where most genes have a count.
        """
        part = n_genes / self.n_present
        silent = np.clip((MOST_GENES - part) / (MOST_GENES - MANY_GENES), 0.0, 1.0)
        log_molecules = np.interp(np.log(np.maximum(n_genes, 1)), self.log_genes, np.log(MOLECULES))
        with np.errstate(divide="ignore"):
            return TIMES_MORE * np.exp(log_molecules) / silent

    def kept(self, counts: Counts) -> NDArray[np.float64]:
        """The part of each count that is taken for molecules.

        Parameters
        ----------
        counts
            (n, G) counts of the genes present.

        Returns
        -------
        (n,), above 0, at most 1.
        """
        counts = merged(counts)
        if isinstance(counts, sparse.csr_matrix):
            n_genes = np.diff(counts.indptr) if (counts.data > 0).all() else np.asarray((counts > 0).sum(1)).ravel()
            library = np.asarray(counts.sum(1, dtype=np.float64)).ravel()
        else:
            n_genes, library = np.count_nonzero(counts, axis=1), counts.sum(1, dtype=np.float64)
        kept = np.ones(len(library))
        # Molecules are at least as many as the genes they show, so the limit is at least this high.
        many = library > TIMES_MORE * np.maximum(n_genes, 1)
        if many.any():
            kept[many] = np.minimum(1.0, self.of(n_genes[many]) / library[many])
        return kept


def misfit_of_reads(kept: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much scattering numbers of reads raise the misfit of rows (:func:`midgd.infer.domain.misfit`).

    Parameters
    ----------
    kept
        (n,) part of each count that is taken for molecules.

    Returns
    -------
    (n,) in nats, 0 where counts are molecules.
    """
    return np.log1p(SCATTER_OF_READS * (1.0 - kept))


def scaled(counts: Counts, kept: NDArray[np.float64]) -> Counts:
    """Counts of which each row keeps a part; the same object where all are kept.

    Parameters
    ----------
    counts
        (n, G), dense or CSR.
    kept
        (n,) from 0 to 1.

    Returns
    -------
    (n, G) float32.
    """
    if (kept == 1.0).all():
        return counts
    if isinstance(counts, sparse.csr_matrix):
        parts = np.repeat(kept, np.diff(counts.indptr))
        return sparse.csr_matrix(
            ((counts.data * parts).astype(np.float32), counts.indices, counts.indptr), counts.shape
        )
    return (counts * kept[:, None]).astype(np.float32)


def merged(counts: Counts) -> Counts:
    """Counts in which a gene of a row has one entry: several are its parts, as everywhere in scipy.

    Parameters
    ----------
    counts
        (n, G), dense or CSR.

    Returns
    -------
    (n, G); the same object where nothing had to be merged.
    """
    if isinstance(counts, sparse.csr_matrix) and has_repeats(counts):
        counts = counts.copy()
        counts.sum_duplicates()
    return counts
