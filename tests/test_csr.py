"""Spans cover all rows and values once, and few values at a time; rows are those that scipy slices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from midgd import _csr
from midgd._csr import row_spans, rows_of


@pytest.mark.parametrize("values", [1, 40, 10_000])
@pytest.mark.parametrize("shape", [(0, 5), (1, 5), (50, 9)])
def test_every_row_and_value_once_and_in_order(monkeypatch, values, shape):
    monkeypatch.setattr(_csr, "VALUES", values)
    matrix = sparse.random(*shape, 0.4, "csr", rng=0)
    spans = list(row_spans(matrix))
    np.testing.assert_array_equal(np.concatenate([np.arange(shape[0])[rows] for rows, _ in spans]), np.arange(shape[0]))
    np.testing.assert_array_equal(np.concatenate([matrix.data[span] for _, span in spans]), matrix.data)
    for rows, span in spans:
        np.testing.assert_array_equal(matrix[rows].data, matrix.data[span])
        assert span.stop - span.start <= max(2 * values, matrix.shape[1])


@pytest.mark.parametrize("rows", [slice(0, 0), slice(0, 50), slice(3, 20), slice(40, 99), slice(50, 60)])
def test_rows_are_those_of_a_slice(rows):
    matrix = sparse.random(50, 9, 0.4, "csr", rng=0)
    found, expected = rows_of(matrix, rows), matrix[rows]
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.toarray(), expected.toarray())
