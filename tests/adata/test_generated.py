"""Samples as AnnData: fields, kinds, guides, errors."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest

import midgd
from midgd._text import meant
from midgd.reference import Reference


def test_samples_look_like_inferred_ones(toy_generative: Reference, tmp_path: Path) -> None:
    sampled = toy_generative.sample(6, kind=["AAA", "CCC", "BBB"] * 2, seed=3)
    assert sampled.shape == (6, 600)
    assert sampled.obs["kind"].tolist() == ["AAA", "CCC", "BBB"] * 2
    assert list(sampled.obsm["mirna"].columns) == toy_generative.mirna_table("mature")["name"]
    assert sampled.obsm["X_midgd"].shape == (6, 6)
    assert sampled.obs["mirna_ood"].between(0, 1).all()
    mirnas = midgd.get.mirna(sampled)
    assert mirnas.shape == (6, sampled.obsm["mirna"].shape[1])
    sampled.write_h5ad(tmp_path / "sampled.h5ad")
    np.testing.assert_array_equal(ad.read_h5ad(tmp_path / "sampled.h5ad").X.toarray(), sampled.X.toarray())
    # The counts are counts: they can be inferred from as any others.
    again = sampled.copy()
    midgd.tl.infer_mirna(again, toy_generative)
    np.testing.assert_allclose(again.obs["mirna_ood"], sampled.obs["mirna_ood"], atol=1e-4)


def test_the_density_is_saved_and_gives_the_same_samples(toy_generative: Reference, tmp_path: Path) -> None:
    loaded = midgd.reference.load(toy_generative.save(tmp_path / "generative"))
    one, other = (reference.sample(3, kind="BBB", seed=5) for reference in (toy_generative, loaded))
    np.testing.assert_array_equal(one.X.toarray(), other.X.toarray())
    np.testing.assert_allclose(one.obsm["mirna"], other.obsm["mirna"], rtol=1e-5)


def test_depth_and_level(toy_generative: Reference) -> None:
    sampled = toy_generative.sample(50, depth=300, level="stem-loop")
    assert sampled.X.sum(1).mean() == pytest.approx(300, rel=0.05)
    assert list(sampled.obsm["mirna"].columns) == toy_generative.mirna_table("stem-loop")["name"]


@pytest.mark.parametrize(
    ("level", "name", "column"),
    [
        ("stem-loop", "mir-21", "hsa-mir-21"),
        ("mature", "MIMAT", "hsa-miR-122-5p"),
        ("mature", "hsa-miR-21", "hsa-miR-21-5p"),
    ],
)
def test_a_guide_by_name(toy_generative: Reference, level: str, name: str, column: str) -> None:
    if name.startswith("MIMAT"):
        table = toy_generative.mirna_table(level)
        name = table["accession"][table["name"].index(column)]
    plain, guided = (toy_generative.sample(10, level=level, guide=guide, seed=2) for guide in (None, {name: 0.5}))
    shift = (guided.obsm["mirna"] - plain.obsm["mirna"])[column]
    np.testing.assert_allclose(shift, 0.5, atol=5e-3)
    assert guided.uns["mirna"]["params"]["guide"] == {name: 0.5}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": 0}, ValueError, "at least 1"),
        ({"n": 2.5}, ValueError, "whole number"),
        ({"n": 2, "depth": -1}, ValueError, "depth=-1"),
        ({"n": 2, "kind": "AAB"}, KeyError, "Did you mean 'AAA'"),
        ({"n": 2, "kind": ["AAA"]}, ValueError, "1 names for n=2"),
        ({"n": 2, "guide": {"hsa-miR-2l-5p": 1.0}}, KeyError, "Did you mean .*'hsa-miR-21-5p'"),
        ({"n": 2, "guide": {"hsa-miR-21-5p": float("nan")}}, ValueError, "between -14 and 14"),
        ({"n": 2, "guide": {"hsa-miR-21-5p": 1.0, "hsa-miR-21": 1.0}}, ValueError, "under two names"),
        ({"n": 2, "guide": ["hsa-miR-21-5p"]}, ValueError, "must be a dictionary"),
        ({"n": 2, "level": "arm"}, ValueError, "level='arm'"),
    ],
)
def test_bad_arguments_are_one_clear_error(
    toy_generative: Reference, arguments: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        toy_generative.sample(**arguments)


def test_kinds_need_a_density(toy_reference: Reference) -> None:
    with pytest.raises(ValueError, match="no density"):
        toy_reference.sample(2, kind="AAA")
    assert toy_reference.sample(2).shape == (2, 600)


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("miR-21", "'hsa-miR-21-5p' or 'hsa-miR-21-3p'"),
        ("HSA-MIR-21-5P", "'hsa-miR-21-5p'"),
        ("hsa-miR-2l-5p", "'hsa-miR-21-5p'"),
        ("", ""),
        ("qqqq", ""),
        ("21-5p (", ""),
    ],
)
def test_names_of_which_it_is_a_part_come_before_those_spelled_alike(name, close):
    known = ["hsa-miR-921", "hsa-miR-21-5p", "hsa-miR-21-3p", "hsa-miR-210-3p"]
    found = meant(name, known)
    assert found.startswith(f" Did you mean {close}") if close else not found
