"""Queries: any container, subset, order and part of the genes gives the right rows, or a clear error."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

from midgd.model import MIDGD


def _close(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, rtol=1e-4, atol=1e-4)


def test_subset_and_order_of_rows(model: MIDGD) -> None:
    everything, latent = model.infer_mirna(), model.get_latent_representation()
    rows = np.r_[110, 5, 70:60:-1, 0]
    part = model.adata[rows].copy()
    _close(model.infer_mirna(part), everything.iloc[rows])
    np.testing.assert_allclose(model.get_latent_representation(part), latent[rows], atol=1e-3)


def test_modalities_in_different_order_follow_the_mudata(model: MIDGD) -> None:
    mdata = model.adata
    shuffled = MuData({"mirna": mdata["mirna"].copy(), "rna": mdata["rna"][::-1].copy()})
    _close(model.infer_mirna(shuffled), model.infer_mirna().loc[shuffled.obs_names])


def test_reordered_genes(model: MIDGD) -> None:
    order = np.random.default_rng(0).permutation(600)
    _close(model.infer_mirna(model.adata["rna"][:, order].copy()), model.infer_mirna())


def test_fewer_genes_are_left_out_not_zero(model: MIDGD) -> None:
    some = model.adata["rna"][:, ::2].copy()
    full, fewer = model.infer_mirna(), model.infer_mirna(some)
    zeros = model.adata["rna"].copy()
    zeros.X[:, 1::2] = 0
    error = np.abs(fewer - full).to_numpy().mean()
    assert error < np.abs(model.infer_mirna(zeros) - full).to_numpy().mean()
    assert error < 0.3


def test_containers_give_the_same(model: MIDGD, toy_query: ad.AnnData, tmp_path: Any) -> None:
    expected = model.infer_mirna(toy_query)
    assert list(expected.index) == list(toy_query.obs_names) and expected.shape == (60, 40)
    frame = pd.DataFrame(toy_query.X.toarray(), toy_query.obs_names, toy_query.var_names)
    without_mirna = MuData({"rna": toy_query})
    dense, columns = toy_query.copy(), toy_query.copy()
    dense.X, columns.X = dense.X.toarray(), sparse.csc_matrix(columns.X)
    toy_query.write_h5ad(tmp_path / "query.h5ad")
    backed = ad.read_h5ad(tmp_path / "query.h5ad", backed="r")
    for query in (frame, without_mirna, dense, columns, backed, toy_query[:, ::-1]):
        _close(model.infer_mirna(query), expected)


def test_equals_the_tool_with_the_written_reference(model: MIDGD, toy_query: ad.AnnData, tmp_path: Any) -> None:
    import midgd

    values, sd = model.infer_mirna(toy_query, units="cpm", uncertainty=True)
    path = model.to_reference(tmp_path / "my_cohort")
    midgd.tl.infer_mirna(toy_query, reference=path, level="stem-loop", units="cpm", uncertainty=True)
    _close(values, toy_query.obsm["mirna"])
    _close(sd, toy_query.obsm["mirna_sd"])
    np.testing.assert_allclose(model.get_latent_representation(toy_query), toy_query.obsm["X_midgd"], atol=1e-5)
    assert toy_query.uns["mirna"]["reference"]["name"] == "my_cohort"


def test_write_into_anndata(model: MIDGD, toy_query: ad.AnnData) -> None:
    import midgd

    values = model.infer_mirna(toy_query, write_to="mine")
    pd.testing.assert_frame_equal(toy_query.obsm["mine"], values)
    assert toy_query.obsm["X_mine"].shape == (60, 6) and "mine_ood" in toy_query.obs
    assert midgd.get.mirna(toy_query, key="mine").shape == (60, 40)


def test_write_into_mudata(model: MIDGD, make_mudata: Any) -> None:
    mdata = make_mudata()
    mdata["rna"].X[3] = np.nan
    values, sd = model.infer_mirna(mdata, uncertainty=True, write_to="mirna_inferred")
    written = mdata["mirna_inferred"]
    assert list(written.obs_names) == [name for name in mdata.obs_names if name != "S003"]
    _close(written.to_df(), values.drop("S003"))
    np.testing.assert_array_equal(written.layers["sd"], sd.drop("S003").to_numpy())
    assert written.obs["mirna_ood"].between(0, 1).all() and written.obsm["X_midgd"].shape == (119, 6)
    assert list(mdata.mod) == ["mirna", "rna", "mirna_inferred"] and mdata.n_obs == 120
    model.infer_mirna(mdata, write_to="mirna_inferred", units="share")  # again: replaced
    assert np.median(np.asarray(mdata["mirna_inferred"].X).sum(1)) == pytest.approx(1.0, abs=0.5)


def test_results_survive_a_file(model: MIDGD, make_mudata: Any, tmp_path: Any) -> None:
    import mudata

    mdata = make_mudata()
    values = model.infer_mirna(mdata, write_to="mirna_inferred")
    mdata.write_h5mu(tmp_path / "x.h5mu")
    again = mudata.read_h5mu(tmp_path / "x.h5mu")
    _close(again["mirna_inferred"].to_df(), values)
    _close(model.infer_mirna(again), values)


def test_normalized_expression(model: MIDGD, toy_pairs: Any) -> None:
    share = model.get_normalized_expression()
    assert list(share.columns) == toy_pairs.genes
    np.testing.assert_allclose(share.sum(axis=1), 1.0, atol=1e-5)
    cpm = model.get_normalized_expression(gene_list=["EPCAM", "CD4"], library_size=1e6)
    np.testing.assert_allclose(cpm, share[["EPCAM", "CD4"]] * 1e6, rtol=1e-5)
    true = toy_pairs.mrna / toy_pairs.mrna.sum(1, keepdims=True)
    assert np.median([np.corrcoef(true[:, g], share.to_numpy()[:, g])[0, 1] for g in range(600)]) > 0.6
    with pytest.raises(KeyError, match=r"1 of 2 genes.*'NOGENE'"):
        model.get_normalized_expression(gene_list=["EPCAM", "NOGENE"])


def test_prior_samples(model: MIDGD, toy_pairs: Any) -> None:
    sample, again, other = (model.sample_prior(50, seed=seed) for seed in (1, 1, 2))
    assert sample.latent.shape == (50, 6)
    assert sample.mrna.shape == (50, 600) and list(sample.mirna.columns) == toy_pairs.stem_loops
    np.testing.assert_allclose(sample.mrna.sum(axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(sample.mirna.sum(axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(sample.latent, again.latent)
    assert not np.array_equal(sample.latent, other.latent)
    spread = model.get_latent_representation().std(0)
    assert (sample.latent.std(0) < 5 * spread + 0.5).all()
    with pytest.raises(ValueError, match="n=0"):
        model.sample_prior(0)


def test_samples_are_those_of_the_reference(model: MIDGD) -> None:
    name = model.reference.mirna_table(model.reference.levels[0])["name"][3]
    plain, guided, same = (
        model.sample(8, seed=1),
        model.sample(8, guide={name: 0.4}, seed=1),
        model.reference.sample(8, seed=1),
    )
    np.testing.assert_array_equal(plain.X.toarray(), same.X.toarray())
    np.testing.assert_allclose((guided.obsm["mirna"] - plain.obsm["mirna"])[name], 0.4, atol=1e-2)
    with pytest.raises(KeyError, match="kinds of reference"):
        model.sample(2, kind="liver")


def _mistakes(adata: ad.AnnData, mdata: MuData) -> list[tuple[dict[str, Any], type[Exception], str]]:
    log = adata.copy()
    log.X = log.X.log1p()
    return [
        ({"data": MuData({"gex": adata})}, KeyError, "'rna'.*'gex'"),
        ({"data": log}, ValueError, "log-normalised"),
        ({"data": adata[:, :20].copy()}, ValueError, "reference genes found"),
        ({"data": mdata["mirna"]}, ValueError, "reference genes found"),
        ({"data": adata.X}, TypeError, "gene names"),
        ({"data": adata, "units": "rpm"}, ValueError, "units='rpm'"),
        ({"data": adata, "level": "mature"}, ValueError, "level='mature'"),
        ({"data": mdata, "write_to": "mirna"}, ValueError, "measured"),
        ({"data": mdata[:10], "write_to": "x"}, ValueError, "view"),
        ({"data": adata.to_df(), "write_to": "x"}, ValueError, "DataFrame"),
    ]


@pytest.mark.parametrize("i", range(10))
def test_mistakes_are_one_clear_error_and_change_nothing(model: MIDGD, mdata: MuData, toy_query: Any, i: int) -> None:
    arguments, error, message = _mistakes(toy_query, mdata)[i]
    with pytest.raises(error, match=message):
        model.infer_mirna(**arguments)
    assert "X_midgd" not in toy_query.obsm and list(mdata.mod) == ["mirna", "rna"]


@pytest.mark.parametrize("method", ["infer_mirna", "get_latent_representation", "sample_prior", "reference"])
def test_untrained(make_model: Any, mdata: Any, method: str) -> None:
    model = make_model(mdata)
    with pytest.raises(RuntimeError, match="not trained"):
        getattr(model, method)()
