"""Prediction intervals of results in AnnData."""

from __future__ import annotations

import numpy as np
import pytest

import midgd
from midgd.infer.uncertainty import n_deviations


@pytest.fixture
def inferred(toy_query, toy_reference):
    midgd.tl.infer_mirna(toy_query, toy_reference, uncertainty=True)
    return toy_query


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_ends_are_as_many_deviations_away_as_hold_the_errors(inferred, toy_reference, level):
    lower, upper = midgd.get.interval(inferred, level)
    values, sd = inferred.obsm["mirna"].to_numpy(), inferred.obsm["mirna_sd"].to_numpy()
    half = n_deviations(level, toy_reference.calibration.tails, values) * sd
    np.testing.assert_allclose(upper, values + half, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(lower, np.maximum(values - half, 0.0), rtol=1e-3, atol=1e-3)
    assert (lower.columns == inferred.obsm["mirna"].columns).all() and (lower.index == inferred.obs_names).all()


@pytest.mark.parametrize("units", ["cpm", "share"])
def test_intervals_in_other_units_are_those_of_the_logarithms(toy_query, toy_reference, inferred, units):
    expected = midgd.get.interval(inferred)
    midgd.tl.infer_mirna(toy_query, toy_reference, uncertainty=True, units=units, key_added="other")
    scale = {"cpm": 1.0, "share": 1e-6}[units]
    for end, own in zip(expected, midgd.get.interval(toy_query, key="other"), strict=True):
        np.testing.assert_allclose(own, np.expm1(end) * scale, rtol=2e-3, atol=1e-3 * scale)


def test_intervals_survive_sorting_and_a_file(inferred, tmp_path):
    import anndata as ad

    lower, _ = midgd.get.interval(inferred)
    inferred.obsm["mirna"] = inferred.obsm["mirna"].iloc[:, ::-1]
    inferred.write_h5ad(tmp_path / "cells.h5ad")
    again, _ = midgd.get.interval(ad.read_h5ad(tmp_path / "cells.h5ad"))
    np.testing.assert_allclose(again[lower.columns], lower, rtol=1e-5)


def test_without_deviations_the_message_says_how_to_get_them(toy_query, toy_reference):
    midgd.tl.infer_mirna(toy_query, toy_reference)
    with pytest.raises(KeyError, match="uncertainty=True"):
        midgd.get.interval(toy_query)


@pytest.mark.parametrize("level", [0.0, 1.0, 90])
def test_levels_are_between_0_and_1(inferred, level):
    with pytest.raises(ValueError, match="between 0 and 1"):
        midgd.get.interval(inferred, level)


def test_a_smoothed_map_has_none_and_the_message_names_where_they_are(inferred):
    inferred.obsm["spatial"] = np.stack([np.arange(60) % 10, np.arange(60) // 10], 1) * 100.0
    midgd.tl.smooth_spatial(inferred)
    with pytest.raises(KeyError, match=r"is a map of midgd.tl.smooth_spatial.*Intervals of single spots: key='mirna'"):
        midgd.get.interval(inferred, key="mirna_smoothed")


def test_without_notes_there_are_none(inferred):
    import anndata as ad

    with pytest.raises(KeyError, match=r"anndata\.concat needs uns_merge='first'"):
        midgd.get.interval(ad.concat([inferred[:30], inferred[30:]]))
