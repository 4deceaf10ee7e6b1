"""The fewer counts cells have, the wider are their intervals and the higher their scores."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest

import midgd

pytest.importorskip("scanpy")  # its demo cells

DEPTHS = (None, 300, 100, 20, 5, 2)


@pytest.fixture(scope="module")
def by_depth() -> dict[int | None, ad.AnnData]:
    whole = midgd.datasets.pbmc68k_counts()[::7].copy()
    counts, rng = whole.X.toarray().astype(int), np.random.default_rng(0)
    answers = {}
    for depth in DEPTHS:
        cells = whole.copy()
        if depth is not None:
            share = np.minimum(1, depth / counts.sum(1, keepdims=True))
            cells.X = rng.binomial(counts, share).astype(np.float32)
        midgd.tl.infer_mirna(cells, uncertainty=True)
        answers[depth] = cells
    return answers


def test_all_are_judged_as_cells(by_depth):
    assert {cells.uns["mirna"]["sample_kind"] for cells in by_depth.values()} == {"cell"}


def test_intervals_get_wider_as_counts_fall(by_depth):
    width = [np.subtract(*midgd.get.interval(cells)[::-1]).mean(axis=None) for cells in by_depth.values()]
    assert width[1] > 0.98 * width[0] and (np.diff(width[1:]) > 0).all()


def test_a_filter_on_the_score_does_not_keep_the_emptiest(by_depth):
    kept = [float((cells.obs["mirna_ood"] < 0.5).mean()) for cells in by_depth.values()]
    assert kept[0] > 0.85 and kept[1] > 0.8 and max(kept[4:]) < 0.05
    assert kept[1] > max(kept[2:])


def test_most_cells_of_twenty_counts_that_it_keeps_are_taken_for_what_they_are(by_depth):
    cells = by_depth[20].obs
    labels, nearest = cells["bulk_labels"].astype(str), cells["mirna_nearest"].astype(str)
    kinds = {
        "CD4|CD8": "T cell",
        "CD19": "B cell",
        "CD56": "NK cell",
        "CD14": "monocyte",
        "Dendritic": "dendritic cell",
    }
    right = np.zeros(len(cells), bool)
    for label, kind in kinds.items():
        right |= labels.str.contains(label) & nearest.str.contains(kind)
    kept = cells["mirna_ood"] < 0.5
    assert right[kept].mean() > max(0.5, right[~kept].mean())
