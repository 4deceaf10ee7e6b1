"""The same cells on other scales."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
from scipy import sparse

from .table import OTHER, REFUSED, SAME, WARNED, Given, Input, with_x

Array = np.ndarray
NOISE = np.random.default_rng(0).beta(2, 8, (50, 765)).astype(np.float32)


def values(change: Callable[[Array], Array]) -> Callable[[ad.AnnData, Path], ad.AnnData]:
    return lambda few, _: with_x(few, sparse.csr_matrix(change(few.X.toarray().astype(np.float64))))


def to_depth(x: Array, depth: float | None = 1e4) -> Array:
    total = x.sum(axis=1, keepdims=True)
    return x / total * (np.median(total) if depth is None else depth)


def lengths(x: Array) -> Array:
    return x / np.random.default_rng(1).lognormal(0.0, 0.7, x.shape[1])


def corrected(x: Array) -> Array:
    return x * (1 - NOISE)


def fewer(x: Array, n: int) -> Array:
    share = np.minimum(1, n / x.sum(axis=1, keepdims=True))
    return np.random.default_rng(0).binomial(x.astype(int), share).astype(float)


def half(first: Callable[[Array], Array], second: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda x: np.vstack([first(x)[:25], second(x)[25:]])


def log1p_norm(x: Array) -> Array:
    return np.log1p(to_depth(x))


def plain(x: Array) -> Array:
    return x


def put(value: float) -> Callable[[Array], Array]:
    def change(x: Array) -> Array:
        x[7, 5] = value
        return x

    return change


def dense(change: Callable[[Array], Array], dtype: Any = np.float64) -> Callable[[ad.AnnData, Path], ad.AnnData]:
    return lambda few, _: with_x(few, change(few.X.toarray().astype(np.float64)).astype(dtype))


def insisting(change: Callable[[Array], Array], counts: str) -> Callable[[ad.AnnData, Path], Given]:
    return lambda few, folder: Given(values(change)(few, folder), {"counts": counts})


def pearson_residuals(x: Array) -> Array:
    mean = x.sum(axis=1, keepdims=True) * x.sum(axis=0) / x.sum() + 1e-9
    return (x - mean) / np.sqrt(mean + mean**2 / 100)


INPUTS = [
    Input("counts", values(plain), SAME),
    Input("counts of shallow cells (50 a cell)", values(lambda x: fewer(x, 50)), OTHER),
    Input("counts of nearly empty cells (5 a cell)", values(lambda x: fewer(x, 5)), WARNED, "not like the samples"),
    Input("a cell without counts among others", values(lambda x: x * (np.arange(50) != 7)[:, None]), WARNED, "1 cells"),
    Input("7 % of each count removed", values(lambda x: x * 0.93), OTHER),
    Input("the same, shallow cells", values(lambda x: fewer(x, 50) * 0.93), OTHER),
    Input("the same, one cell", values(lambda x: x[3:4] * 0.93), OTHER),
    Input("corrected gene by gene (decontX)", values(corrected), OTHER),
    Input("the same, shallow cells", values(lambda x: corrected(fewer(x, 50))), OTHER),
    Input("some counts corrected (SoupX)", values(lambda x: np.where(NOISE > 0.2, x * 0.8, x)), OTHER),
    Input("expected counts (RSEM)", values(lambda x: np.where(NOISE > 0.25, x * (1 + NOISE), x).round(2)), OTHER),
    Input("corrected and raw cells together", values(half(plain, corrected)), OTHER),
    Input("TPM", values(lambda x: to_depth(lengths(x), 1e6)), WARNED, "every row of adata.X sums to about 1e+06"),
    Input("counts per million", values(lambda x: to_depth(x, 1e6)), WARNED, "the depth of each cell is lost"),
    Input("normalised to 10,000", values(to_depth), WARNED, "sums to about 10000: the values are normalised"),
    Input("normalised to the median depth", values(lambda x: to_depth(x, None)), WARNED, "the values are normalised"),
    Input("normalised, then genes selected", values(lambda x: to_depth(x) * (np.arange(765) % 9 > 0)), WARNED, "depth"),
    Input("normalised and rounded", values(lambda x: np.rint(to_depth(x, 1e6))), WARNED, "look normalised and rounded"),
    Input("zeros and ones", values(lambda x: x > 0), WARNED, "The values look binarised"),
    Input("rounded logarithms", values(lambda x: np.rint(log1p_norm(x))), WARNED, "may be rounded logarithms"),
    Input("divided by deviations", values(lambda x: x / (x.std(axis=0) + 1e-9)), WARNED, "scaled to unit variance"),
    Input(
        "log1p of normalised counts", values(log1p_norm), REFUSED, "log-normalised (natural logarithm), first in row 0"
    ),
    Input("log1p of counts", values(np.log1p), REFUSED, "np.expm1(x) gives values in proportion to counts"),
    Input("log1p, median depth", values(lambda x: np.log1p(to_depth(x, None))), REFUSED, "natural logarithm"),
    Input("log1p in half precision", dense(log1p_norm, np.float16), REFUSED, "log-normalised"),
    Input("log1p rounded to two digits", values(lambda x: log1p_norm(x).round(2)), REFUSED, "log-normalised"),
    Input("log1p of shallow cells", values(lambda x: log1p_norm(fewer(x, 50) + 1e-12)), REFUSED, "log-normalised"),
    Input("log1p of one cell", values(lambda x: log1p_norm(x)[:1]), REFUSED, "log-normalised"),
    Input("log1p of corrected counts", values(lambda x: log1p_norm(corrected(x))), REFUSED, "log-normalised"),
    Input("log2(x + 1)", values(lambda x: np.log2(x + 1)), REFUSED, "logarithm to base 2"),
    Input("log2(TPM + 1)", values(lambda x: np.log2(to_depth(lengths(x), 1e6) + 1)), REFUSED, "log-normalised"),
    Input("log10(x + 1)", values(lambda x: np.log10(to_depth(x) + 1)), REFUSED, "logarithm to base 10"),
    Input("logarithms divided by deviations", values(lambda x: unit(log1p_norm(x))), REFUSED, "or scaled"),
    Input("square roots", values(np.sqrt), REFUSED, "like square roots, first in row 0"),
    Input("square roots of normalised counts", values(lambda x: np.sqrt(to_depth(x))), REFUSED, "like square roots"),
    Input("Freeman-Tukey transform", dense(lambda x: np.sqrt(x) + np.sqrt(x + 1)), REFUSED, "Freeman-Tukey"),
    Input("Anscombe transform", dense(lambda x: 2 * np.sqrt(x + 3 / 8)), REFUSED, "Anscombe"),
    Input("fractions of the total", values(lambda x: to_depth(x, 1)), REFUSED, "like fractions of a total"),
    Input("z-scores", dense(lambda x: unit(x - x.mean(axis=0))), REFUSED, "it looks scaled (z-scores), centred"),
    Input("Pearson residuals", dense(pearson_residuals), REFUSED, "regressed or made of residuals"),
    Input("a missing value", dense(put(np.nan)), REFUSED, "has NaN or infinite values, first in row 7"),
    Input("an infinite value", dense(put(np.inf)), REFUSED, "has NaN or infinite values, first in row 7"),
    Input("a negative value", dense(put(-1)), REFUSED, "has negative values, first in row 7"),
    Input("a count of 3e38", dense(put(3e38)), REFUSED, "has values too large to be counts, first in row 7"),
    Input("counts, then logarithms", values(half(plain, log1p_norm)), REFUSED, "mixes scales: row 0"),
    Input("logarithms, then counts", values(half(log1p_norm, plain)), REFUSED, "mixes scales: row 25"),
    Input("counts, then square roots", values(half(plain, np.sqrt)), REFUSED, "like square roots"),
    Input("counts, then counts per million", values(half(plain, lambda x: to_depth(x, 1e6))), REFUSED, "mixes scales"),
    Input(
        "counts, one cell normalised",
        values(lambda x: np.where(np.arange(50)[:, None] == 7, to_depth(x), x)),
        WARNED,
        "most rows hold counts, but 1 look normalised to a common depth, first row 7",
    ),
    Input("counts, then fractions", values(half(plain, lambda x: to_depth(x, 1))), REFUSED, "mixes scales: row 0"),
    Input("logarithms with counts='trust'", insisting(log1p_norm, "trust"), OTHER),
    Input("a missing value with counts='trust'", insisting(put(np.nan), "trust"), REFUSED, "has NaN or infinite"),
    Input("counts='maybe'", insisting(plain, "maybe"), REFUSED, "counts='maybe' must be 'check' or 'trust'"),
]


def unit(x: Array) -> Array:
    return x / (x.std(axis=0) + 1e-9)
