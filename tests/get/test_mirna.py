import anndata as ad
import numpy as np
import pandas as pd
import pytest

import midgd


@pytest.fixture
def adata() -> ad.AnnData:
    adata = ad.AnnData(np.ones((3, 2)), obs=pd.DataFrame({"type": list("aab")}, index=list("xyz")))
    adata.obsm["mirna"] = pd.DataFrame(np.arange(6.0).reshape(3, 2), index=adata.obs_names, columns=["m1", "m2"])
    adata.obsm["mirna_sd"] = adata.obsm["mirna"] / 10
    adata.obsm["X_umap"] = np.zeros((3, 2))
    accuracy = {"bulk": np.array([0.7, np.nan], np.float32)}
    adata.uns["mirna"] = {"accessions": np.array(["MIMAT1", "MIMAT2"]), "accuracy": accuracy}
    return adata


def test_shares_what_plots_need(adata):
    mirna = midgd.get.mirna(adata)
    assert list(mirna.var_names) == ["m1", "m2"]
    assert list(mirna.var["accession"]) == ["MIMAT1", "MIMAT2"]
    np.testing.assert_array_equal(mirna.X, adata.obsm["mirna"])
    np.testing.assert_array_equal(mirna.layers["sd"], adata.obsm["mirna_sd"])
    assert set(mirna.obsm) == {"X_umap"} and list(mirna.obs["type"]) == list("aab")


def test_says_how_well_each_mirna_is_predicted(adata):
    np.testing.assert_array_equal(midgd.get.mirna(adata).var["spearman_bulk"], np.float32([0.7, np.nan]))
    del adata.uns["mirna"]
    assert midgd.get.mirna(adata).var.empty


def test_changes_do_not_reach_the_cells(adata):
    mirna = midgd.get.mirna(adata)
    mirna.obs["new"] = 1
    assert "new" not in adata.obs


def test_missing_results_name_the_next_step(adata):
    with pytest.raises(KeyError, match="infer_mirna"):
        midgd.get.mirna(adata, key="other")
