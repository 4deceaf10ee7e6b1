"""What a real query lacks: depth, and genes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Order = Literal["random", "abundant"]


def downsample(counts: NDArray[Any], depth: float, rng: np.random.Generator) -> NDArray[Any]:
    """Counts as if each sample had been sequenced to ``depth`` UMIs.

    Integer counts are downsampled binomially: each molecule is kept with chance ``depth / total``, so a
    sample below ``depth`` stays as it is. Values that are no whole numbers (TPM) have no molecules to
    keep: they are drawn as Poisson counts with the same mean, whatever their total. The training draws Poisson
    counts instead (:func:`midgd.train.downsampling.downsample`).

    Parameters
    ----------
    counts
        ``(n_samples, n_genes)``, non-negative.
    depth
        Expected total per sample afterwards, positive.
    rng
        Source of randomness.

    Returns
    -------
    Counts of the same shape, int64.
    """
    if not depth > 0:
        raise ValueError(f"downsample: depth is {depth}, expected a positive number of UMIs.")
    total = counts.sum(axis=1, keepdims=True, dtype=np.float64)
    rate = depth / np.where(total > 0, total, 1.0)
    whole = np.issubdtype(counts.dtype, np.integer) or bool(np.all(counts == np.rint(counts)))
    if whole:
        return rng.binomial(counts.astype(np.int64), np.minimum(rate, 1.0))
    return rng.poisson(counts * rate)


def genes_kept(
    x: NDArray[Any], fraction_missing: float, order: Order, rng: np.random.Generator | None = None
) -> NDArray[np.bool_]:
    """Which genes are left when a fraction is missing.

    Parameters
    ----------
    x
        ``(n_samples, n_genes)`` training counts, which define abundance.
    fraction_missing
        Between 0 and 1.
    order
        ``"random"`` (needs ``rng``), or ``"abundant"``: the genes with the highest mean share go first.
    rng
        Source of randomness.

    Returns
    -------
    ``(n_genes,)`` True for the genes present; at least one is.
    """
    if not 0 <= fraction_missing < 1:
        raise ValueError(f"genes_kept: fraction_missing is {fraction_missing}, expected 0 <= fraction < 1.")
    n = x.shape[1]
    if order == "abundant":
        total = np.maximum(x.sum(axis=1, keepdims=True, dtype=np.float64), 1e-12)
        ranked = np.argsort(-(x / total).mean(axis=0), kind="stable")
    elif order == "random":
        if rng is None:
            raise TypeError("genes_kept: order='random' needs rng, a numpy Generator.")
        ranked = rng.permutation(n)
    else:
        raise ValueError(f"genes_kept: unknown order {order!r}; choose 'random' or 'abundant'.")
    kept = np.ones(n, dtype=bool)
    kept[ranked[: min(round(fraction_missing * n), n - 1)]] = False
    return kept
