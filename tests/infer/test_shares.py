"""Shares add up to 1 at most, against a search for the level by bisection."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from midgd.infer.shares import at_most_all

shares = arrays(np.float64, st.sampled_from([(3, 7), (3, 40)]), elements=st.floats(0.0, 50.0))


def level_by_bisection(row: np.ndarray) -> float:
    low, high = 0.0, row.max()
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if np.minimum(row, middle).sum() < 1.0 else (low, middle)
    return high


@given(shares)
def test_the_largest_are_cut_to_the_level_that_leaves_all(values):
    found = at_most_all(torch.tensor(values)).numpy()
    for row, changed in zip(values, found, strict=True):
        expected = row if row.sum() <= 1.0 else np.minimum(row, level_by_bisection(row))
        np.testing.assert_allclose(changed, expected, atol=2e-6)


@given(shares)
def test_sums_and_order(values):
    found = at_most_all(torch.tensor(values)).numpy()
    assert (found.sum(1) <= 1.0 + 1e-9).all() and (found <= values).all() and (found >= 0.0).all()
    order = np.argsort(-values, axis=1, kind="stable")
    assert (np.diff(np.take_along_axis(found, order, 1), axis=1) <= 1e-12).all()


@pytest.mark.parametrize("share", [[0.2, 0.3], [0.5, 0.5], [0.0, 0.0]])
def test_what_fits_is_left_alone(share):
    values = torch.tensor([share])
    assert torch.equal(at_most_all(values.clone()), values)


def test_a_lymphocyte_has_no_more_of_one_mirna_than_it_has():
    found = at_most_all(torch.tensor([[3.0, 0.3, 0.1]]))
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.3, 0.1]]))


def test_a_share_of_any_size_is_cut():
    values = torch.full((1, 900), 1e-3)
    values[0, 5] = 1e9
    found = at_most_all(values.clone())
    torch.testing.assert_close(found[0, 5].item(), 1.0 - 0.899, atol=2e-6, rtol=0.0)
    assert torch.equal(found[0, 6:], values[0, 6:])
