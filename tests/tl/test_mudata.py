"""MuData: the modality with the mRNA gets the results, whatever it is called."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import midgd

mudata = pytest.importorskip("mudata")


@pytest.fixture
def multimodal(toy_query) -> mudata.MuData:
    protein = ad.AnnData(np.ones((50, 2), "f4"), obs=pd.DataFrame(index=toy_query.obs_names[:50]))
    return mudata.MuData({"prot": protein, "rna": toy_query.copy()})


@pytest.fixture
def expected(toy_query, toy_reference) -> pd.DataFrame:
    midgd.tl.infer_mirna(toy_query, toy_reference)
    return toy_query.obsm["mirna"]


def test_results_are_in_the_modality(multimodal, toy_reference, expected):
    assert midgd.tl.infer_mirna(multimodal, toy_reference) is None
    pd.testing.assert_frame_equal(multimodal["rna"].obsm["mirna"], expected)
    assert "mirna" not in multimodal["prot"].obsm
    pd.testing.assert_frame_equal(midgd.get.mirna(multimodal).to_df(), expected, check_names=False)
    midgd.tl.rank_mirnas(multimodal, "cluster")
    assert "rank_genes_groups" in midgd.get.mirna(multimodal).uns


def test_copy_leaves_the_original(multimodal, toy_reference, expected):
    done = midgd.tl.infer_mirna(multimodal, toy_reference, copy=True)
    pd.testing.assert_frame_equal(done["rna"].obsm["mirna"], expected)
    assert "mirna" not in multimodal["rna"].obsm


def test_modality_is_named_or_found(multimodal, toy_reference, expected):
    other = mudata.MuData({"x": multimodal["rna"], "y": multimodal["prot"]})
    with pytest.raises(ValueError, match="name one with modality="):
        midgd.tl.infer_mirna(other, toy_reference)
    with pytest.raises(KeyError, match="modality='z' is not in the MuData"):
        midgd.tl.infer_mirna(other, toy_reference, modality="z")
    midgd.tl.infer_mirna(other, toy_reference, modality="x")
    pd.testing.assert_frame_equal(other["x"].obsm["mirna"], expected)


def test_what_cannot_take_results(multimodal, toy_query, toy_reference):
    with pytest.raises(ValueError, match="call its copy"):
        midgd.tl.infer_mirna(multimodal[:20], toy_reference)
    with pytest.raises(ValueError, match="is for MuData"):
        midgd.tl.infer_mirna(toy_query, toy_reference, modality="rna")
    with pytest.raises(KeyError, match="found none"):
        midgd.get.mirna(multimodal)
