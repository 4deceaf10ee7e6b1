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
