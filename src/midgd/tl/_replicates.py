"""Differences between groups with samples as replicates: means of their cells, then tests of those. Arrays only."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

from midgd.tl._moderated import moderated_t

METHODS = ("moderated", "t-test", "wilcoxon")
PAIRED_FROM = 3  # samples in both groups, from which on a test of their differences can tell anything


@dataclass(frozen=True)
class Replicates:
    """Means of the cells of one sample and one group.

    ``values`` (n_replicates, n_features); ``group`` and ``sample`` (n_replicates,) are codes.
    """

    values: NDArray[np.float64]
    group: NDArray[np.int64]
    sample: NDArray[np.int64]

    @classmethod
    def of_cells(
        cls, values: NDArray[np.floating], group: NDArray[np.integer], sample: NDArray[np.integer], min_cells: int = 1
    ) -> Replicates:
        """Means over cells (n_cells, n_features); those of fewer than ``min_cells`` cells are left out."""
        pairs, code, size = np.unique(np.stack([group, sample]), axis=1, return_inverse=True, return_counts=True)
        member = sparse.csr_matrix(
            (1 / size[code.ravel()], (code.ravel(), np.arange(len(values)))), (len(size), len(values))
        )
        means = np.asarray(member @ np.asarray(values, np.float64))
        kept = size >= min_cells
        return cls(means[kept], pairs[0, kept].astype(np.int64), pairs[1, kept].astype(np.int64))

    def side(self, group: int) -> Side:
        """The samples of a group."""
        own = self.group == group
        return Side(self.values[own], self.sample[own])

    def rest(self, group: int) -> Side:
        """What the samples have besides a group: each group of a sample counts the same, whatever its cells."""
        other = self.group != group
        means = Replicates.of_cells(self.values[other], np.zeros(other.sum(), np.int64), self.sample[other])
        return Side(means.values, means.sample)


@dataclass(frozen=True)
class Side:
    """One side of a comparison: ``values`` (n_samples, n_features) and the code of each sample, in ascending order."""

    values: NDArray[np.float64]
    sample: NDArray[np.int64]


@dataclass(frozen=True)
class Difference:
    """Test statistic, p-value and difference of means of each feature, each (n_features,)."""

    score: NDArray[np.float64]
    pval: NDArray[np.float64]
    mean: NDArray[np.float64]
    n: tuple[int, int]
    paired: bool


def difference(first: Side, second: Side, method: str = "moderated", paired: bool | None = None) -> Difference:
    """Test a difference between two groups of samples.

    Parameters
    ----------
    first, second
        The groups.
    method
        ``"moderated"``: t with variances drawn together. ``"t-test"``: Welch's, or the paired one.
        ``"wilcoxon"``: the rank-sum test (Mann-Whitney), or the signed-rank
        one.
    paired
        Compare the samples that are on both sides with themselves, and leave out the others. None does so if there
        are at least three and they are most of the samples.

    Raises
    ------
    ValueError
        If a side has fewer than two samples.
    """
    both = np.intersect1d(first.sample, second.sample)
    n_all = len(np.union1d(first.sample, second.sample))
    if paired is None:
        paired = len(both) >= PAIRED_FROM and 2 * len(both) > n_all
    a, b = first.values, second.values
    if paired:
        a, b = a[np.isin(first.sample, both)], b[np.isin(second.sample, both)]
    if min(len(a), len(b)) < 2:
        raise ValueError(f"{len(a)} and {len(b)} samples")
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # constant features: NaN, which is what they get
        score, pval = _test(a, b, method, paired)
    return Difference(score, pval, a.mean(0) - b.mean(0), (len(a), len(b)), paired)


def _test(
    a: NDArray[np.float64], b: NDArray[np.float64], method: str, paired: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if method == "wilcoxon":
        return _by_ranks(a, b, paired)
    if method == "t-test":
        found = stats.ttest_rel(a, b) if paired else stats.ttest_ind(a, b, equal_var=False)
        return found.statistic, found.pvalue
    if paired:
        return moderated_t((a - b).mean(0), (a - b).var(0, ddof=1), 1 / len(a), len(a) - 1)
    df = len(a) + len(b) - 2
    pooled = (a.var(0) * len(a) + b.var(0) * len(b)) / df
    return moderated_t(a.mean(0) - b.mean(0), pooled, 1 / len(a) + 1 / len(b), df)


def _by_ranks(
    a: NDArray[np.float64], b: NDArray[np.float64], paired: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """P-values, and the z values that belong to them: scores of groups of different sizes can be compared."""
    pval = np.full(a.shape[1], np.nan)
    if paired:
        varies = np.any(a != b, axis=0)
        pval[varies] = stats.wilcoxon(a[:, varies], b[:, varies], axis=0).pvalue
        ranks = stats.rankdata(np.abs(a - b), axis=0) * np.sign(a - b)
        return np.sign(ranks.sum(0)) * stats.norm.isf(pval / 2), pval
    both = np.vstack([a, b])
    varies = np.ptp(both, axis=0) > 0
    pval[varies] = stats.mannwhitneyu(a[:, varies], b[:, varies], axis=0).pvalue
    above = stats.rankdata(both, axis=0)[: len(a)].mean(0) - (len(both) + 1) / 2
    return np.sign(above) * stats.norm.isf(pval / 2), pval


def benjamini_hochberg(pval: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjusted p-values (n,); NaN stays NaN and counts for no test (Benjamini & Hochberg 1995)."""
    known = ~np.isnan(pval)
    adjusted = np.full_like(pval, np.nan)
    if known.any():
        adjusted[known] = stats.false_discovery_control(pval[known])
    return adjusted
