"""Differences as AnnData; the user's object is as it was."""

from __future__ import annotations

from dataclasses import replace

import anndata as ad
import numpy as np
import pytest

import midgd
from midgd.reference import Reference


@pytest.fixture
def inferred(toy_query: ad.AnnData, toy_generative: Reference) -> ad.AnnData:
    midgd.tl.infer_mirna(toy_query, toy_generative)
    return toy_query


def test_differences_of_every_cell(inferred: ad.AnnData, toy_generative: Reference) -> None:
    before = inferred.copy()
    found = midgd.tl.what_if(inferred, {"hsa-miR-21-5p": 0.7, "miR-122-3p": -0.4}, toy_generative)
    assert found.shape == (60, 600)
    assert list(found.obs_names) == list(inferred.obs_names)
    np.testing.assert_allclose(found.obsm["mirna"]["hsa-miR-21-5p"], 0.7, atol=2e-3)
    np.testing.assert_allclose(found.obsm["mirna"]["hsa-miR-122-3p"], -0.4, atol=2e-3)
    assert np.abs(found.X).max() > 0.01
    assert (found.obs["distance"] > 0).all()
    assert list(found.obsm["in_latent"].columns) == ["hsa-miR-21-5p", "miR-122-3p"]
    # The changed latents decode to the differences.
    import torch

    z = [torch.from_numpy(np.asarray(a.obsm["X_midgd"])) for a in (inferred, found)]
    shares = [toy_generative.decoder.log_share(latent, "mrna").detach().numpy() for latent in z]
    np.testing.assert_allclose(found.X, shares[1] - shares[0], atol=1e-4)
    # Untouched.
    assert set(inferred.obsm) == set(before.obsm) and set(inferred.uns) == set(before.uns)
    np.testing.assert_array_equal(inferred.obsm["X_midgd"], before.obsm["X_midgd"])


def test_no_shift_changes_nothing(inferred: ad.AnnData, toy_generative: Reference) -> None:
    found = midgd.tl.what_if(inferred, {"hsa-miR-21-5p": 0.0}, toy_generative)
    np.testing.assert_allclose(found.X, 0.0, atol=1e-6)
    np.testing.assert_allclose(found.obsm["mirna"], 0.0, atol=1e-6)


def test_some_genes_and_cells_without_a_latent(inferred: ad.AnnData, toy_generative: Reference) -> None:
    whole = midgd.tl.what_if(inferred, {"hsa-miR-21-5p": 1.0}, toy_generative)
    inferred.obsm["X_midgd"][4] = np.nan
    some = midgd.tl.what_if(inferred, {"hsa-miR-21-5p": 1.0}, toy_generative, genes=["TP53", "ALB"])
    assert list(some.var_names) == ["TP53", "ALB"]
    assert np.isnan(some.X[4]).all() and np.isfinite(np.delete(some.X, 4, 0)).all()
    kept = np.arange(60) != 4
    np.testing.assert_allclose(some.X[kept], whole[:, ["TP53", "ALB"]].X[kept], atol=1e-3)


def test_the_latent_alone_moves_further(inferred: ad.AnnData, toy_generative: Reference) -> None:
    part, whole = (
        midgd.tl.what_if(inferred, {"hsa-miR-21-5p": 0.2}, toy_generative, whole=whole) for whole in (False, True)
    )
    assert part.obs["reached"].all()
    assert (whole.obs["distance"] > part.obs["distance"]).all()
    reached = whole.obs["reached"].to_numpy()
    assert reached.mean() > 0.8
    np.testing.assert_allclose(whole.obsm["in_latent"][reached], 1.0, atol=1e-2)


def test_what_the_latent_cannot_do_is_said(
    inferred: ad.AnnData, toy_generative: Reference, caplog: pytest.LogCaptureFixture
) -> None:
    found = midgd.tl.what_if(inferred, {"hsa-miR-21-5p": 9.0}, toy_generative, whole=True)
    short = found.obsm["mirna"]["hsa-miR-21-5p"] < 8.9
    np.testing.assert_array_equal(~found.obs["reached"], short)
    assert short.any() and f"not reached in {short.sum()} of 60 rows" in caplog.text


def test_results_under_another_key_and_level(toy_query: ad.AnnData, toy_generative: Reference) -> None:
    midgd.tl.infer_mirna(toy_query, toy_generative, level="stem-loop", key_added="stems", units="cpm")
    found = midgd.tl.what_if(toy_query, {"hsa-mir-21": 0.7}, toy_generative, key="stems")
    np.testing.assert_allclose(found.obsm["stems"]["hsa-mir-21"], 0.7, atol=2e-3)
    assert "X_stems" in found.obsm


def test_bad_input_is_one_clear_error(inferred: ad.AnnData, toy_generative: Reference) -> None:
    with pytest.raises(KeyError, match="Did you mean 'hsa-miR-21-5p'"):
        midgd.tl.what_if(inferred, {"hsa-miR-21-5q": 1.0}, toy_generative)
    with pytest.raises(KeyError, match="genes='NOGENE'"):
        midgd.tl.what_if(inferred, {"hsa-miR-21-5p": 1.0}, toy_generative, genes=["NOGENE"])
    with pytest.raises(ValueError, match="came from reference 'toy'"):
        other = replace(toy_generative, card=toy_generative.card | {"sha256": "0" * 64})
        midgd.tl.what_if(inferred, {"hsa-miR-21-5p": 1.0}, other)
    with pytest.raises(KeyError, match="infer_mirna"):
        midgd.tl.what_if(inferred, {"hsa-miR-21-5p": 1.0}, toy_generative, key="other")
    del inferred.obsm["X_midgd"]
    with pytest.raises(KeyError, match="latents of the results"):
        midgd.tl.what_if(inferred, {"hsa-miR-21-5p": 1.0}, toy_generative)
