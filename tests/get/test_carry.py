"""What was computed from genes stays with the genes; what belongs to the cells comes along."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import midgd

sc = pytest.importorskip("scanpy")
matplotlib = pytest.importorskip("matplotlib")

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def analysed() -> ad.AnnData:
    """Two kinds of cells by genes, two others by miRNA, after the usual analysis of the genes."""
    rng = np.random.default_rng(0)
    genes, mirnas = np.arange(80) % 2, np.arange(80) < 40
    adata = ad.AnnData(rng.poisson(5, (80, 60)).astype(np.float32) + 40 * (genes[:, None] * (np.arange(60) < 30)))
    adata.obs_names, adata.var_names = [f"c{i}" for i in range(80)], [f"G{i}" for i in range(60)]
    adata.obs["kind"] = pd.Categorical(np.where(mirnas, "x", "y"))
    sc.pp.log1p(adata, base=2)
    sc.pp.pca(adata, n_comps=5)
    sc.pp.neighbors(adata, n_neighbors=5)
    sc.pp.neighbors(adata, n_neighbors=5, key_added="other")
    sc.tl.diffmap(adata, n_comps=4)
    sc.tl.rank_genes_groups(adata, "kind", method="t-test")
    sc.tl.rank_genes_groups(adata, "kind", method="t-test", key_added="markers")
    sc.tl.dendrogram(adata, "kind")
    adata.uns["moranI"] = pd.DataFrame({"I": 0.1}, index=adata.var_names)
    adata.uns["_scvi_uuid"] = "1"
    adata.obsm["X_umap"] = rng.normal(size=(80, 2))
    adata.obsm["spatial"] = rng.normal(size=(80, 2))
    for name in ("spatial", "near"):  # as squidpy writes them
        adata.obsp[f"{name}_connectivities"] = sparse.eye(80, format="csr")
        adata.obsp[f"{name}_distances"] = sparse.eye(80, format="csr")
        keys = {f"{part}_key": f"{name}_{part}" for part in ("connectivities", "distances")}
        adata.uns[f"{name}_neighbors"] = keys | {"params": {"coord_type": "grid"}}
    adata.uns["spatial"] = {"slide": {"images": {"hires": np.zeros((4, 4, 3))}}}
    adata.uns["kind_colors"] = ["#111111", "#222222"]
    adata.uns["study"] = {"title": "a study"}
    values = rng.normal(3.0, 0.1, (80, 60)).astype(np.float32) + np.where(mirnas, 2.0, 0.0)[:, None].astype(np.float32)
    values[:, 30:] = rng.normal(3.0, 0.1, (80, 30))
    adata.obsm["mirna"] = pd.DataFrame(values, adata.obs_names, [f"m{i}" for i in range(60)])
    adata.uns["mirna"] = {"midgd_version": "0", "params": {"units": "log1p_cpm"}}
    return adata


def test_what_belongs_to_the_cells_comes_along(analysed: ad.AnnData) -> None:
    mirna = midgd.get.mirna(analysed)
    assert set(mirna.obsm) == {"X_umap", "spatial"}
    assert set(mirna.obsp) == {f"{a}_{b}" for a in ("spatial", "near") for b in ("connectivities", "distances")}
    own = {"mirna", "log1p", "spatial", "spatial_neighbors", "near_neighbors", "kind_colors", "study"}
    assert set(mirna.uns) == own and mirna.uns["log1p"] == {"base": None}
    assert list(mirna.obs["kind"]) == list(analysed.obs["kind"])


def test_neighbours_are_those_of_the_mirnas(analysed: ad.AnnData) -> None:
    mirna = midgd.get.mirna(analysed)
    sc.pp.neighbors(mirna, n_neighbors=5)
    i, j = mirna.obsp["distances"].nonzero()
    kind = analysed.obs["kind"].to_numpy()
    assert (kind[i] == kind[j]).mean() > 0.95, "by genes it would be one in two"


@pytest.mark.parametrize("tool", [sc.tl.umap, sc.tl.diffmap, sc.tl.dpt])
def test_tools_ask_for_neighbours_of_the_mirnas(analysed: ad.AnnData, tool) -> None:
    with pytest.raises((ValueError, KeyError), match="neighbors"):
        tool(midgd.get.mirna(analysed))


def test_fold_changes_are_those_of_the_values(analysed: ad.AnnData) -> None:
    mirna = midgd.get.mirna(analysed)
    sc.tl.rank_genes_groups(mirna, "kind", method="t-test")
    found = sc.get.rank_genes_groups_df(mirna, "x").set_index("names")["logfoldchanges"]
    x, y = (np.expm1(mirna.X[analysed.obs["kind"] == kind, 0].mean()) for kind in ("x", "y"))
    assert found["m0"] == pytest.approx(np.log2(x / y), rel=1e-4)


def test_pictures_on_the_umap_of_the_genes(analysed: ad.AnnData) -> None:
    import matplotlib.pyplot as plt

    sc.pl.umap(midgd.get.mirna(analysed), color=["m0", "kind"], show=False)
    sc.pl.dotplot(midgd.get.mirna(analysed), ["m0", "m40"], "kind", show=False)
    plt.close("all")
