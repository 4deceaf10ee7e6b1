from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from midgd.adata.holder import holder
from midgd.adata.obs import labels
from midgd.metrics import (
    fold_difference_correlation,
    log1p_cpm,
    per_feature_correlation,
    per_sample_correlation,
    within_group_correlation,
)
from midgd.settings import logger
from midgd.tl._names import find_mirnas
from midgd.tl._values import log_values

if TYPE_CHECKING:
    from mudata import MuData

UNITS = ("counts", "cpm", "log1p_cpm", "log2_cpm")
FEWEST = 3  # samples: no correlation of two points
LARGEST_LOG = 25.0  # natural logarithms of counts end long before


@dataclass(frozen=True)
class Comparison:
    """Measured against inferred miRNA.

    Attributes
    ----------
    mirnas
        One row for each miRNA that was inferred and measured: ``measured_as``, ``spearman`` and ``pearson`` over
        samples, ``mean_measured`` and ``mean_inferred`` (log1p CPM), ``present``: measured above 1 CPM in more than
        10 % of the samples.
    samples
        ``spearman`` and ``pearson`` over miRNAs, for each sample.
    summary
        ``n_samples``, ``n_mirnas``, ``n_present``; means of the Spearman correlations, ``spearman_per_mirna`` over
        the miRNAs that are present, ``spearman_per_sample``; and with groups, over the same miRNAs, ``fold_difference``
        (:func:`midgd.metrics.fold_difference_correlation`) and ``spearman_within_groups``.
    """

    mirnas: pd.DataFrame
    samples: pd.DataFrame
    summary: pd.Series


def compare_measured(
    adata: AnnData | MuData,
    measured: str | pd.DataFrame | AnnData,
    *,
    units: str = "counts",
    groupby: str | None = None,
    key: str = "mirna",
) -> Comparison:
    """Compare inferred with measured miRNA of the same samples.

    Parameters
    ----------
    adata
        After :func:`midgd.tl.infer_mirna`.
    measured
        Name of a DataFrame in ``obsm``, or of a modality of the MuData; or a DataFrame or AnnData, samples x miRNAs.
        Rows are matched by name, and columns by the names of miRNAs: accessions, former names and other spellings are
        found. Columns of one miRNA are summed. miRNAs with missing values are left out.
    units
        Of the measured values: ``"counts"`` (brought to counts per million by their total, so give all miRNAs),
        ``"cpm"``, ``"log1p_cpm"`` (natural logarithm) or ``"log2_cpm"`` (of 1 + CPM).
    groupby
        Column of ``obs``: also compare differences between its groups, and samples within them.
    key
        ``key_added`` of the inference.

    Returns
    -------
    Comparison
        Tables by miRNA and by sample, and a summary. Nothing is written.

    Raises
    ------
    KeyError
        If there is no such table or column, or no inferred values.
    ValueError
        If fewer than three samples or no miRNAs are shared, or the values are not in the units given.

    Examples
    --------
    >>> found = midgd.tl.compare_measured(adata, mirna_counts, groupby="cohort")  # doctest: +SKIP
    >>> found.summary["spearman_per_mirna"]  # doctest: +SKIP
    >>> found.mirnas.sort_values("spearman").tail()  # doctest: +SKIP
    """
    table = _table(adata, measured)
    inferred = log_values(holder(adata, key), key)
    rows = inferred.obs_names[inferred.obs_names.isin(table.index)]
    if len(rows) < FEWEST:
        raise ValueError(
            f"{len(rows)} samples are both inferred and measured, at least {FEWEST} are needed; names are for example "
            f"{inferred.obs_names[0]!r} and {table.index[0]!r}."
        )
    inferred = inferred[rows]
    cpm = _cpm(table.loc[rows], units)
    position = find_mirnas(list(cpm.columns), inferred, key)
    if not (position >= 0).any():
        raise ValueError(
            f"none of the {cpm.shape[1]:,} measured names is an inferred miRNA: {cpm.columns[0]!r} for example, "
            f"inferred are names such as {inferred.var_names[0]!r}. Stem-loops need infer_mirna(level='stem-loop')."
        )
    logger.info(
        "compare_measured: %d samples, %d of %d measured names", len(rows), (position >= 0).sum(), len(position)
    )
    found = np.unique(position[position >= 0])
    truth = np.stack([np.log1p(cpm.to_numpy()[:, position == i].sum(1)) for i in found], axis=1)
    values = np.asarray(inferred.X, np.float64)[:, found]
    groups = None if groupby is None else np.asarray(labels(inferred.obs, groupby, "groupby"))
    names = [" + ".join(map(str, cpm.columns[position == i])) for i in found]
    mirnas, samples, summary = _scores(truth, values, groups)
    mirnas.index, samples.index = inferred.var_names[found], rows
    mirnas.insert(0, "measured_as", names)
    return Comparison(mirnas, samples, summary)


