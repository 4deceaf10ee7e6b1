"""The AnnData of miRNAs: every fact finds its miRNA by name, whatever was done to the table."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import midgd
from midgd.settings import logger

NAMES = [f"m{i}" for i in range(8)]


def cells(n: int = 3, units: str = "log1p_cpm") -> ad.AnnData:
    """Results as infer_mirna writes them: the value of cell i and miRNA j is 10 i + j, its sd a tenth of it."""
    names = pd.Index([f"c{i}" for i in range(n)])
    adata = ad.AnnData(np.ones((n, 2), np.float32), obs=pd.DataFrame({"type": ["a"] * (n - 1) + ["b"]}, index=names))
    adata.obsm["mirna"] = pd.DataFrame(10.0 * np.arange(n)[:, None] + np.arange(8.0), names, NAMES, np.float32)
    adata.obsm["mirna_sd"] = adata.obsm["mirna"] / np.float32(10)
    table = pd.DataFrame({"accession": [f"MIMAT{i}" for i in range(8)], "spearman_bulk": np.arange(8) / 8}, NAMES)
    table.loc["m1", "spearman_bulk"] = np.nan
    adata.uns["mirna"] = {"midgd_version": "0", "params": {"units": units, "level": "mature"}, "mirnas": table}
    return adata


def check(mirna: ad.AnnData) -> None:
    """Whether values, deviations, accessions and accuracies belong to the names."""
    cell, number = (pd.Series(names).str[1:].astype(int).to_numpy() for names in (mirna.obs_names, mirna.var_names))
    np.testing.assert_array_equal(mirna.X, 10 * cell[:, None] + number)
    np.testing.assert_allclose(mirna.layers["sd"], mirna.X / 10, rtol=1e-6)
    assert list(mirna.var["accession"]) == [f"MIMAT{i}" for i in number]
    np.testing.assert_array_equal(mirna.var["spearman_bulk"], np.where(number == 1, np.nan, number / 8))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    columns=st.lists(st.sampled_from(NAMES), min_size=1, unique=True),
    rows=st.lists(st.integers(0, 4), min_size=1, unique=True),
    sd_order=st.permutations(NAMES),
)
def test_any_order_and_selection(columns: list[str], rows: list[int], sd_order: list[str]) -> None:
    adata = cells(5)
    adata.obsm["mirna"], adata.obsm["mirna_sd"] = adata.obsm["mirna"][columns], adata.obsm["mirna_sd"][sd_order]
    mirna = midgd.get.mirna(adata[rows])
    assert list(mirna.var_names) == columns and list(mirna.obs_names) == [f"c{i}" for i in rows]
    check(mirna)


@pytest.mark.parametrize("merge", ["first", "same", "unique"])
@pytest.mark.parametrize("join", ["inner", "outer"])
def test_concatenated_tables_of_different_order(join: str, merge: str) -> None:
    adata = cells(6)
    first, second = adata[:3].copy(), adata[3:].copy()
    for name in ("mirna", "mirna_sd"):
        first.obsm[name] = first.obsm[name][NAMES[::-1]]
    check(midgd.get.mirna(ad.concat([first, second], join=join, uns_merge=merge)))


def test_other_mirnas_get_no_accession_of_their_neighbours() -> None:
    first, second = cells(3), cells(3)
    second.obs_names = ["d0", "d1", "d2"]
    for name in ("mirna", "mirna_sd"):
        second.obsm[name] = second.obsm[name].rename(columns=lambda column: f"{column}-stem")
    second.uns["mirna"]["mirnas"] = second.uns["mirna"]["mirnas"].rename(index=lambda column: f"{column}-stem")
    mirna = midgd.get.mirna(ad.concat([second, first], join="outer", uns_merge="first"))
    stems = mirna.var_names.str.endswith("-stem")
    assert (mirna.var["accession"][~stems] == "").all() and (mirna.var["accession"][stems] != "").all()
    assert mirna.var["spearman_bulk"][~stems].isna().all()
    with pytest.raises(ValueError, match=r"no columns left.*join='outer'"):
        midgd.get.mirna(ad.concat([second, first], join="inner", uns_merge="first"))


@pytest.mark.parametrize("write", ["write_h5ad", "write_zarr"])
def test_files(write: str, tmp_path) -> None:
    read = {"write_h5ad": ad.read_h5ad, "write_zarr": ad.read_zarr}[write]
    adata = cells()
    getattr(adata, write)(tmp_path / "cells")
    check(midgd.get.mirna(read(tmp_path / "cells")))
    getattr(midgd.get.mirna(adata), write)(tmp_path / "mirna")
    check(read(tmp_path / "mirna"))


def test_without_notes_there_are_values_and_no_accessions() -> None:
    adata = cells()
    del adata.uns["mirna"]
    assert midgd.get.mirna(adata).var.empty and "log1p" not in midgd.get.mirna(adata).uns
    adata.uns["mirna"] = {"accessions": np.array(["MIMAT0"])}  # of another package, or without names
    assert midgd.get.mirna(adata).var.empty


@pytest.mark.parametrize("table", [None, np.ones((3, 8))])
def test_deviations_without_names_are_left_out(table) -> None:
    adata = cells()
    del adata.obsm["mirna_sd"]
    if table is not None:
        adata.obsm["mirna_sd"] = table
    assert "sd" not in midgd.get.mirna(adata).layers


def test_changes_do_not_reach_the_cells() -> None:
    adata = cells()
    adata.obsm["X_umap"] = np.zeros((3, 2))
    adata.uns["type_colors"] = ["#000000", "#ffffff"]
    mirna = midgd.get.mirna(adata)
    mirna.X[:], mirna.layers["sd"][:], mirna.obsm["X_umap"][:] = -1, -1, -1
    mirna.obs["new"], mirna.uns["type_colors"][0] = 1, "#ff0000"
    mirna.uns["mirna"]["params"]["units"] = "other"
    check(midgd.get.mirna(adata))
    assert "new" not in adata.obs and not adata.obsm["X_umap"].any() and adata.uns["type_colors"][0] == "#000000"
    assert adata.uns["mirna"]["params"]["units"] == "log1p_cpm"


@pytest.mark.parametrize(("units", "base"), [("log1p_cpm", {"base": None}), ("cpm", None), ("share", None)])
def test_the_base_of_logarithms_is_that_of_the_values(units: str, base: dict[str, None] | None) -> None:
    adata = cells(units=units)
    adata.uns["log1p"] = {"base": 2}
    assert midgd.get.mirna(adata).uns.get("log1p") == base


def test_missing_results_name_the_next_step() -> None:
    with pytest.raises(KeyError, match="infer_mirna"):
        midgd.get.mirna(cells(), key="other")


def test_a_mirna_that_is_there_twice() -> None:
    adata = cells()
    adata.obsm["mirna"] = adata.obsm["mirna"][["m0", "m1", "m0"]]
    with pytest.raises(ValueError, match="'m0' more than once"):
        midgd.get.mirna(adata)


@pytest.mark.parametrize("merge", ["first", "same", None])
def test_parts_in_different_units_are_an_error(merge: str | None) -> None:
    first, second = cells(3), cells(3, units="cpm")
    second.obsm["mirna"] *= np.float32(1_000)
    with pytest.raises(ValueError, match="infer all parts in the same units before they are concatenated"):
        midgd.get.mirna(ad.concat([first, second], uns_merge=merge))


def test_lost_notes_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    logger.addHandler(caplog.handler)
    try:
        mirna = midgd.get.mirna(ad.concat([cells(3), cells(3)], index_unique="-"))
    finally:
        logger.removeHandler(caplog.handler)
    assert "the values are taken for log1p CPM" in caplog.text and mirna.shape == (6, 8)
