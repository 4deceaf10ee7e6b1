r"""The arithmetic of the negative binomial head as loops over genes, for CPUs.

In torch every operation of a formula reads and writes arrays of samples by genes, and that memory costs more than the
products of matrices. In a loop a gene stays in the registers of the processor until it is done. What is computed is
what the head, :mod:`midgd.infer.profiles` and :mod:`midgd.infer.domain` compute; tests compare them.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse, special
from torch import Tensor

from midgd.nn.count_head import CountHead
from midgd.nn.heads import NegativeBinomialHead


class Sums(NamedTuple):
    """What n samples show of themselves, summed over their genes, (n,) each; see :class:`midgd.infer.profiles.Shown`.

    Attributes
    ----------
    reliability
        Mean over the genes present.
    molecules
        There would be with all genes.
    misfit, surprise
        See :mod:`midgd.infer.domain`.
    """

    reliability: Tensor
    molecules: Tensor
    misfit: Tensor
    surprise: Tensor


class Loops:
    """Loops for one head; arrays are float32, on the CPU, and have their genes side by side.

    Parameters
    ----------
    compiled
        :mod:`midgd.nn._compiled`.
    dispersion
        (G,) of a negative binomial head.
    """

    def __init__(self, compiled: ModuleType, dispersion: Tensor) -> None:
        self.compiled = compiled
        self.dispersion = dispersion.detach().numpy()

    @functools.cached_property
    def lgamma(self) -> NDArray[np.float64]:
        """Log Gamma functions of the dispersions, (G,)."""
        return np.asarray(special.gammaln(self.dispersion.astype(np.float64)))

    def only(self, measured: Tensor) -> Loops:
        """The same for some of the genes.

        Parameters
        ----------
        measured
            (n_measured,) their indices.

        Returns
        -------
        Loops for arrays (n, n_measured).
        """
        part = Loops(self.compiled, torch.from_numpy(self.dispersion)[measured])
        part.lgamma = self.lgamma[measured.numpy()]
        return part

    def log_likelihood(self, logits: Tensor, counts: Tensor, library: Tensor) -> tuple[Tensor, Tensor]:
        r"""Log likelihood of samples, up to a constant, and its gradient by the logits of the shares.

        With :math:`p = \mathrm{softmax}(a)` and the odds :math:`o = N p / r` it is
        :math:`L = -\sum_g x \log(1 + 1/o) + r \log(1 + o)`, as in
        :func:`midgd.nn.likelihoods.negative_binomial_log_prob`. Its derivative by the log means is
        :math:`s = (x - N p) / (1 + o)`, and through the softmax :math:`\partial L / \partial a = s - p \sum_g s`.

        Parameters
        ----------
        logits
            (n, G); the gradient takes their place.
        counts
            (n, G).
        library
            (n, 1) their sums.

        Returns
        -------
        The log likelihood, (n,), and the gradient, (n, G).
        """
        value = logits.new_empty(len(logits))
        of_library = library[:, 0].contiguous().numpy()
        self.compiled.log_likelihood(logits.numpy(), counts.numpy(), of_library, self.dispersion, value.numpy())
        return value, logits

    def log_binomial(self, counts: Tensor) -> Tensor:
        r"""What :meth:`log_likelihood` leaves out, :math:`\sum_g \log \binom{x + r - 1}{x}`.

        Parameters
        ----------
        counts
            (n, G).

        Returns
        -------
        (n,), in double precision.
        """
        value = np.empty(len(counts))
        self.compiled.lgamma_ratios(counts.numpy(), self.dispersion, value)
        return torch.from_numpy(value - self.lgamma.sum())

    def dispersion_score(self, logits: Tensor, counts: Tensor, library: Tensor) -> Tensor:
        """Derivatives of the log likelihood of all samples together by the dispersions.

        Parameters
        ----------
        logits, counts
            (n, G).
        library
            (n, 1) sums of the counts.

        Returns
        -------
        (G,).
        """
        score = counts.new_empty(counts.shape[1])
        of_library = library[:, 0].contiguous().numpy()
        self.compiled.dispersion_score(logits.numpy(), counts.numpy(), of_library, self.dispersion, score.numpy())
        return score

    def damped_score(self, counts: Tensor, library: Tensor, share: Tensor, out: Tensor) -> Tensor:
        """:meth:`midgd.nn.CountHead.damped_score` where the decoded shares of all samples are the same.

        Parameters
        ----------
        counts
            (n, G).
        library
            (n, 1) their sums.
        share
            (G,) the decoded shares.
        out
            (n, G) memory for the result.

        Returns
        -------
        (n, G).
        """
        of_library = library[:, 0].contiguous().numpy()
        self.compiled.damped_score(counts.numpy(), of_library, share.numpy(), self.dispersion, out.numpy())
        return out

    def shown(self, logits: Tensor, counts: Tensor, genes: Tensor | None, out: Tensor) -> Sums:
        """The denoised profiles of samples, and sums over the genes present.

        Parameters
        ----------
        logits
            Of the shares of all genes of the model, (n, n_genes).
        counts
            Of the genes present, (n, G).
        genes
            Their indices, (G,); None when all are present.
        out
            (n, n_genes) memory for the profiles.

        Returns
        -------
        The sums.
        """
        present = torch.arange(logits.shape[1]) if genes is None else genes
        sums = logits.new_empty(len(logits), len(Sums._fields))
        arrays = (logits, counts, counts.sum(1), present)
        self.compiled.shown(*(array.numpy() for array in arrays), self.dispersion, out.numpy(), sums.numpy())
        return Sums(*sums.unbind(1))

    def counts_profiles(
        self, logits: Tensor, counts: Tensor, molecules: Tensor, genes: Tensor | None, rows: Tensor, out: Tensor
    ) -> Tensor:
        """Counts profiles of some samples, see :func:`midgd.infer.profiles.counts_profile`.

        Parameters
        ----------
        logits, counts, genes
            See :meth:`shown`.
        molecules
            (n,) molecules there would be with all genes.
        rows
            (k,) which samples.
        out
            (k or more, n_genes) memory for the profiles.

        Returns
        -------
        (k, n_genes).
        """
        present = torch.arange(logits.shape[1]) if genes is None else genes
        arrays = (logits, counts, molecules.contiguous(), present, rows, out)
        self.compiled.counts_profiles(*(array.numpy() for array in arrays))
        return out[: len(rows)]


def among(profile: Tensor, genes: Tensor, scale: float) -> Tensor | None:
    """Some genes of log1p profiles, scaled among themselves; see :meth:`midgd.nn.ProfileReadout.core_profile`.

    Parameters
    ----------
    profile
        (n, n_genes) log1p profiles.
    genes
        (n_core,) indices.
    scale
        What the rates of the genes shall sum to.

    Returns
    -------
    (n, n_core) log1p profiles; None where torch computes.
    """
    compiled = _compiled() if _fits(profile) else None
    if compiled is None:
        return None
    out = profile.new_empty(len(profile), len(genes))
    compiled.among(profile.numpy(), genes.numpy(), scale, out.numpy())
    return out


def chosen_products(vectors: Tensor, matrices: Tensor, chosen: Tensor) -> Tensor:
    """Each vector times a matrix of its own.

    Parameters
    ----------
    vectors
        (n, d).
    matrices
        (n_matrices, d, d), symmetric.
    chosen
        (n,) which of them.

    Returns
    -------
    (n, d).
    """
    compiled = _compiled() if _fits(vectors) else None
    if compiled is None:
        return torch.bmm(vectors[:, None], matrices[chosen])[:, 0]
    out = torch.empty_like(vectors)
    compiled.chosen_products(vectors.numpy(), matrices.numpy(), chosen.numpy(), out.numpy())
    return out


def has_repeats(counts: sparse.csr_matrix) -> bool:
    """Whether a row has several entries for one gene.

    Parameters
    ----------
    counts
        (n, G), entries of a row in any order.

    Returns
    -------
    Without numba also True where entries are not in order.
    """
    compiled = _compiled()
    if compiled is None:
        return not counts.has_canonical_format
    return bool(compiled.has_repeats(counts.indices, counts.indptr, counts.shape[1]))


def fill(source: sparse.csr_matrix, rows: slice, slots: NDArray[np.int64], counts: NDArray[Any]) -> NDArray[np.float64]:
    """Write rows of a sparse matrix into an array.

    Parameters
    ----------
    source
        Sparse matrix; several entries of one gene add up.
    rows
        Which of its rows, n of them.
    slots
        (n,) where they go.
    counts
        (n_slots, G) the array.

    Returns
    -------
    (n,) the sums of the rows.
    """
    library = np.zeros(len(slots))
    compiled = _compiled()
    if compiled is not None:
        of_rows = source.indptr[rows.start : rows.stop + 1]
        compiled.fill(source.data, source.indices, of_rows, slots, counts, library)
    else:
        counts[slots] = source[rows].toarray()
        library += counts[slots].sum(1, dtype=np.float64)
    return library


def _fits(array: Tensor) -> bool:
    return array.device.type == "cpu" and array.dtype == torch.float32 and not array.requires_grad


def loops_for(head: CountHead) -> Loops | None:
    """Loops for a head, where there are some.

    Parameters
    ----------
    head
        Of the mRNA.

    Returns
    -------
    None where torch computes: other likelihoods, precisions and devices, and without numba.
    """
    if type(head) is not NegativeBinomialHead or not _fits(head.bias.detach()):
        return None
    compiled = _compiled()
    return None if compiled is None else Loops(compiled, head.dispersion)


@functools.cache
def _compiled() -> ModuleType | None:
    """The compiled loops, or None where numba cannot be imported, as with a numpy that is too new for it."""
    try:
        from midgd.nn import _compiled as compiled  # numba takes a third of a second to import
    except (ImportError, AttributeError):
        return None
    return compiled
