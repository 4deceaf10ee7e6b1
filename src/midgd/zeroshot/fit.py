r"""Fitting zero-shot maps: one ridge regression over all miRNAs and samples, from descriptors to weights.

The standardised log1p CPM of miRNA m in sample i is taken for

.. math:: \sum_t \beta_t \, c_{imt} + d_m^\top A \, z_i

The terms :math:`c` are what the genes and relatives of m show in the sample: its host gene, the genes near it, its arm,
cluster and family mates. :math:`z` are factors of the miRNAs that the reference infers, and the descriptors
:math:`d_m` choose how m goes with them. :math:`\beta` and A are the same for all miRNAs, so they hold for those that
were never measured. There are two regressions: miRNAs without relatives get the one that has never seen any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from midgd.zeroshot.facts import AGE, Descriptors, scaled
from midgd.zeroshot.maps import ZeroShotMaps

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
# Added to standard deviations of genes and miRNAs, log1p CPM: what hardly varies must not be blown up.
SOFT_GENE, SOFT_MIRNA = 0.3, 0.1


@dataclass(frozen=True)
class ZeroShotOptions:
    r"""How zero-shot maps are fitted; chosen on validation samples, whole families and clusters left out.

    Parameters
    ----------
    n_factors
        Factors of the miRNAs; 10 to 40 are alike.
    penalty
        Of A, relative to the sum of squares of a standardised column; 1 to 20 are alike.
    term_penalty
        Of :math:`\beta`.
    gene_penalty
        Of the regression of genes on the factors.
    level_penalty
        Of the regression of the mean and the scale of miRNAs on their descriptors.
    """

    n_factors: int = 20
    penalty: float = 0.05
    term_penalty: float = 0.001
    gene_penalty: float = 0.02
    level_penalty: float = 0.1


@dataclass(frozen=True, eq=False)
class Rows:
    """Training samples: what the reference says of them, and what was measured.

    Parameters
    ----------
    profile
        Denoised profiles, (n, n_genes).
    outputs
        log1p CPM of mature miRNAs that the reference infers, (n, n_outputs).
    target
        The same as measured, (n, n_outputs).
    weight
        (n,) of the samples.
    """

    profile: NDArray[np.float32]
    outputs: NDArray[np.float32]
    target: NDArray[np.float32]
    weight: NDArray[np.float32]


class _Standard(NamedTuple):
    """Standardised columns, and what they were divided by and are centred at."""

    values: Array
    mean: Array
    scale: Array


class _Space(NamedTuple):
    """What terms are made of: standardised genes and outputs, factors, and both on the factors."""

    genes: _Standard
    outputs: _Standard
    factors: Array
    basis: Array  # (n_outputs, K), of standardised outputs
    genes_on_factors: Array  # (K, n_genes)
    visible: Mask


class _Terms(NamedTuple):
    """Weights of the terms in genes, factors and outputs, each (size, M), and descriptors (M, D)."""

    genes: list[sparse.csc_matrix]
    factors: list[Array]
    outputs: list[sparse.csc_matrix]
    descriptors: Array

    def values(self, space: _Space) -> Array:
        """(n, M, n_terms)."""
        columns = [np.asarray((w.T @ space.genes.values.T).T) for w in self.genes]
        columns += [space.factors @ w for w in self.factors]
        columns += [np.asarray((w.T @ space.outputs.values.T).T) for w in self.outputs]
        return np.stack(columns, 2)


def fit_zero_shot(
    rows: Rows,
    known: Descriptors,
    asked: Descriptors,
    visible: Mask,
    kinship: NDArray[np.int64],
    options: ZeroShotOptions | None = None,
    *,
    left_out: Mask | None = None,
) -> ZeroShotMaps:
    """Maps of miRNAs that were not measured; their errors are left at NaN.

    Parameters
    ----------
    rows
        Training samples.
    known
        Descriptors of the mature miRNAs that the reference infers.
    asked
        Descriptors of the others.
    visible
        (n_outputs,) which of the known are expressed: factors, relatives and weights come from these.
    kinship
        (n_outputs,) groups of kin; a group counts as the square root of its size.
    options
        How.
    left_out
        (n_outputs,) known miRNAs that nothing is to be learned from.
    """
    options = options or ZeroShotOptions()
    inside = np.ones(len(visible), bool) if left_out is None else ~left_out
    learned = visible & inside
    space = _space(rows, learned, options)
    target = _standard(rows.target, rows.weight, SOFT_MIRNA)
    counts = np.bincount(kinship[learned], minlength=kinship.max() + 1)[kinship]
    importance = 1.0 / np.sqrt(np.maximum(counts, 1))[learned]
    level = _levels(known, asked, space, target, inside, rows.weight, options)
    has = _has_relatives(asked, learned)
    parts = []
    for with_relatives in (False, True):
        own, new = (_terms(d, space, with_relatives=with_relatives) for d in (known.take(learned), asked))
        beta, a = _pooled_ridge(own, space, target.values[:, learned], rows.weight, importance, options)
        parts.append(_composed(new, beta, a))
    return _maps(parts[0], parts[1], has, level, space)


def _space(rows: Rows, learned: Mask, options: ZeroShotOptions) -> _Space:
    genes = _standard(rows.profile, rows.weight, SOFT_GENE)
    outputs = _standard(rows.outputs, rows.weight, SOFT_MIRNA)
    root, total = np.sqrt(rows.weight)[:, None], rows.weight.sum()
    gram = (outputs.values[:, learned] * root).T @ (outputs.values[:, learned] * root)
    values, vectors = np.linalg.eigh(gram)
    use = np.argsort(values)[::-1][: min(options.n_factors, int(learned.sum()))]
    basis = np.zeros((len(learned), len(use)))
    basis[learned] = vectors[:, use] / np.sqrt(np.maximum(values[use], 1e-12) / total)
    factors = outputs.values @ basis
    weighted = factors * rows.weight[:, None]
    ridge = weighted.T @ factors + total * options.gene_penalty * np.eye(len(use))
    on_factors = np.linalg.solve(ridge, weighted.T @ genes.values)
    return _Space(genes, outputs, factors, basis, on_factors, learned)


def _terms(mirnas: Descriptors, space: _Space, *, with_relatives: bool) -> _Terms:
    host, near, region = (mirnas.genes[name] for name in ("host", "near", "region"))
    flags = [np.asarray(host.sum(0)).ravel() > 0]
    genes = [host, near, *(host @ sparse.diags(mirnas.values[:, column]) for column in AGE)]
    factors = [np.asarray((w.T @ space.genes_on_factors.T).T) for w in (host, near, region)]
    outputs: list[sparse.csc_matrix] = []
    if with_relatives:
        outputs = _visible_relatives(mirnas, space.visible)
        flags += [np.asarray(w.sum(0)).ravel() > 0 for w in outputs]
        genes.append(host @ sparse.diags(np.any(flags[1:], axis=0).astype(float)))
    return _Terms(genes, factors, outputs, np.column_stack([mirnas.values, *flags]).astype(float))


def _visible_relatives(mirnas: Descriptors, visible: Mask) -> list[sparse.csc_matrix]:
    seen = sparse.diags(visible.astype(float))
    return [scaled(sparse.csc_matrix(seen @ w)) for w in mirnas.relatives.values()]


def _has_relatives(mirnas: Descriptors, visible: Mask) -> Mask:
    found = [np.asarray(w.sum(0)).ravel() > 0 for w in _visible_relatives(mirnas, visible)]
    return np.asarray(np.any(found, axis=0))


def _pooled_ridge(
    terms: _Terms,
    space: _Space,
    target: Array,
    weight: NDArray[np.float32],
    importance: Array,
    options: ZeroShotOptions,
) -> tuple[Array, Array]:
    """Beta (n_terms,) and A (D, K) over all samples and miRNAs at once.

    The factors are the same for all miRNAs: their part of the normal equations is a Kronecker product.
    """
    values, z, d = terms.values(space), space.factors, terms.descriptors
    p, k = values.shape[2], z.shape[1]
    weighted = z * weight[:, None]
    right = [np.zeros(p), ((d * importance[:, None]).T @ (target.T @ weighted)).ravel()]
    own, mixed = np.zeros((p, p)), np.zeros((p, d.shape[1] * k))
    for m, share in enumerate(importance):
        column = values[:, m] * (share * weight)[:, None]
        own += column.T @ values[:, m]
        right[0] += column.T @ target[:, m]
        mixed += np.kron(d[m][None], column.T @ z)
    system = np.block([[own, mixed], [mixed.T, np.kron((d * importance[:, None]).T @ d, z.T @ weighted)]])
    size = importance.sum() * weight.sum()
    penalty = np.concatenate([np.full(p, options.term_penalty), np.full(d.shape[1] * k, options.penalty)])
    found = np.linalg.solve(system + np.diag(penalty * size), np.concatenate(right))
    return found[:p], found[p:].reshape(d.shape[1], k)


class _Composed(NamedTuple):
    """Weights of standardised genes (G, M), outputs (O, M) and factors (K, M)."""

    genes: sparse.csc_matrix
    outputs: sparse.csc_matrix | None
    factors: Array


def _composed(terms: _Terms, beta: Array, a: Array) -> _Composed:
    parts = np.split(beta, np.cumsum([len(terms.genes), len(terms.factors)]))
    factors = (terms.descriptors @ a).T + sum(b * w for b, w in zip(parts[1], terms.factors, strict=True))
    genes, outputs = (
        sum((b * w for b, w in zip(own, weights, strict=True)), start=0 * weights[0]) if weights else None
        for own, weights in ((parts[0], terms.genes), (parts[2], terms.outputs))
    )
    return _Composed(genes, outputs, np.asarray(factors))


def _levels(
    known: Descriptors,
    asked: Descriptors,
    space: _Space,
    target: _Standard,
    inside: Mask,
    weight: NDArray[np.float32],
    options: ZeroShotOptions,
) -> tuple[Array, Array]:
    """Mean log1p CPM and scale of the asked miRNAs, (M,) each, by ridge regressions on descriptors and relatives."""

    def design(mirnas: Descriptors) -> Array:
        relatives = _visible_relatives(mirnas, space.visible)
        means = [np.asarray(w.T @ target.mean) for w in relatives]
        flags = [np.asarray(w.sum(0)).ravel() for w in [mirnas.genes["host"], *relatives]]
        return np.column_stack([mirnas.values, *flags, *means])

    x, new = design(known.take(inside)), design(asked)
    y = np.column_stack([target.mean, np.log(target.scale)])[inside]
    penalty = options.level_penalty * len(x) * np.eye(x.shape[1])
    penalty[0, 0] = 0.0  # the constant
    found = new @ np.linalg.solve(x.T @ x / 1.0 + penalty, x.T @ y)
    mean = np.clip(found[:, 0], 0.0, target.mean.max())
    scale = np.clip(np.exp(found[:, 1]), SOFT_MIRNA, target.scale.max())
    return mean, scale


def _maps(hidden: _Composed, shown: _Composed, has: Mask, level: tuple[Array, Array], space: _Space) -> ZeroShotMaps:
    """Weights of log1p CPM as they are from those of standardised values."""
    mean, scale = level
    size = scale * has, scale * ~has
    genes = (shown.genes @ sparse.diags(size[0]) + hidden.genes @ sparse.diags(size[1])).tocoo()
    assert shown.outputs is not None  # there are always terms of relatives: tell mypy
    outputs = (shown.outputs @ sparse.diags(size[0])).tocoo()
    loadings = shown.factors * size[0] + hidden.factors * size[1]
    basis = space.basis / space.outputs.scale[:, None]
    gene_weight, output_weight = (
        genes.data / space.genes.scale[genes.row],
        outputs.data / space.outputs.scale[outputs.row],
    )
    intercept = mean - loadings.T @ (space.outputs.mean @ basis)
    np.subtract.at(intercept, genes.col, gene_weight * space.genes.mean[genes.row])
    np.subtract.at(intercept, outputs.col, output_weight * space.outputs.mean[outputs.row])
    keep, kept = gene_weight != 0, output_weight != 0
    unknown = np.full((1, len(mean)), np.nan, np.float32)  # errors are measured on what is left out, not here
    return ZeroShotMaps(
        basis.astype(np.float32),
        loadings.astype(np.float32),
        intercept.astype(np.float32),
        outputs.row[kept].astype(np.int64),
        outputs.col[kept].astype(np.int64),
        output_weight[kept].astype(np.float32),
        genes.row[keep].astype(np.int64),
        genes.col[keep].astype(np.int64),
        gene_weight[keep].astype(np.float32),
        unknown,
        unknown,
    )


def _standard(values: NDArray[np.float32], weight: NDArray[np.float32], soft: float) -> _Standard:
    mean = np.average(values, axis=0, weights=weight)
    deviation = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weight))
    scale = deviation + soft
    return _Standard(((values - mean) / scale).astype(np.float64), mean.astype(float), scale.astype(float))
