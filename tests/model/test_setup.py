"""Set-up: modalities by name, columns, layers; one clear error for each mistake, and nothing registered then."""

from __future__ import annotations

import logging
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

from midgd.model import MIDGD


def _anndata(toy_pairs: Any) -> ad.AnnData:
    adata = ad.AnnData(toy_pairs.mrna.copy(), obs=toy_pairs.obs.copy(), var=pd.DataFrame(index=toy_pairs.genes))
    adata.obsm["mir"] = pd.DataFrame(toy_pairs.mirna, index=adata.obs_names, columns=toy_pairs.stem_loops)
    return adata


def test_arguments_and_data_are_on_record(make_model: Any, mdata: Any, capsys: Any) -> None:
    model = make_model(mdata, source_key="cohort", labels_key="cohort")
    assert model.registry["setup_method_name"] == "setup_mudata"
    assert model.registry["setup_args"]["modalities"] == {"mrna": "rna", "mirna": "mirna"}
    assert dict(model.summary_stats) == {"n_vars": 600, "n_cells": 120, "n_mirna": 40, "n_source": 3, "n_labels": 3}
    model.view_anndata_setup()
    shown = capsys.readouterr().out
    assert "source_key" in shown and "adata.mod['mirna'].X" in shown
    repr(model)
    assert "n_latent: 6" in (shown := capsys.readouterr().out) and "Not Trained" in shown


def test_modality_is_chosen_by_name_not_by_size_or_place(make_model: Any, mdata: Any) -> None:
    few = {"tissue": mdata["rna"][:, :30].copy(), "small": mdata["mirna"].copy()}
    model = make_model(MuData(few), modalities={"mrna": "tissue", "mirna": "small"})
    model.train(1, "cpu")
    assert len(model.reference.genes) == 30, "fewer genes than miRNAs are genes still"
    assert list(model.infer_mirna().columns) == list(mdata["mirna"].var_names)


def test_partly_named_modalities(make_model: Any, mdata: Any) -> None:
    renamed = MuData({"rna": mdata["rna"].copy(), "mir": mdata["mirna"].copy()})
    model = make_model(renamed, modalities={"mirna": "mir"})
    assert model.registry["setup_args"]["modalities"] == {"mrna": "rna", "mirna": "mir"}


def test_layers_are_read(make_model: Any, mdata: Any, toy_pairs: Any) -> None:
    for name in ("rna", "mirna"):
        mdata[name].layers["counts"] = mdata[name].X.copy()
        mdata[name].X = np.log1p(mdata[name].X)
    model = make_model(mdata, mrna_layer="counts", mirna_layer="counts")
    model.train(1, "cpu")
    assert model.get_latent_representation().shape == (120, 6)
    with pytest.raises(KeyError, match="counts"):
        model.get_latent_representation(ad.AnnData(toy_pairs.mrna, var=pd.DataFrame(index=toy_pairs.genes)))


def test_anndata_and_mudata_give_the_same_model(make_model: Any, mdata: Any, toy_pairs: Any) -> None:
    adata = _anndata(toy_pairs)
    MIDGD.setup_anndata(adata, mirna_obsm_key="mir")
    one, other = MIDGD(adata, n_latent=6, n_hidden=12, n_components=3), make_model(mdata)
    for model in (one, other):
        model.train(2, "cpu")
    pd.testing.assert_frame_equal(one.infer_mirna(), other.infer_mirna())
    with pytest.raises(TypeError, match="set up with AnnData"):
        one.infer_mirna(mdata)


def test_mature_names_are_recognised(toy_pairs: Any) -> None:
    adata = _anndata(toy_pairs)
    adata.obsm["mature"] = pd.DataFrame(toy_pairs.mature, index=adata.obs_names, columns=toy_pairs.matures)
    MIDGD.setup_anndata(adata, mirna_obsm_key="mature")
    model = MIDGD(adata, n_latent=3, n_hidden=0, n_components=2)
    model.train(1, "cpu")
    assert model.reference.levels == ("mature",)
    with pytest.raises(ValueError, match="stem-loop"):
        model.infer_mirna(level="stem-loop")


MUDATA_MISTAKES = [
    ({"modalities": {"mrna": "gex"}}, KeyError, "'gex'.*'rna'"),
    ({"modalities": {"rna": "rna"}}, ValueError, "'rna'"),
    ({"modalities": {"mrna": "mirna", "mirna": "rna"}}, ValueError, "swapped"),
    ({"modalities": {"mrna": "rna", "mirna": "rna"}}, ValueError, "both"),
    ({"mrna_layer": "counts"}, KeyError, "mrna_layer='counts'"),
    ({"mirna_layer": "counts"}, KeyError, "mirna_layer='counts'"),
    ({"source_key": "study"}, KeyError, "source_key='study'.*cohort"),
    ({"labels_key": "gaps"}, ValueError, "gaps.*2 of 120"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), MUDATA_MISTAKES)
