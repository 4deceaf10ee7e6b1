"""Association of each feature with something known of the samples. Arrays in, tables out."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from tqdm.auto import tqdm

from midgd.settings import settings

Floats = NDArray[np.float64]


def with_number(values: Floats, number: Floats) -> pd.DataFrame:
    """Spearman correlation of each column of (n_samples, n_features) with a number of each sample."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constant columns, which get NaN
        found = [stats.spearmanr(column, number) for column in values.T]
    return pd.DataFrame({"spearman": [f.statistic for f in found], "pval": [f.pvalue for f in found]})


def with_category(values: Floats, label: pd.Categorical) -> pd.DataFrame:
    """Welch's test of two groups, Kruskal and Wallis' of more; natural logarithms in, log2 differences out."""
    groups = [values[label.codes == code] for code in range(len(label.categories))]
    means = np.stack([group.mean(0) for group in groups]) / np.log(2.0)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore")
        if len(groups) == 2:
            found = stats.ttest_ind(groups[1], groups[0], equal_var=False)
            return pd.DataFrame({"log2_difference": means[1] - means[0], "t": found.statistic, "pval": found.pvalue})
        varies = np.ptp(values, axis=0) > 0
        statistic, pval = np.full((2, values.shape[1]), np.nan)
        statistic[varies], pval[varies] = stats.kruskal(*(group[:, varies] for group in groups), axis=0)
    highest = np.asarray(label.categories)[means.argmax(0)]
    return pd.DataFrame({"highest": highest, "log2_range": np.ptp(means, axis=0), "kruskal": statistic, "pval": pval})


def with_survival(values: Floats, time: Floats, event: NDArray[np.bool_], covariates: pd.DataFrame) -> pd.DataFrame:
    """Cox regression of each column, by lifelines; hazard ratio for one standard deviation."""
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    table = covariates.reset_index(drop=True).assign(__time=time, __event=event)
    scale = values.std(0, ddof=1)
    rows = []
    columns = tqdm(values.T, desc="associate", unit="miRNA", disable=not settings.progress)
    for column, sd in zip(columns, scale, strict=True):
        found = [np.nan] * 4
        if sd > 0:
            table["__mirna"] = (column - column.mean()) / sd
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # a fit that does not converge raises
                    fit = CoxPHFitter().fit(table, duration_col="__time", event_col="__event").summary.loc["__mirna"]
                found = [fit[name] for name in ("exp(coef)", "exp(coef) lower 95%", "exp(coef) upper 95%", "p")]
            except ConvergenceError:
                pass  # NaN says so
        rows.append(found)
    return pd.DataFrame(rows, columns=["hazard_ratio", "lower_95", "upper_95", "pval"])
