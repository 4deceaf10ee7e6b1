"""Patterns of what was measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from midgd.train import Modality, Mosaic


@given(mask=hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 5))), data=st.data())
def test_groups_visit_every_measured_entry_once(mask, data):
    modality = Modality.from_mask(np.zeros(mask.shape, np.float32), mask)
    rows = np.array(data.draw(st.lists(st.integers(0, len(mask) - 1), unique=True)), np.int64)
    visits = np.zeros(mask.shape, int)
    for positions, features in modality.groups(rows):
        visits[np.ix_(rows[positions], features)] += 1
    expected = np.zeros(mask.shape, int)
    expected[rows] = mask[rows]
    np.testing.assert_array_equal(visits, expected)
    np.testing.assert_array_equal(modality.measured, mask)
    np.testing.assert_array_equal(modality.present, mask.any(1))


def test_without_a_mask_everything_is_measured():
    modality = Modality.from_mask(np.ones((3, 4), np.int64))
    assert modality.counts.dtype == np.float32 and modality.measured.all() and modality.n_features == 4


def test_take_by_mask_and_by_position():
    counts = np.arange(12, dtype=np.float32).reshape(4, 3)
    mask = counts % 2 == 0
    mosaic = Mosaic({"mrna": Modality.from_mask(counts, mask), "mirna": Modality.from_mask(counts[:, :1])})
    rows = np.array([3, 1])
    part = mosaic.take(rows)
    np.testing.assert_array_equal(part["mrna"].counts, counts[rows])
    np.testing.assert_array_equal(part["mrna"].measured, mask[rows])
    by_mask = mosaic.take(np.array([False, True, False, True]))
    np.testing.assert_array_equal(by_mask["mrna"].counts, counts[[1, 3]])
    assert len(part) == 2 and len(mosaic) == 4 and mosaic.sizes == {"mrna": 3, "mirna": 1}


def test_shapes_that_disagree_are_refused():
    counts = np.zeros((4, 3), np.float32)
    with pytest.raises(ValueError, match="disagree"):
        Modality(counts, np.ones((1, 2), bool), np.zeros(4, np.int64))
    with pytest.raises(ValueError, match="disagree"):
        Modality(counts, np.ones((1, 3), bool), np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="same samples"):
        Mosaic({"mrna": Modality.from_mask(counts), "mirna": Modality.from_mask(counts[:2])})


def test_fingerprint_is_that_of_what_was_measured():
    counts = np.arange(12, dtype=np.float32).reshape(4, 3)
    mask = np.ones((4, 3), bool)
    mask[1, 2] = False

    def mark(counts: np.ndarray, mask: np.ndarray | None) -> str:
        return Mosaic({"mrna": Modality.from_mask(counts, mask)}).fingerprint()

    changed, unmeasured = counts.copy(), counts.copy()
    changed[0, 0], unmeasured[1, 2] = 1, np.nan
    assert mark(unmeasured, mask) == mark(counts, mask)
    assert len({mark(counts, mask), mark(changed, mask), mark(counts, None), mark(counts[::-1], mask)}) == 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_bad_measured_counts_are_named(value):
    counts = np.ones((3, 4), np.float32)
    counts[1, 2] = value
    with pytest.raises(ValueError, match="mrna: sample 1, feature 2"):
        Mosaic({"mrna": Modality.from_mask(counts)}).check()
    measured = np.ones((3, 4), bool)
    measured[1, 2] = False
    Mosaic({"mrna": Modality.from_mask(counts, measured)}).check()


def test_log_cpm_is_over_the_measured_features():
    counts = np.array([[1, 3, np.nan], [1, 3, 4], [np.nan, np.nan, np.nan]], np.float32)
    mask = np.array([[True, True, False], [True, True, True], [False, False, False]])
    expected = np.log1p(1e6 * np.array([[0.25, 0.75, 0], [0.125, 0.375, 0.5], [0, 0, 0]]))
    np.testing.assert_allclose(Modality.from_mask(counts, mask).log_cpm, expected, rtol=1e-6)


def test_tables_are_stacked_by_the_names_of_their_features():
    first = np.array([[1, 2]], np.float32), pd.Index(["a", "b"])
    second = np.array([[3, 4], [5, 6]], np.float32), pd.Index(["c", "a"])
    stacked = Modality.stack([first, second], pd.Index(["a", "c"]))
    assert stacked.counts.tolist() == [[1, 0], [4, 3], [6, 5]]
    assert stacked.measured.tolist() == [[True, False], [True, True], [True, True]]