def test_mistakes_with_mudata(mdata: Any, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    mdata.obs["gaps"] = [None, None, *["a"] * 118]
    with pytest.raises(error, match=message):
        MIDGD.setup_mudata(mdata, **arguments)
    with pytest.raises(ValueError, match="set up"):
        MIDGD(mdata)


def test_mistakes_with_anndata(toy_pairs: Any, mdata: Any) -> None:
    adata = _anndata(toy_pairs)
    adata.obsm["array"] = toy_pairs.mirna
    with pytest.raises(KeyError, match=r"'mirna'.*'mir'"):
        MIDGD.setup_anndata(adata, mirna_obsm_key="mirna")
    with pytest.raises(TypeError, match="no miRNA names"):
        MIDGD.setup_anndata(adata, mirna_obsm_key="array")
    with pytest.raises(KeyError, match="layer='counts'"):
        MIDGD.setup_anndata(adata, mirna_obsm_key="mir", layer="counts")
    with pytest.raises(TypeError, match="setup_mudata"):
        MIDGD.setup_anndata(mdata, mirna_obsm_key="mir")
    with pytest.raises(TypeError, match="setup_anndata"):
        MIDGD.setup_mudata(adata)
    with pytest.raises(ValueError, match="MIDGD needs data"):
        MIDGD()


def _with_antibodies(rna: ad.AnnData) -> ad.AnnData:
    """The genes, and three proteins of which one has the name of a gene and another is a logarithm."""
    proteins = ad.AnnData(
        np.random.default_rng(0).random((rna.n_obs, 3)).astype(np.float32) * 9,
        obs=pd.DataFrame(index=rna.obs_names),
        var=pd.DataFrame(index=["CD4", "CD8A", "IgG1_TotalSeqB"]),
    )
    both = ad.concat([proteins, rna], axis=1)
    both.var["feature_types"] = ["Antibody Capture"] * 3 + ["Gene Expression"] * rna.n_vars
    return both


def test_antibodies_in_the_mrna_are_not_trained_on(make_model: Any, mdata: Any, caplog: Any) -> None:
    both = MuData({"rna": _with_antibodies(mdata["rna"]), "mirna": mdata["mirna"].copy()})
    midgd_logger = logging.getLogger("midgd")
    midgd_logger.addHandler(caplog.handler)
    model, clean = make_model(both), make_model(mdata)
    midgd_logger.removeHandler(caplog.handler)
    assert "not counted: 3 columns, feature_types 'Antibody Capture' (CD4, CD8A, IgG1_TotalSeqB)" in caplog.text
    for one in (model, clean):
        one.train(2, "cpu")
    assert model.reference.genes.symbols == clean.reference.genes.symbols
    pd.testing.assert_frame_equal(model.infer_mirna(), clean.infer_mirna())
    pd.testing.assert_frame_equal(model.infer_mirna(mdata), clean.infer_mirna())


def test_guides_in_an_anndata_are_not_trained_on(toy_pairs: Any) -> None:
    adata = _anndata(toy_pairs)
    guides = ad.AnnData(adata.X[:, :2].copy(), obs=pd.DataFrame(index=adata.obs_names))
    guides.var_names = ["LYZ-1", "non-targeting_2"]
    both = ad.concat([adata, guides], axis=1)
    both.obs, both.obsm["mir"] = adata.obs.copy(), adata.obsm["mir"]
    MIDGD.setup_anndata(both, mirna_obsm_key="mir")
    model = MIDGD(both, n_latent=3, n_hidden=0, n_components=2)
    model.train(1, "cpu")
    assert list(model.reference.genes.symbols) == toy_pairs.genes


def test_nothing_but_antibodies_is_refused(mdata: Any) -> None:
    mdata["rna"].var["feature_types"] = "Antibody Capture"
    with pytest.raises(ValueError, match="no column holds gene expression"):
        MIDGD.setup_mudata(mdata)


@pytest.mark.parametrize("name", ["rna", "mirna"])
def test_logarithms_are_refused_at_set_up(make_mudata: Any, toy_pairs: Any, name: str) -> None:
    counts = toy_pairs.mrna if name == "rna" else toy_pairs.mirna
    logs = np.log1p(counts).astype(np.float32)
    mdata = make_mudata(**{"mrna" if name == "rna" else name: logs})
    with pytest.raises(ValueError, match=rf"mdata\['{name}'\].X looks log-normalised"):
        MIDGD.setup_mudata(mdata)


def test_duplicated_names_are_refused(mdata: Any) -> None:
    mdata["rna"].var_names = [*mdata["rna"].var_names[:-1], mdata["rna"].var_names[0]]
    with pytest.raises(ValueError, match="more than once, 'A2M'"):
        MIDGD.setup_mudata(mdata)


def test_nothing_in_common_is_refused(make_model: Any, mdata: Any) -> None:
    mdata["mirna"].X[:] = np.nan
    with pytest.raises(ValueError, match="no row has counts of both"):
        make_model(mdata).train(1, "cpu")
