from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from midgd.adata.holder import holder
from midgd.adata.obs import labels
from midgd.adata.results import check_key
from midgd.settings import logger
from midgd.tl._replicates import METHODS, Difference, Replicates, benjamini_hochberg, difference
from midgd.tl._values import log_values

if TYPE_CHECKING:
    from mudata import MuData

FIELDS = {"names": "O", "scores": "f4", "pvals": "f8", "pvals_adj": "f8", "logfoldchanges": "f4"}
OF_CELLS = ("wilcoxon", "t-test")
CELLS_NOTE = (
    "Cells are the replicates here. Inferred values of cells of one sample are not independent (one map turns mRNA "
    "into miRNA, and cells of one sample are alike), so these p-values are too small: use them to order miRNAs only."
)


def rank_mirnas(
    adata: AnnData | MuData,
    groupby: str,
    sample_key: str | None = None,
    *,
    reference: str = "rest",
    method: str | None = None,
    paired: bool | None = None,
    min_cells: int = 1,
    min_cpm: float = 10.0,
    key: str = "mirna",
    key_added: str = "rank_genes_groups",
) -> None:
    """Rank inferred miRNAs by how much they differ between groups.

    With ``sample_key`` the samples (donors, patients) are the replicates: the log CPM of each sample's cells in a group
    are averaged, and the averages are tested. Without it cells are the replicates, and the p-values are too small:
    values of cells of one sample are not independent, and 1,000 cells of one donor say nothing of other donors.

    A small p-value says that the mRNA programme that goes with a miRNA differs. It does not say that the miRNA was
    measured to differ.

    Parameters
    ----------
    adata
        After :func:`midgd.tl.infer_mirna`.
    groupby
        Column of ``obs`` with the groups: cell types, conditions.
    sample_key
        Column of ``obs`` with the sample of each cell.
    reference
        Group that the others are compared with; ``"rest"``: all others. With samples, the rest of a sample is the mean
        of its other groups, each counting the same.
    method
        With samples, ``"moderated"`` (the default: t statistics with the variances of all miRNAs drawn together, after
        Smyth 2004, which few samples need), ``"t-test"`` (Welch's, or the paired one) or ``"wilcoxon"`` (the rank-sum
        test, or the signed-rank test for pairs). Without samples, ``"wilcoxon"`` (the default) or ``"t-test"``.
    paired
        With samples: compare the two groups within each sample that has both, and leave out the other samples. None
        does so where at least three samples, and more than half of them, have both.
    min_cells
        With samples: a sample counts in a group from this many cells on. 10 is a good choice for single cells.
    min_cpm
        miRNAs whose mean is below this in every group, in counts per million, are not tested. Inferred values of absent
        miRNAs hardly vary, and differences too small to matter would come first.
    key
        ``key_added`` of the inference.
    key_added
        Name of the result.

    Returns
    -------
    None. ``uns[key][key_added]`` gets the result in the layout of :func:`scanpy.tl.rank_genes_groups`, and
    ``midgd.get.mirna(adata)`` has it as ``uns[key_added]``, where :func:`scanpy.get.rank_genes_groups_df` and the plots
    of scanpy find it. A new inference under the same ``key`` removes it. With samples, ``scores`` are t statistics
    (or z values), ``logfoldchanges`` differences of mean log2(1 + CPM), ``pvals_adj`` after Benjamini and Hochberg
    within each group, and ``params`` says how many samples of a group were compared with how many, and whether in
    pairs.

    Raises
    ------
    KeyError
        If there are no inferred values, no such column or no such reference group.
    ValueError
        If no group has two samples to compare, an argument is unknown, or the values cannot differ between replicates
        because :func:`~midgd.tl.infer_mirna` gave all cells of a group one value (its ``groupby``).

    Examples
    --------
    >>> midgd.tl.rank_mirnas(adata, "cell_type", sample_key="donor", min_cells=10)  # doctest: +SKIP
    >>> mirnas = midgd.get.mirna(adata)  # doctest: +SKIP
    >>> sc.get.rank_genes_groups_df(mirnas, group="B cell").head()  # doctest: +SKIP
    >>> sc.pl.rank_genes_groups_dotplot(mirnas, n_genes=4)  # doctest: +SKIP
    """
    check_key(key_added)
    methods = OF_CELLS if sample_key is None else METHODS
    method = method or methods[0]
    if method not in methods:
        raise ValueError(f"method={method!r} is unknown; choose among {methods}.")
    adata = holder(adata, key)
    values = log_values(adata, key)
    group = labels(adata.obs, groupby, "groupby")
    if reference != "rest" and reference not in group.categories:
        raise KeyError(f"reference={reference!r} is not in obs[{groupby!r}]; it has {list(group.categories)}.")
    if len(group.categories) < 2:
        raise ValueError(f"obs[{groupby!r}] has one group only, {group.categories[0]!r}: nothing to compare it with.")
    values.obs[groupby] = group
    tested = values[:, _present(np.asarray(values.X), group.codes, min_cpm)].copy()
    inferred_by = adata.uns.get(key, {}).get("params", {}).get("groupby")
    params = {"groupby": groupby, "reference": reference, "method": method, "min_cpm": min_cpm}
    if sample_key is None:
        if inferred_by is not None:
            raise ValueError(
                f"infer_mirna(groupby={inferred_by!r}) gave all cells of a group one value, so cells are copies and no "
                "replicates. Give sample_key=, or infer without groupby."
            )
        params |= {"replicates": "cells", "note": CELLS_NOTE}
        found = _of_cells(tested, groupby, reference, method)
    else:
        sample = labels(adata.obs, sample_key, "sample_key")
        replicates = Replicates.of_cells(np.asarray(tested.X), group.codes, sample.codes, min_cells)
        _check_they_vary(replicates, inferred_by)
        params |= {"replicates": "samples", "sample_key": sample_key, "min_cells": min_cells}
        found = _of_samples(replicates, group.categories, reference, method, paired)
    ranking = _in_layout(found, tested.var_names, values.var_names, params)
    adata.uns[key] = {**adata.uns.get(key, {}), key_added: ranking}


