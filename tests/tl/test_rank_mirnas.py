"""Groups compared with samples as replicates."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import midgd
from midgd.settings import logger

sc = pytest.importorskip("scanpy")
mpl = pytest.importorskip("matplotlib")

SAMPLES = ("p1", "p2", "p3", "p4")


def result_of(values: np.ndarray, obs: pd.DataFrame, **params) -> ad.AnnData:
    """Cells with inferred values, as infer_mirna leaves them."""
    names = [f"hsa-miR-{i}-5p" for i in range(values.shape[1])]
    mirnas = pd.DataFrame({"accession": [f"MIMAT{i:07d}" for i in range(len(names))]}, index=names)
    uns = {"midgd_version": "0", "params": {"units": "log1p_cpm", "level": "mature"} | params, "mirnas": mirnas}
    obsm = {"mirna": pd.DataFrame(values.astype("f4"), obs.index, names)}
    return ad.AnnData(np.zeros((len(obs), 1), "f4"), obs=obs, obsm=obsm, uns={"mirna": uns})


@pytest.fixture
def cells() -> ad.AnnData:
    """Four donors, three types of 5 cells each: miRNA 0 is higher in type b of every donor, 1 and more are not."""
    rng = np.random.default_rng(0)
    rows = [(sample, kind) for sample in SAMPLES for kind in "abc" for _ in range(5)]
    obs = pd.DataFrame(rows, columns=["donor", "kind"], index=[f"c{i}" for i in range(len(rows))])
    of_donor = {sample: rng.normal(0, 1, 30) for sample in SAMPLES}
    values = 6 + np.stack([of_donor[s] for s in obs["donor"]]) + rng.normal(0, 0.2, (len(obs), 30))
    values[(obs["kind"] == "b").to_numpy(), 0] += 2
    values[:, 29] = 0.01 * rng.random(len(obs))  # absent
    return result_of(values, obs)


def table(adata: ad.AnnData, group: str) -> pd.DataFrame:
    return sc.get.rank_genes_groups_df(midgd.get.mirna(adata), group).set_index("names")


def test_welch_over_samples_is_that_of_scipy(cells):
    midgd.tl.rank_mirnas(cells, "kind", "donor", reference="a", method="t-test", paired=False)
    found = table(cells, "b")
    means = cells.obsm["mirna"].groupby([cells.obs["kind"], cells.obs["donor"]]).mean()
    for name in ("hsa-miR-0-5p", "hsa-miR-7-5p"):
        slow = stats.ttest_ind(means.loc["b", name], means.loc["a", name], equal_var=False)
        assert found.loc[name, "scores"] == pytest.approx(slow.statistic, rel=1e-4)
        assert found.loc[name, "pvals"] == pytest.approx(slow.pvalue, rel=1e-3)
        change = (means.loc["b", name].mean() - means.loc["a", name].mean()) / np.log(2)
        assert found.loc[name, "logfoldchanges"] == pytest.approx(change, abs=1e-4)
    pvals = found["pvals"].dropna()
    np.testing.assert_allclose(found.loc[pvals.index, "pvals_adj"], stats.false_discovery_control(pvals))


def test_pairs_and_rest_are_within_samples(cells):
    midgd.tl.rank_mirnas(cells, "kind", "donor", method="t-test")
    tests = cells.uns["mirna"]["rank_genes_groups"]["params"]["tests"]
    assert tests["paired"].all() and (tests["n_group"] == 4).all()
    means = cells.obsm["mirna"].groupby([cells.obs["donor"], cells.obs["kind"]]).mean()["hsa-miR-0-5p"].unstack()
    slow = stats.ttest_rel(means["b"], (means["a"] + means["c"]) / 2)
    assert table(cells, "b").loc["hsa-miR-0-5p", "pvals"] == pytest.approx(slow.pvalue, rel=1e-3)


def test_the_difference_comes_first_and_absent_mirnas_last(cells):
    midgd.tl.rank_mirnas(cells, "kind", "donor")
    found = table(cells, "b")
    assert found.index[0] == "hsa-miR-0-5p" and found["pvals_adj"].iloc[0] < 0.01
    assert found.index[-1] == "hsa-miR-29-5p" and np.isnan(found["pvals"].iloc[-1])
    assert sorted(found.index) == sorted(cells.obsm["mirna"].columns)


def test_cells_as_replicates_are_warned_about_and_find_donors(cells, caplog):
    """Between two halves of the donors nothing differs but the donors: cells call that significant, samples do not."""
    cells.obs["half"] = np.where(cells.obs["donor"].isin(SAMPLES[:2]), "first", "second")
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.WARNING, "midgd"):
            midgd.tl.rank_mirnas(cells, "half")
    finally:
        logger.removeHandler(caplog.handler)
    assert "too small" in caplog.text
    params = cells.uns["mirna"]["rank_genes_groups"]["params"]
    assert params["replicates"] == "cells" and "too small" in params["note"]
    by_cells = (table(cells, "first")["pvals_adj"] < 0.05).sum()
    midgd.tl.rank_mirnas(cells, "half", "donor")
    assert by_cells > 10 and (table(cells, "first")["pvals_adj"] < 0.05).sum() == 0


def test_cells_are_compared_as_scanpy_does(cells):
    midgd.tl.rank_mirnas(cells, "kind", min_cpm=0)
    mirnas = midgd.get.mirna(cells)
    sc.tl.rank_genes_groups(mirnas, "kind", method="wilcoxon", key_added="own")
    own = sc.get.rank_genes_groups_df(mirnas, "b", key="own").set_index("names")
    found = table(cells, "b")
    np.testing.assert_allclose(found["pvals"], own.loc[found.index, "pvals"])
    np.testing.assert_allclose(found["pvals_adj"], own.loc[found.index, "pvals_adj"])


@pytest.mark.parametrize("paired", [True, False])
def test_wilcoxon_over_samples_is_that_of_scipy(cells, paired):
    midgd.tl.rank_mirnas(cells, "kind", "donor", reference="a", method="wilcoxon", paired=paired)
    means = cells.obsm["mirna"].groupby([cells.obs["kind"], cells.obs["donor"]]).mean()["hsa-miR-0-5p"]
    test = stats.wilcoxon if paired else stats.mannwhitneyu
    found = table(cells, "b").loc["hsa-miR-0-5p"]
    assert found["pvals"] == pytest.approx(test(means["b"], means["a"]).pvalue)
    assert found["scores"] > 0


def test_the_result_survives_a_file_and_plots(cells, tmp_path):
    midgd.tl.rank_mirnas(cells, "kind", "donor", key_added="by kind")
    cells.write_h5ad(tmp_path / "cells.h5ad")
    mirnas = midgd.get.mirna(ad.read_h5ad(tmp_path / "cells.h5ad"))
    assert sc.get.rank_genes_groups_df(mirnas, "b", key="by kind")["names"].iloc[0] == "hsa-miR-0-5p"
    mpl.use("agg")
    mirnas.obs["kind"] = mirnas.obs["kind"].astype("category")
    sc.pl.rank_genes_groups(mirnas, key="by kind", show=False)
    sc.pl.rank_genes_groups_dotplot(
        mirnas, key="by kind", n_genes=2, values_to_plot="logfoldchanges", dendrogram=False, show=False
    )
    mpl.pyplot.close("all")


def test_a_new_inference_removes_the_ranking(toy_query, toy_reference):
    midgd.tl.infer_mirna(toy_query, toy_reference)
    toy_query.obs["donor"] = ["d1", "d2", "d3", "d4"] * 15
    midgd.tl.rank_mirnas(toy_query, "cluster", "donor")
    assert "rank_genes_groups" in midgd.get.mirna(toy_query).uns
    midgd.tl.infer_mirna(toy_query, toy_reference)
    assert "rank_genes_groups" not in midgd.get.mirna(toy_query).uns


def test_copies_of_one_value_are_refused(toy_query, toy_reference):
    toy_query.obs["donor"] = ["d1", "d2", "d3", "d4"] * 15
    midgd.tl.infer_mirna(toy_query, toy_reference, groupby="cluster")
    with pytest.raises(ValueError, match="copies and no replicates"):
        midgd.tl.rank_mirnas(toy_query, "cluster")
    with pytest.raises(ValueError, match="all samples of a group have the same values"):
        midgd.tl.rank_mirnas(toy_query, "cluster", "donor")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"groupby": "type"}, KeyError, "groupby='type' is not a column of obs"),
        ({"sample_key": "patient"}, KeyError, "sample_key='patient' is not a column"),
        ({"reference": "z"}, KeyError, "reference='z' is not in"),
        ({"method": "anova"}, ValueError, "method='anova' is unknown"),
        ({"min_cells": 6}, ValueError, "no group has two samples"),
        ({"min_cpm": 1e9}, ValueError, "no miRNA reaches min_cpm"),
        ({"groupby": "one"}, ValueError, "one group only"),
        ({"key_added": "a/b"}, ValueError, "key_added="),
    ],
)
def test_bad_arguments_leave_the_cells_alone(cells, change, error, message):
    cells.obs["one"] = "same"
    with pytest.raises(error, match=message):
        midgd.tl.rank_mirnas(cells, **{"groupby": "kind", "sample_key": "donor"} | change)
    assert "rank_genes_groups" not in cells.uns["mirna"]
