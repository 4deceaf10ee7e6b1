"""Smoothed maps in AnnData: what is written, what get and squidpy make of it, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import midgd


@pytest.fixture
def spots(toy_query, toy_reference):
    toy_query.obsm["spatial"] = np.stack([np.arange(60) % 10, np.arange(60) // 10], 1) * 100.0
    midgd.tl.infer_mirna(toy_query, toy_reference, level="stem-loop")
    return toy_query


def test_what_is_written_goes_through_get_and_leaves_the_results_alone(spots):
    before = spots.obsm["mirna"].copy()
    midgd.tl.smooth_spatial(spots)
    midgd.tl.smooth_spatial(spots)  # an earlier result is replaced
    assert spots.obsm["mirna"].equals(before)
    smoothed = midgd.get.mirna(spots, key="mirna_smoothed")
    np.testing.assert_array_equal(smoothed.X, spots.obsm["mirna_smoothed"])
    assert list(smoothed.var_names) == list(before.columns) and (smoothed.var["accession"] != "").all()
    assert (spots.obsm["mirna_smoothed_map_sd"] >= 0).all(axis=None)
    at_spots = midgd.tl.smooth_spatial(spots, at=spots.obsm["spatial"])
    np.testing.assert_allclose(at_spots, spots.obsm["mirna_smoothed"], atol=1e-5)


def test_no_deviations_of_an_earlier_result_stay_beside_the_map(spots, toy_reference):
    midgd.tl.infer_mirna(spots, toy_reference, uncertainty=True, key_added="mirna_smoothed")
    midgd.tl.smooth_spatial(spots)
    assert "mirna_smoothed_sd" not in spots.obsm and spots.uns["mirna_smoothed"]["smoothed_from"] == "mirna"
    midgd.tl.infer_mirna(spots, toy_reference, key_added="mirna_smoothed")
    assert "mirna_smoothed_map_sd" not in spots.obsm and "smoothing" not in spots.uns["mirna_smoothed"]


def test_units_are_kept(spots, toy_reference):
    midgd.tl.smooth_spatial(spots)
    midgd.tl.infer_mirna(spots, toy_reference, level="stem-loop", units="cpm", key_added="cpm")
    midgd.tl.smooth_spatial(spots, "cpm")
    np.testing.assert_allclose(np.log1p(spots.obsm["cpm_smoothed"]), spots.obsm["mirna_smoothed"], atol=1e-3)


def test_each_section_has_a_map_of_its_own(spots):
    spots.obs["slide"] = ["a"] * 30 + ["b"] * 30
    alone = spots[:30].copy()
    spots.obsm["spatial"][30:] = spots.obsm["spatial"][:30]
    with pytest.raises(ValueError, match=r"30 spots are at the place of another.*sample_key="):
        midgd.tl.smooth_spatial(spots)
    assert "mirna_smoothed" not in spots.obsm
    midgd.tl.smooth_spatial(spots, sample_key="slide")
    midgd.tl.smooth_spatial(alone)
    np.testing.assert_allclose(spots.obsm["mirna_smoothed"][:30], alone.obsm["mirna_smoothed"], atol=1e-5)
    assert list(spots.uns["mirna_smoothed"]["smoothing"]["section"]) == ["a", "b"]
    with pytest.raises(ValueError, match="at= needs one section"):
        midgd.tl.smooth_spatial(spots, sample_key="slide", at=np.zeros((1, 2)))


def test_bad_input_leaves_the_spots_alone(spots):
    keys = set(spots.obsm), set(spots.uns), set(spots.obs)
    with pytest.raises(KeyError, match="no coordinates 'nowhere'"):
        midgd.tl.smooth_spatial(spots, spatial_key="nowhere")
    with pytest.raises(KeyError, match="no 'X_midgd', the latents"):
        latents = spots.obsm.pop("X_midgd")
        midgd.tl.smooth_spatial(spots)
    spots.obsm["X_midgd"] = np.full_like(latents, np.nan)
    with pytest.raises(ValueError, match=r"X_midgd.* has missing values"):
        midgd.tl.smooth_spatial(spots)
    spots.obsm["X_midgd"] = latents
    with pytest.raises(KeyError, match="depth='none'"):
        midgd.tl.smooth_spatial(spots, depth="none")
    with pytest.raises(ValueError, match="is the name of the results themselves"):
        midgd.tl.smooth_spatial(spots, key_added="mirna")
    with pytest.raises(ValueError, match="5 spots"):
        midgd.tl.smooth_spatial(spots[:5].copy())
    spots.X = spots.X.log1p()
    with pytest.raises(ValueError, match="pass depth="):
        midgd.tl.smooth_spatial(spots)
    assert (set(spots.obsm), set(spots.uns), set(spots.obs)) == keys


def test_morans_i_of_squidpy(spots):
    squidpy = pytest.importorskip("squidpy")
    spots.obsm["mirna"].iloc[:, 0] = (spots.obsm["spatial"][:, 0] / 100.0).astype(np.float32)  # a gradient
    mirnas = midgd.get.mirna(spots)
    squidpy.gr.spatial_neighbors_grid(mirnas, n_neighs=4)
    squidpy.gr.spatial_autocorr(mirnas, mode="moran")
    assert mirnas.uns["moranI"].loc[mirnas.var_names[0], "I"] > 0.5
    assert mirnas.uns["moranI"]["I"].idxmax() == mirnas.var_names[0]