def _scores(
    truth: NDArray[np.float64], inferred: NDArray[np.float64], groups: NDArray[np.str_] | None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Tables by feature and sample and their summary, of log1p CPM (n_samples, n_features)."""
    present = (truth > np.log(2.0)).mean(0) > 0.1
    mirnas = pd.DataFrame({name: per_feature_correlation(truth, inferred, name) for name in ("spearman", "pearson")})
    mirnas = mirnas.assign(mean_measured=truth.mean(0), mean_inferred=inferred.mean(0), present=present)
    samples = pd.DataFrame({name: per_sample_correlation(truth, inferred, name) for name in ("spearman", "pearson")})
    summary = {
        "n_samples": len(truth),
        "n_mirnas": truth.shape[1],
        "n_present": int(present.sum()),
        "spearman_per_mirna": mirnas["spearman"][present].mean(),
        "spearman_per_sample": samples["spearman"].mean(),
    }
    if groups is not None:
        a, b = truth[:, present], inferred[:, present]
        within = within_group_correlation(a, b, groups)
        summary["fold_difference"] = fold_difference_correlation(a, b, groups)
        summary["spearman_within_groups"] = (
            float(np.mean(within[~np.isnan(within)])) if (~np.isnan(within)).any() else np.nan
        )
    return mirnas, samples, pd.Series(summary)


def _table(adata: AnnData | MuData, measured: str | pd.DataFrame | AnnData) -> pd.DataFrame:
    if isinstance(measured, str):
        places = getattr(adata, "mod", None) or adata.obsm
        if measured not in places:
            raise KeyError(f"measured={measured!r} is no modality or table of obsm; there is {list(places)}.")
        measured = places[measured]
    if isinstance(measured, AnnData):
        measured = measured.to_df()
    if not isinstance(measured, pd.DataFrame):
        raise TypeError(f"measured miRNAs need names: give a DataFrame or AnnData, not {type(measured).__name__}.")
    if not measured.index.is_unique:
        twice = measured.index[measured.index.duplicated()][0]
        raise ValueError(f"the measured sample {twice!r} occurs more than once; keep one row of each.")
    return measured


def _cpm(table: pd.DataFrame, units: str) -> pd.DataFrame:
    """Measured values as counts per million, without miRNAs that have missing values."""
    if units not in UNITS:
        raise ValueError(f"units={units!r} is unknown; choose among {UNITS}.")
    missing = table.isna().any()
    if missing.any():
        logger.info("compare_measured: %d measured miRNAs have missing values and are left out", missing.sum())
        table = table.loc[:, ~missing]
    values = table.to_numpy(np.float64)
    if values.size and values.min() < 0:
        raise ValueError(f"measured values below 0 (first: {values[values < 0][0]:g}) are no {units}.")
    largest = values.max(initial=0.0)
    if units in ("counts", "cpm") and largest < LARGEST_LOG and (values % 1).any():
        raise ValueError(
            f"the largest measured value is {largest:.3g}: these look like logarithms, say so with units=."
        )
    if units.startswith("log") and largest > LARGEST_LOG:
        raise ValueError(f"the largest measured value is {largest:.3g}: no logarithms; give other units=.")
    if units == "counts":
        values = np.expm1(log1p_cpm(values))
    elif units == "log1p_cpm":
        values = np.expm1(values)
    elif units == "log2_cpm":
        values = np.expm1(values * np.log(2.0))
    return pd.DataFrame(values, table.index, table.columns)
