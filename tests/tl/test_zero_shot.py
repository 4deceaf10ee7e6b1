"""`infer_mirna(zero_shot=...)`: more columns, flagged, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import midgd
from midgd.infer import Predictor
from midgd.infer.uncertainty import TAIL_LEVELS
from midgd.reference import Reference
from midgd.zeroshot import ZeroShotMaps

NAMES = ["hsa-miR-9001-5p", "hsa-miR-9002-3p", "hsa-miR-9003"]


@pytest.fixture(scope="module")
def reference(toy_reference) -> Reference:
    """The toy reference with three zero-shot miRNAs: twice a mature miRNA, a gene, and always absent."""
    n_mature, n_genes = len(toy_reference.card["matures"]["name"]), len(toy_reference.genes.symbols)
    maps = ZeroShotMaps(
        np.zeros((n_mature, 2), np.float32),
        np.zeros((2, 3), np.float32),
        np.array([0, 1, -5], np.float32),
        *(np.array([4]), np.array([0]), np.array([2], np.float32)),
        *(np.array([n_genes - 1]), np.array([1]), np.array([0.5], np.float32)),
        np.add.outer(np.arange(5), [1, 2, 3]).astype(np.float32),
        np.full((5, 3), 5, np.float32),
    )
    card = {
        "name": NAMES,
        "accession": ["MIMAT9999991", "MIMAT9999992", ""],
        "evidence": ["other arm", "host gene", "x"],
    }
    card |= {"spearman_bulk": [0.5, 0.4, 0.3], "spearman_cells_left_out": [0.3, None, 0.1]}
    return replace(toy_reference, card=toy_reference.card | {"zero_shot": card}, zero_shot=maps)


def infer(adata: ad.AnnData, reference: Reference, **settings) -> ad.AnnData:
    return midgd.tl.infer_mirna(adata, reference, copy=True, **settings)


def test_more_columns_and_the_others_as_before(toy_query, reference):
    plain, more = infer(toy_query, reference), infer(toy_query, reference, zero_shot=True)
    assert list(more.obsm["mirna"].columns) == [*plain.obsm["mirna"].columns, *NAMES]
    pd.testing.assert_frame_equal(more.obsm["mirna"][plain.obsm["mirna"].columns], plain.obsm["mirna"])
    pd.testing.assert_frame_equal(more.obs, plain.obs)
    assert "zero_shot" not in midgd.get.mirna(plain).var and "zero_shot" not in plain.uns["mirna"]["params"]


def test_values(toy_query, reference):
    """Slow: outputs and denoised profiles of single rows, from the parts of the model."""
    found = infer(toy_query, reference, zero_shot=True).obsm["mirna"]
    from midgd.features import align_genes
    from midgd.train import Modality
    from midgd.train.queries import blocks

    alignment = align_genes(list(toy_query.var_names), reference.genes)
    counts = alignment.apply(toy_query.X)
    prediction = Predictor(reference, alignment.present)(counts)
    own = np.log1p(1e6 * prediction.share[:, reference.outputs("mature")])
    np.testing.assert_allclose(found[NAMES[0]], 2 * own[:, 4], rtol=1e-4)
    wide = np.zeros((len(own), len(reference.genes.symbols)), np.float32)
    wide[:, alignment.present] = counts.toarray()
    mask = np.zeros(wide.shape, bool)
    mask[:, alignment.present] = True
    for rows, shown, *_ in blocks(reference.decoder, Modality.from_mask(wide, mask), prediction.latent):
        expected = 1 + 0.5 * shown.denoised[:, -1].numpy()
        np.testing.assert_allclose(found[NAMES[1]].to_numpy()[rows], expected, rtol=1e-3)
    assert (found[NAMES[2]] == 0).all()


def test_flags_accuracies_and_intervals(toy_query, reference, tmp_path):
    adata = infer(toy_query, reference, zero_shot=True, uncertainty=True, sample_kind="tissue")
    adata.write_h5ad(tmp_path / "a.h5ad")
    mirna = midgd.get.mirna(ad.read_h5ad(tmp_path / "a.h5ad"))
    assert mirna.var["zero_shot"].sum() == 3 and mirna.var.loc[NAMES, "zero_shot"].all()
    assert mirna.var.loc[NAMES[0], ["accession", "evidence"]].tolist() == ["MIMAT9999991", "other arm"]
    np.testing.assert_allclose(mirna.var.loc[NAMES, "spearman_bulk"], [0.5, 0.4, 0.3])
    for i, name in enumerate(NAMES):  # as wide as where such values were predicted
        expected = np.interp(mirna[:, name].X.ravel(), TAIL_LEVELS, np.arange(5) + 1.0 + i)
        np.testing.assert_allclose(mirna[:, name].layers["sd"].ravel(), expected, rtol=1e-4)
    lower, upper = midgd.get.interval(adata)
    assert (lower[NAMES[0]] < adata.obsm["mirna"][NAMES[0]]).all() and upper.shape == lower.shape
    cells = infer(toy_query, reference, zero_shot=True, uncertainty=True, sample_kind="cell", units="cpm")
    cpm = cells.obsm["mirna"][NAMES[1]]
    np.testing.assert_allclose(cells.obsm["mirna_sd"][NAMES[1]], 5 * (1 + cpm), rtol=1e-4)


def test_some_by_name_in_any_spelling(toy_query, reference):
    every = infer(toy_query, reference, zero_shot=True).obsm["mirna"]
    some = infer(toy_query, reference, zero_shot=["hsa-miR-9003", "MIR-9001-5P", "hsa-miR-21-5p"])
    columns = list(some.obsm["mirna"].columns)
    assert columns[-2:] == [NAMES[0], NAMES[2]] and columns.count("hsa-miR-21-5p") == 1
    pd.testing.assert_frame_equal(some.obsm["mirna"], every[columns])
    assert midgd.get.mirna(some).var["zero_shot"].sum() == 2
    measured = infer(toy_query, reference, zero_shot=["hsa-miR-21-5p"])
    assert "zero_shot" not in midgd.get.mirna(measured).var


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"zero_shot": ["hsa-miR-77777"]}, "cannot give 'hsa-miR-77777'"),
        ({"zero_shot": True, "level": "stem-loop"}, "mature"),
    ],
)
def test_what_cannot_be_given(toy_query, reference, settings, message):
    with pytest.raises(ValueError, match=message):
        midgd.tl.infer_mirna(toy_query, reference, **settings)
    assert "mirna" not in toy_query.obsm


def test_a_reference_without(toy_query, toy_reference):
    with pytest.raises(ValueError, match="no zero-shot"):
        midgd.tl.infer_mirna(toy_query, toy_reference, zero_shot=True)


def test_groups_tables_and_files(toy_query, reference, tmp_path):
    expected = infer(toy_query, reference, zero_shot=True).obsm["mirna"]
    grouped = infer(toy_query, reference, zero_shot=True, groupby="cluster")
    assert list(grouped.uns["mirna"]["groups"].columns) == list(expected.columns)
    table = midgd.tl.infer_mirna(toy_query[:, :560].to_df(), reference, zero_shot=True)
    assert list(table.columns) == list(expected.columns)
    path = tmp_path / "out.h5ad"
    midgd.tl.infer_mirna(toy_query, reference, zero_shot=True, output=path, batch_size=7)
    back = ad.read_h5ad(path)
    np.testing.assert_allclose(back.X, expected.to_numpy(), rtol=1e-5, atol=1e-5)
    assert back.var["zero_shot"].sum() == 3


def test_saved_and_loaded(toy_query, reference, tmp_path):
    back = midgd.reference.load(reference.save(tmp_path / "r"))
    assert back.zero_shot_mirnas().names == tuple(NAMES)
    one, two = (infer(toy_query, r, zero_shot=True).obsm["mirna"] for r in (reference, back))
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("gene", np.array([10_000]), "zero_shot.gene"),
        ("relative_of", np.array([3]), "zero_shot.relative_of"),
        ("sd", np.full((5, 3), -1, np.float32), "negative"),
        ("basis", np.zeros((3, 2), np.float32), "zero_shot is for"),
    ],
)
def test_damaged_maps_are_not_read(reference, tmp_path, field, value, message):
    damaged = replace(reference, zero_shot=replace(reference.zero_shot, **{field: value}))
    with pytest.raises(ValueError, match=message):
        midgd.reference.load(damaged.save(tmp_path / "r"))


def test_a_card_without_maps_is_not_read(reference, tmp_path):
    with pytest.raises(ValueError, match="both"):
        midgd.reference.load(replace(reference, zero_shot=None).save(tmp_path / "r"))
