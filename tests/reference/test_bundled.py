"""The bundled reference: what it knows, and answers that must not change unseen."""

from __future__ import annotations

import numpy as np
import pytest

import midgd
from midgd.reference import Reference


@pytest.fixture(scope="module")
def bundled() -> Reference:
    return midgd.reference.load()


def test_kinds_are_on_the_card_with_their_numbers_and_sources(bundled):
    table = bundled.card["kinds_table"]
    assert (
        len({len(column) for column in table.values()}) == 1
        and len(bundled.kind_names) == bundled.kinds.sizes["n_kinds"]
    )
    assert {"monocyte", "hepatocyte", "retina", "hepatoma line HepG2", "uveal melanoma (TCGA-UVM)"} <= set(
        table["name"]
    )
    assert min(table["n_mrna"]) >= 1 and min(table["n_mirna"]) >= 1 and all(table["sources"])


def test_sorted_blood_cells_are_near_their_kinds():
    adata = midgd.datasets.pbmc68k_counts()
    midgd.tl.infer_mirna(adata)
    nearest, labels = adata.obs["mirna_nearest"].astype(str), adata.obs["bulk_labels"].astype(str)
    assert adata.uns["mirna"]["sample_kind"] == "cell"
    for start, kinds in (("CD19", {"B cell", "plasma cell"}), ("CD14", {"monocyte", "non-classical monocyte"})):
        assert nearest[labels.str.startswith(start)].isin(kinds).mean() > 0.7
    inferred = adata.obsm["mirna"]["hsa-miR-143-3p"] / np.log(2.0)
    lymphocytes = labels.str.startswith(("CD4+", "CD8+", "CD19"))
    assert inferred[lymphocytes].median() < 10.0  # 13.9 before label pairs, 3.8 sorted: a panel of 722 genes


def test_answers_are_those_that_were_written_down(bundled, golden):
    wanted = golden.read()
    assert wanted.index.name == bundled.sha256, (
        "the bundled reference is another one than golden.tsv was written with: run python tests/golden.py, look at"
        " what changed, and commit both"
    )
    found = golden.answers()
    assert found.index.equals(wanted.index) and list(found.columns) == list(wanted.columns)
    np.testing.assert_allclose(found.to_numpy(), wanted.to_numpy(), rtol=0, atol=1e-4)


def test_zero_shot_mirnas_are_new_and_say_what_they_rest_on(bundled):
    table = bundled.card["zero_shot"]
    assert len(bundled.zero_shot) == len(table["name"]) > 500
    assert not set(table["name"]) & set(bundled.card["matures"]["name"])
    assert min(table["spearman_bulk"]) >= table["floor"] >= 0.25
    assert (bundled.zero_shot.sd > 0).all() and (bundled.zero_shot.cell_sd > 0).all()
    known, genes = set(bundled.card["matures"]["name"]), set(bundled.genes.symbols)
    assert {text.split()[-1] for text in table["evidence"]} <= known | genes


def test_zero_shot_mirnas_of_blood_cells():
    """Same values with and without them, all finite; they are not copies of each other."""
    adata = midgd.datasets.pbmc68k_counts()[:60]
    plain = midgd.tl.infer_mirna(adata, copy=True).obsm["mirna"]
    more = midgd.tl.infer_mirna(adata, zero_shot=True, copy=True).obsm["mirna"]
    np.testing.assert_array_equal(more[plain.columns], plain)
    added = more.drop(columns=plain.columns).to_numpy()
    assert np.isfinite(added).all() and (added >= 0).all() and (added.std(0) > 0.01).mean() > 0.5
