"""Six questions an analyst asks of inferred miRNA, answered with real labels.

Each takes measured and inferred log1p CPM ``(n_samples, n_mirnas)`` and the samples' ``obs``, returns one
number of which more is better, and NaN where the samples cannot answer it. Survival is left out: no
survival data is at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from midgd.metrics import adjusted_rand_index, per_feature_correlation, per_sample_correlation

Floats = NDArray[np.floating[Any]]
#: smallest group that is compared, or whose mean enters a fold difference
MIN_GROUP = 3


def recovery(truth: Floats, predicted: Floats, obs: pd.DataFrame) -> float:
    """What makes a sample special: mean Spearman of profiles after subtracting the measured mean of each miRNA.

    Without the subtraction the mean of all samples would already score above 0.9.

    Parameters
    ----------
    truth, predicted
        (n, n_mirnas) log1p CPM.
    obs
        Not used.

    Returns
    -------
    Between -1 and 1.
    """
    centre = truth.mean(axis=0)
    return mean_known(per_sample_correlation(truth - centre, predicted - centre))


def clustering(truth: Floats, predicted: Floats, obs: pd.DataFrame) -> float:
    """Adjusted Rand index between Leiden clusters of the inferred miRNAs and cohorts.

    Parameters
    ----------
    truth
        Not used.
    predicted
        (n, n_mirnas) log1p CPM.
    obs
        With the column ``cohort``.

    Returns
    -------
    1 for the same groups, 0 for chance; NaN for fewer than 20 samples or one cohort.
    """
    labels = obs["cohort"].astype(str).to_numpy()
    if len(predicted) < 20 or len(np.unique(labels)) < 2:
        return float("nan")
    return adjusted_rand_index(labels, _leiden(predicted))


def differential_expression(truth: Floats, predicted: Floats, obs: pd.DataFrame) -> float:
    """Tumour against adjacent normal: Spearman over miRNAs between measured and inferred Welch t, mean over cohorts.

    Parameters
    ----------
    truth, predicted
        (n, n_mirnas) log1p CPM.
    obs
        With the columns ``cohort`` and ``sample_type``.

    Returns
    -------
    Between -1 and 1; NaN where no cohort has :data:`MIN_GROUP` samples of both.
    """
    kind = obs["sample_type"].astype(str).to_numpy()
    cohort = obs["cohort"].astype(str).to_numpy()
    agreement = []
    for name in np.unique(cohort):
        tumour, normal = (np.flatnonzero((cohort == name) & (kind == k)) for k in ("primary_tumor", "normal_adjacent"))
        if min(len(tumour), len(normal)) >= MIN_GROUP:
            t = np.stack([_welch(values[tumour], values[normal]) for values in (truth, predicted)], axis=1)
            agreement.append(per_feature_correlation(t[:, :1], t[:, 1:])[0])
    return mean_known(np.array(agreement))


def markers(truth: Floats, predicted: Floats, obs: pd.DataFrame, top: int = 20) -> float:
    """Share of a cohort's ``top`` measured markers (t against the rest) among its inferred ones, mean over cohorts.

    Parameters
    ----------
    truth, predicted
        (n, n_mirnas) log1p CPM.
    obs
        With the column ``cohort``.
    top
        Number of markers of a cohort.

    Returns
    -------
    Between 0 and 1.
    """
    cohort = obs["cohort"].astype(str).to_numpy()
    shared = []
    for name in np.unique(cohort):
        inside, outside = np.flatnonzero(cohort == name), np.flatnonzero(cohort != name)
        if min(len(inside), len(outside)) < MIN_GROUP:
            continue
        best = [
            # A prediction without differences names no markers, whatever the order of its columns.
            {j for j in np.argsort(-t, kind="stable")[:top] if t[j] > 0}
            for t in (_welch(values[inside], values[outside]) for values in (truth, predicted))
        ]
        if best[0]:
            shared.append(len(best[0] & best[1]) / len(best[0]))
    return mean_known(np.array(shared))


def ordering(truth: Floats, predicted: Floats, obs: pd.DataFrame) -> float:
    """Spearman between the known fraction of a mixture and its place between the two measured ends, mean over pairs.

    Needs ``obs["pair"]`` and ``obs["fraction"]``.

    Parameters
    ----------
    truth, predicted
        (n, n_mirnas) log1p CPM.
    obs
        One row a mixture.

    Returns
    -------
    Between -1 and 1; NaN without mixtures.
    """
    if "fraction" not in obs or "pair" not in obs:
        return float("nan")
    fraction, pair = obs["fraction"].to_numpy(dtype=float), obs["pair"].to_numpy()
    agreement = []
    for name in np.unique(pair):
        rows = np.flatnonzero(pair == name)
        axis = truth[rows[np.argmax(fraction[rows])]] - truth[rows[np.argmin(fraction[rows])]]
        place = (predicted[rows] @ axis)[:, None]
        agreement.append(per_feature_correlation(fraction[rows][:, None], place)[0])
    return mean_known(np.array(agreement))


def annotation(truth: Floats, predicted: Floats, obs: pd.DataFrame, k: int = 5) -> float:
    """Balanced accuracy of the cohort by the ``k`` most correlated measured profiles of other patients.

    Parameters
    ----------
    truth, predicted
        (n, n_mirnas) log1p CPM.
    obs
        With the columns ``cohort`` and ``patient``.
    k
        Number of profiles that vote.

    Returns
    -------
    Between 0 and 1; NaN with fewer than two cohorts of :data:`MIN_GROUP` samples.
    """
    cohort, patient = (obs[column].astype(str).to_numpy() for column in ("cohort", "patient"))
    names, sizes = np.unique(cohort, return_counts=True)
    scored = names[sizes >= MIN_GROUP]
    if len(scored) < 2:
        return float("nan")
    similarity = _standard(predicted, truth.mean(axis=0)) @ _standard(truth, truth.mean(axis=0)).T
    similarity[patient[:, None] == patient[None, :]] = -np.inf
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    votes = (cohort[nearest][:, :, None] == names).sum(axis=1)
    right = names[np.argmax(votes, axis=1)] == cohort
    return float(np.mean([right[cohort == name].mean() for name in scored]))


QUESTIONS: dict[str, Callable[[Floats, Floats, pd.DataFrame], float]] = {
    "recovery": recovery,
    "clustering": clustering,
    "differential_expression": differential_expression,
    "markers": markers,
    "ordering": ordering,
    "annotation": annotation,
}


def answer(truth: Floats, predicted: Floats, obs: pd.DataFrame) -> dict[str, float]:
    """All questions these samples can answer; mixtures have no cohort and are only put in order.

    Parameters
    ----------
    truth, predicted
        (n, n_mirnas) log1p CPM.
    obs
        One row a sample, see the questions.

    Returns
    -------
    Name of a question to its score.
    """
    asked = {"ordering": ordering} if "fraction" in obs else QUESTIONS
    answers = {name: question(truth, predicted, obs) for name, question in asked.items()}
    return {name: value for name, value in answers.items() if not np.isnan(value)}


def _leiden(predicted: Floats) -> NDArray[Any]:
    import anndata as ad
    import scanpy as sc

    if not np.ptp(predicted, axis=0).any():
        return np.zeros(len(predicted), dtype=int)
    cells = ad.AnnData(np.asarray(predicted, dtype=np.float32))
    sc.pp.pca(cells, n_comps=min(20, min(cells.shape) - 1))
    sc.pp.neighbors(cells, n_neighbors=10)
    sc.tl.leiden(cells, flavor="igraph", n_iterations=2, directed=False, random_state=0)
    return cells.obs["leiden"].to_numpy()


def _welch(first: Floats, second: Floats) -> Floats:
    """Welch t per column. The 0.1 log units beside the standard error keep constant predictions finite."""
    error = np.sqrt(first.var(axis=0, ddof=1) / len(first) + second.var(axis=0, ddof=1) / len(second))
    # Rounded, so that the mean of equal numbers being off by 1e-16 is not taken for a difference.
    return np.round((first.mean(axis=0) - second.mean(axis=0)) / (error + 0.1), 6)


def _standard(values: Floats, centre: Floats) -> Floats:
    """Rows after subtracting ``centre``, of mean 0 and length 1 (or all zero)."""
    rows = values - centre
    rows = rows - rows.mean(axis=1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def mean_known(values: Floats) -> float:
    """Mean of the values that are not NaN; NaN if there are none.

    Parameters
    ----------
    values
        Any shape.

    Returns
    -------
    The mean.
    """
    return float("nan") if np.isnan(values).all() else float(np.nanmean(values))
