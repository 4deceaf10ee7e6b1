"""What pictures show of a result: log CPM, groups, which cells are within the domain, how far to trust a miRNA."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from midgd import get
from midgd._text import meant
from midgd.adata.results import NEAREST, SCORE, is_result, log_cpm
from midgd.infer.domain import OUTSIDE

POOR = 0.3  # held-out correlation below which a miRNA hardly follows from mRNA
BULK, SHALLOW = "spearman_bulk", "spearman_umi_1000"
ACCURACY = {BULK: "as sequenced", SHALLOW: "at 1,000 counts"}


def named(mirna: str | Sequence[str], argument: str) -> list[str]:
    """One miRNA or several as a list, which may not be empty."""
    names = [mirna] if isinstance(mirna, str) else list(mirna)
    if not names:
        raise ValueError(f"{argument}=[] names no miRNA; give one or more.")
    return names


def result_of(adata: AnnData, key: str, names: Sequence[str] | None = None) -> AnnData:
    """Log CPM of some miRNAs, or of all, as an AnnData of its own.

    Parameters
    ----------
    adata
        Cells with results, or what :func:`midgd.get.mirna` made of them.
    key
        Name of the results.
    names
        miRNAs; only these are copied.

    Raises
    ------
    KeyError
        If there are no results, or one of the miRNAs is not among them.
    """
    if key not in adata.obsm and is_result(adata.uns.get(key)):  # of get.mirna, or a file written by output=
        result = adata if names is None else adata[:, _known(names, adata.var_names)]
        result = result.copy()
    else:
        chosen = adata
        if names is not None and isinstance(adata.obsm.get(key), pd.DataFrame):
            table = adata.obsm[key]
            obsm = {name: value for name, value in adata.obsm.items() if name not in (key, f"{key}_sd")}
            obsm[key] = table[_known(names, table.columns)]
            chosen = AnnData(obs=adata.obs, obsm=obsm, uns=adata.uns)
        result = get.mirna(chosen, key)
    result.X = log_cpm(result, key)
    return result


def _known(names: Sequence[str], columns: pd.Index) -> list[str]:
    unknown = [name for name in names if name not in columns]
    if unknown:
        close = meant(unknown[0], columns.astype(str), " hsa-miR-21-5p is how they are written.")
        raise KeyError(f"{unknown[0]!r} is not among the {len(columns):,} inferred miRNAs.{close}")
    return list(dict.fromkeys(names))


def column(adata: AnnData, name: str, what: str) -> pd.Series:
    """A column of ``obs``, or an error that says which there are."""
    if name not in adata.obs:
        raise KeyError(
            f"{what}: adata.obs has no column {name!r} (there are {', '.join(map(str, adata.obs)) or 'none'})."
        )
    return adata.obs[name]


def groups(adata: AnnData, groupby: str | None, key: str) -> pd.Categorical:
    """The group of every cell, by the nearest kind if no column is named; cells without one are missing."""
    name = nearest_column(key) if groupby is None else groupby
    values = column(adata, name, "groupby" if groupby is not None else "nearest kinds")
    categories = values.astype("category") if values.dtype != "category" else values
    found = pd.Categorical(categories).remove_unused_categories()
    found = found.rename_categories(str)
    if not len(found.categories):
        raise ValueError(f"adata.obs[{name!r}] is missing for all cells.")
    if len(found.categories) > 100:
        raise ValueError(f"adata.obs[{name!r}] has {len(found.categories):,} groups; choose a column of at most 100.")
    return found


def nearest_column(key: str) -> str:
    """Column of ``obs`` with the nearest kind."""
    return f"{key}_{NEAREST[0]}"


def probability_column(key: str) -> str:
    """Column of ``obs`` with the probability of the nearest kind."""
    return f"{key}_{NEAREST[1]}"


def score(adata: AnnData, key: str) -> NDArray[np.float64]:
    """Out-of-domain score of every cell; NaN where the reference cannot tell."""
    name = f"{key}_{SCORE}"
    if name not in adata.obs:
        return np.full(adata.n_obs, np.nan)
    return adata.obs[name].to_numpy(dtype=float)


def outside(adata: AnnData, key: str) -> NDArray[np.bool_]:
    """Which cells are outside the domain of the reference; none where it cannot tell."""
    return score(adata, key) > OUTSIDE


def group_means(mirna: AnnData, labels: pd.Categorical) -> pd.DataFrame:
    """Mean log CPM, groups x miRNAs, in the order of the groups."""
    means = mirna.to_df().groupby(pd.CategoricalIndex(labels), observed=True).mean()
    return means.loc[list(labels.categories)]


def standing_out(means: pd.DataFrame, group: str, min_cpm: float = 100.0) -> pd.Series:
    """By how much miRNAs exceed the mean of the other groups, those that do and are abundant, largest first."""
    excess = means.loc[group] - means.drop(index=group).mean()
    chosen = excess[(means.loc[group] >= np.log1p(min_cpm)) & (excess > 0)]
    return chosen.sort_values(ascending=False, kind="stable")


def accuracy(mirna: AnnData, key: str, depth: str | None = None) -> tuple[pd.Series, str]:
    """Held-out Spearman correlation of every miRNA, and at which depth in words.

    Single cells and spots are shallow: for them it is the accuracy at 1,000 counts, for tissues that as sequenced.
    """
    shallow = mirna.uns.get(key, {}).get("sample_kind") == "cell" or "spatial" in mirna.obsm
    name = (SHALLOW if shallow else BULK) if depth is None else f"spearman_{depth}"
    if name not in mirna.var:
        known = [str(c).removeprefix("spearman_") for c in mirna.var if str(c).startswith("spearman_")]
        raise KeyError(
            f"depth={name.removeprefix('spearman_')!r}: the results have no held-out accuracy of that name (there are"
            f" {', '.join(map(repr, known)) or 'none: the reference or adata.uns has lost it'})."
        )
    return mirna.var[name].astype(float), ACCURACY.get(name, name.removeprefix("spearman_"))


def poorly_known(mirna: AnnData, key: str) -> set[str]:
    """The miRNAs whose held-out accuracy is below :data:`POOR` or not known; none where no accuracy was kept."""
    if not any(name in mirna.var for name in ACCURACY):
        return set()
    known, _ = accuracy(mirna, key)
    return set(mirna.var_names[~(known >= POOR)])


def trust(mirna: AnnData, labels: pd.Categorical, key: str, depth: str | None = None) -> pd.DataFrame:
    r"""How far to trust a miRNA in a group, groups x miRNAs, in [0, 1].

    .. math:: t_{gm} = \max(\rho_m, 0) \cdot \frac{1}{n_g} \sum_{i \in g} [s_i < 0.5]

    :math:`\rho_m` is the held-out Spearman correlation of miRNA m, 0 where it is not known, and :math:`s_i` the
    out-of-domain score of cell i. Without scores the second factor is 1.
    """
    known, _ = accuracy(mirna, key, depth)
    within = (
        pd.Series(~outside(mirna, key), index=mirna.obs_names)
        .groupby(pd.CategoricalIndex(labels), observed=True)
        .mean()
    )
    values = np.outer(within.loc[list(labels.categories)], known.fillna(0.0).clip(lower=0.0))
    return pd.DataFrame(values, index=list(labels.categories), columns=mirna.var_names)
