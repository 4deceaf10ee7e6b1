"""Cohorts: each test as scipy or lifelines has it for one miRNA."""

from __future__ import annotations

import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import midgd
from midgd.tl._replicates import benjamini_hochberg

N = 80


@pytest.fixture(scope="module")
def cohort() -> ad.AnnData:
    """80 samples, 6 miRNAs; the first lengthens life, is high in group c and rises with score; one row lacks an age."""
    rng = np.random.default_rng(3)
    values = rng.normal(6, 1, (N, 6)).astype("f4")
    values[:, 5] = 0.1
    first = values[:, 0] - 6
    obs = pd.DataFrame(
        {
            "time": rng.exponential(np.exp(0.9 * first)) + 0.01,
            "died": rng.random(N) < 0.8,
            "age": rng.normal(60, 8, N),
            "stage": pd.Categorical(np.where(first + rng.normal(0, 0.5, N) > 0, "late", "early")),
            "type": np.where(first > 0.7, "c", np.where(rng.random(N) > 0.5, "a", "b")),
            "score": first + rng.normal(0, 1, N),
        },
        index=[f"s{i}" for i in range(N)],
    )
    obs.loc["s4", "age"] = np.nan
    table = pd.DataFrame(values, obs.index, [f"hsa-miR-{i}-5p" for i in range(6)])
    return ad.AnnData(np.zeros((N, 1), "f4"), obs=obs, obsm={"mirna": table})


def test_continuous(cohort):
    found = midgd.tl.associate(cohort, "score")
    assert len(found) == 5 and found.index[0] == "hsa-miR-0-5p"
    slow = stats.spearmanr(cohort.obsm["mirna"]["hsa-miR-3-5p"], cohort.obs["score"])
    assert tuple(found.loc["hsa-miR-3-5p", ["spearman", "pval"]]) == pytest.approx(tuple(slow))
    np.testing.assert_allclose(found["pval_adj"], stats.false_discovery_control(found["pval"]))


def test_two_and_more_categories(cohort):
    values, obs = cohort.obsm["mirna"]["hsa-miR-0-5p"].astype(float), cohort.obs
    found = midgd.tl.associate(cohort, "stage")
    assert found.attrs["groups"] == ["early", "late"]
    late, early = values[obs["stage"] == "late"], values[obs["stage"] == "early"]
    first = found.loc["hsa-miR-0-5p"]
    assert first["pval"] == pytest.approx(stats.ttest_ind(late, early, equal_var=False).pvalue)
    assert first["log2_difference"] == pytest.approx((late.mean() - early.mean()) / np.log(2))
    more = midgd.tl.associate(cohort, "type").loc["hsa-miR-0-5p"]
    assert more["highest"] == "c"
    assert more["pval"] == pytest.approx(stats.kruskal(*(values[obs["type"] == t] for t in "abc")).pvalue)


def test_survival_is_that_of_lifelines(cohort):
    lifelines = pytest.importorskip("lifelines")
    found = midgd.tl.associate(cohort, "time", event="died", covariates=["age", "stage"])
    assert found.index[0] == "hsa-miR-0-5p" and found["n"].iloc[0] == N - 1
    rows = cohort.obs["age"].notna()
    table = cohort.obs.loc[rows, ["time", "died", "age"]].assign(late=cohort.obs["stage"][rows] == "late")
    values = cohort.obsm["mirna"].loc[rows, "hsa-miR-0-5p"].astype(float)
    table["mirna"] = values / values.std()
    slow = lifelines.CoxPHFitter().fit(table.astype(float), "time", "died").summary.loc["mirna"]
    first = found.loc["hsa-miR-0-5p"]
    assert first["hazard_ratio"] == pytest.approx(slow["exp(coef)"], rel=1e-4) and first["hazard_ratio"] < 1
    assert first["pval"] == pytest.approx(slow["p"], rel=1e-3)
    assert first["lower_95"] < first["hazard_ratio"] < first["upper_95"]
    assert first["n_events"] == cohort.obs["died"][rows].sum()


def test_chosen_mirnas_and_absent_ones(cohort):
    names = ["hsa-miR-5-5p", "hsa-miR-2-5p"]
    assert set(midgd.tl.associate(cohort, "score", mirnas=names).index) == set(names)
    with pytest.raises(KeyError, match="'hsa-miR-9' is no inferred miRNA"):
        midgd.tl.associate(cohort, "score", mirnas=["hsa-miR-9"])


def test_a_missing_package_is_one_sentence(cohort, monkeypatch):
    monkeypatch.setitem(sys.modules, "lifelines", None)
    with pytest.raises(ImportError, match=r"pip install 'midgd\[analysis\]'"):
        midgd.tl.associate(cohort, "time", event="died")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"column_key": "grade"}, KeyError, "column_key='grade' is not a column"),
        ({"column_key": "time", "event": "stage"}, ValueError, "must be True or False"),
        ({"column_key": "stage", "event": "died"}, ValueError, "must be numbers"),
        ({"column_key": "score", "covariates": ["age"]}, ValueError, "covariates= are for survival"),
        ({"column_key": "stage", "kind": "continuous"}, ValueError, "holds no numbers"),
        ({"column_key": "score", "kind": "survival"}, ValueError, "survival needs event="),
        ({"column_key": "score", "kind": "cox"}, ValueError, "kind='cox' is unknown"),
        ({"column_key": "score", "kind": "category"}, ValueError, "two groups of two samples"),
        ({"column_key": "score", "min_cpm": 1e9}, ValueError, "no miRNA reaches"),
    ],
)
def test_bad_input(cohort, arguments, error, message):
    with pytest.raises(error, match=message):
        midgd.tl.associate(cohort, **arguments)


def test_adjusted_p_values_keep_missing_ones():
    found = benjamini_hochberg(np.array([0.01, np.nan, 0.04]))
    np.testing.assert_allclose(found, [0.02, np.nan, 0.04])