def _present(values: NDArray[np.floating], group: NDArray[np.integer], min_cpm: float) -> NDArray[np.bool_]:
    means = np.stack([values[group == code].mean(0) for code in np.unique(group)])
    present = np.asarray(means.max(0) >= np.log1p(min_cpm))
    if not present.any():
        raise ValueError(f"no miRNA reaches min_cpm={min_cpm:g} in any group; lower it.")
    return present


def _of_cells(values: AnnData, groupby: str, reference: str, method: str) -> dict[str, Difference]:
    import scanpy as sc

    logger.warning("rank_mirnas without sample_key=: %s", CELLS_NOTE)
    sc.tl.rank_genes_groups(values, groupby, reference=reference, method=method, use_raw=False)
    group, x = values.obs[groupby], np.asarray(values.X, np.float64)
    found = {}
    for name in values.uns["rank_genes_groups"]["names"].dtype.names:
        table = sc.get.rank_genes_groups_df(values, name).set_index("names").loc[values.var_names]
        own = (group == name).to_numpy()
        other = ~own if reference == "rest" else (group == reference).to_numpy()
        mean = x[own].mean(0) - x[other].mean(0)
        sizes = (int(own.sum()), int(other.sum()))
        found[name] = Difference(table["scores"].to_numpy(), table["pvals"].to_numpy(), mean, sizes, paired=False)
    return found


def _check_they_vary(replicates: Replicates, inferred_by: str | None) -> None:
    of_one_group = [replicates.side(code).values for code in np.unique(replicates.group)]
    several = [values for values in of_one_group if len(values) > 1]
    if several and not any(np.ptp(values, axis=0).any() for values in several):
        raise ValueError(
            "all samples of a group have the same values"
            + ("" if inferred_by is None else f", because infer_mirna summed the cells by groupby={inferred_by!r}")
            + ": infer without groupby, or with a column that names sample and group together."
        )


def _of_samples(
    replicates: Replicates, groups: pd.Index, reference: str, method: str, paired: bool | None
) -> dict[str, Difference]:
    found, too_few = {}, {}
    for code, name in enumerate(groups):
        if name == reference:
            continue
        other = replicates.rest(code) if reference == "rest" else replicates.side(list(groups).index(reference))
        try:
            found[name] = difference(replicates.side(code), other, method, paired)
        except ValueError as error:
            too_few[name] = str(error)
    if not found:
        raise ValueError(
            "no group has two samples to compare on both sides "
            f"({next(iter(too_few))!r}: {next(iter(too_few.values()))}). Lower min_cells, name another reference, or "
            "leave sample_key out and read the p-values as an order only."
        )
    if too_few:
        logger.warning("left out for too few samples: %s", "; ".join(f"{name} ({n})" for name, n in too_few.items()))
    return found


def _in_layout(
    found: dict[str, Difference], tested: pd.Index, mirnas: pd.Index, params: dict[str, Any]
) -> dict[str, Any]:
    """As :func:`scanpy.tl.rank_genes_groups` lays it out: record arrays with a field for each group, best first."""
    untested = mirnas.difference(tested, sort=False)
    tables = {name: _best_first(test, tested, untested) for name, test in found.items()}
    result: dict[str, Any] = {}
    for field, dtype in FIELDS.items():
        columns = {name: table[field].to_numpy() for name, table in tables.items()}
        result[field] = pd.DataFrame(columns).to_records(index=False, column_dtypes=dtype)
    sizes = [(*test.n, test.paired) for test in found.values()]
    tests = pd.DataFrame(sizes, columns=["n_group", "n_reference", "paired"], index=list(found))
    return {"params": params | {"use_raw": False, "corr_method": "benjamini-hochberg", "tests": tests}} | result


def _best_first(test: Difference, tested: pd.Index, untested: pd.Index) -> pd.DataFrame:
    """One group; miRNAs that were not tested come last, for plots of scanpy want every miRNA."""
    columns = {"scores": test.score, "pvals": test.pval, "pvals_adj": benjamini_hochberg(test.pval)}
    table = pd.DataFrame(columns | {"logfoldchanges": test.mean / np.log(2.0)}, index=tested)
    table = table.sort_values("scores", ascending=False, kind="stable")
    return table.reindex(table.index.append(untested)).rename_axis("names").reset_index()
