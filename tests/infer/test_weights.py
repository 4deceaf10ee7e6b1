"""Every mixing weight against its rule."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from midgd.infer.weights import PARTS, mixing_weights, parts_of_answer

SURE, DEEP = torch.tensor([0.0, 0.3, 1.0]), torch.tensor([0.0, 1e3, 1e9])


def test_reliable_genes_have_the_weight_of_their_reliability():
    torch.testing.assert_close(mixing_weights(SURE, DEEP).deep, SURE)


def test_counts_have_a_quarter_at_a_thousand_molecules_and_half_at_most():
    torch.testing.assert_close(mixing_weights(SURE, DEEP).counts, torch.tensor([0.0, 0.25, 0.5]))


@pytest.mark.parametrize(("others", "expected"), [(None, 1.0), (0.0, 0.0), (0.2, 0.2), (0.5, 0.5), (1.0, 0.5)])
def test_all_genes_count_half_from_half_of_the_genes_beside_the_core(others, expected):
    assert mixing_weights(SURE, DEEP, others).all_genes == pytest.approx(expected)


CELL_CELL_TISSUE = torch.tensor([1.0, 1.0, 0.0])


def test_kinds_of_cells_add_from_their_floor_on_and_tissues_where_they_are_sure():
    p = torch.tensor([[0.1, 0.2, 0.7], [0.0, 0.1, 0.9], [0.15, 0.85, 0.0]])
    found = mixing_weights(SURE, DEEP, None, p, CELL_CELL_TISSUE).kinds
    expected = [[0.0, 0.05 / 0.7, 0.0], [0.0, 0.0, 0.2 / 0.3], [0.0, 1.0, 0.0]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_sample_that_is_unlike_its_kinds_gets_nothing_of_them():
    p, is_cell = torch.tensor([[0.85, 1.0]]).repeat(4, 1), torch.tensor([1.0, 0.0])
    likeness = torch.tensor([1.0, 0.8, 0.6, -1.0])
    found = mixing_weights(*(torch.ones(4),) * 2, None, p, is_cell, likeness).kinds
    np.testing.assert_allclose(found, [[1, 1], [0.5, 0.5], [0, 0], [0, 0]], atol=1e-5)
    torch.testing.assert_close(mixing_weights(*(torch.ones(4),) * 2, None, p, is_cell).kinds, torch.ones(4, 2))


def test_counts_of_a_sure_cell_say_nothing():
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    found = mixing_weights(SURE, torch.full((3,), 1e9), None, p, torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(found.counts, torch.tensor([0.0, 0.25, 0.5]))


def test_a_weight_of_counts_that_changes_nothing_is_none():
    p = torch.tensor([[0.99, 0.01], [0.985, 0.015], [0.97, 0.03]])
    found = mixing_weights(SURE, torch.full((3,), 1e9), None, p, torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(found.counts, torch.tensor([0.0, 0.0075 * 0.5, 0.015]), rtol=1e-4, atol=1e-6)


@given(
    reliability=st.floats(0, 1),
    molecules=st.floats(0, 1e8),
    others=st.none() | st.floats(0, 1),
    with_counts=st.booleans(),
)
def test_parts_of_the_maps_sum_to_one(reliability, molecules, others, with_counts):
    weights = mixing_weights(torch.tensor([reliability]), torch.tensor([molecules]), others)
    (parts,) = parts_of_answer(weights, with_counts=with_counts)
    assert len(parts) == len(PARTS) and bool(((parts >= 0) & (parts <= 1)).all())
    assert float(parts[:3].sum()) == pytest.approx(1.0, abs=1e-6)
    assert with_counts or parts[PARTS.index("counts_map")] == 0
    assert parts[PARTS.index("kinds")] == 0
