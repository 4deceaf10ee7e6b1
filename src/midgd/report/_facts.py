"""What a report says of a result, as numbers: counts per cell, kinds, groups, miRNAs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from midgd.counts import CountCheck, RowSource, read_counts
from midgd.pl.values import BULK, POOR, SHALLOW, nearest_column, outside, probability_column, score

GOOD = 0.6  # held-out correlation from which a miRNA follows well from mRNA


def depth(adata: AnnData, params: Mapping[str, Any]) -> NDArray[np.float64]:
    """Counts of every cell, (n,), from where the inference read them.

    Raises
    ------
    ValueError
        If there are no counts: they may have been normalised since, or left out of the file.
    """
    try:
        view = read_counts(adata, layer=params.get("layer"), use_raw=bool(params.get("use_raw", False)))
    except (KeyError, TypeError) as error:
        raise ValueError(str(error)) from error
    check = CountCheck(view.where, list(view.obs_names), params.get("counts") == "trust", view.hint, warns=False)
    sums = []
    for start, _, chunk in RowSource(view.matrix):
        check.update(chunk, start)
        sums.append(np.asarray(chunk.sum(axis=1), dtype=float).ravel())
    check.finish()
    return np.concatenate(sums)


def kinds(cells: AnnData, key: str) -> pd.DataFrame | None:
    """Number of cells, median probability and share outside of every nearest kind; None without kinds."""
    names = (nearest_column(key), probability_column(key))
    if not set(names) <= set(cells.obs):
        return None
    frame = pd.DataFrame({"kind": cells.obs[names[0]].astype(str), "probability": cells.obs[names[1]].astype(float)})
    grouped = frame.assign(outside=outside(cells, key)).groupby("kind")
    table = grouped.agg(n=("kind", "size"), probability=("probability", "median"), outside=("outside", "mean"))
    return table.sort_values(["n", "probability"], ascending=False)


def has_scores(cells: AnnData, key: str) -> bool:
    """Whether the reference could tell how far cells are from what it knows."""
    return bool(np.isfinite(score(cells, key)).any())


def abundant(cells: AnnData, n: int) -> pd.DataFrame:
    """The most abundant miRNAs: mean CPM (geometric) in all cells, and their held-out accuracies."""
    means = pd.Series(np.asarray(cells.X, dtype=float).mean(0), cells.var_names)
    table = pd.DataFrame({"cpm": np.expm1(means)})
    for name in (BULK, SHALLOW):
        table[name] = cells.var[name].astype(float) if name in cells.var else np.nan
    return table.nlargest(n, "cpm")


def verdict(accuracy: float) -> str:
    """A held-out correlation in a word."""
    if np.isnan(accuracy):
        return "not known"
    return "good" if accuracy >= GOOD else "poor" if accuracy < POOR else "fair"
