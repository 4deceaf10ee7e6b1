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
    assert (np.diff(width) > 0).all()


def test_a_filter_on_the_score_does_not_keep_the_emptiest(by_depth):
    kept = [float((cells.obs["mirna_ood"] < 0.5).mean()) for cells in by_depth.values()]
    assert kept[0] > 0.85 and kept[1] > 0.8 and max(kept[3:]) < 0.05
    assert kept[1:] == sorted(kept[1:], reverse=True)
