from __future__ import annotations

import numpy as np
import pytest

from midgd.metrics import expressed, log1p_cpm


def test_counts_shares_and_scaled_counts_agree() -> None:
    counts = np.array([[1, 3, 0], [10, 0, 90]])
    shares = counts / counts.sum(1, keepdims=True)
    np.testing.assert_allclose(log1p_cpm(counts), np.log(1 + 1e6 * shares))
    np.testing.assert_allclose(log1p_cpm(shares), log1p_cpm(counts))


def test_empty_row_stays_zero() -> None:
    assert log1p_cpm(np.zeros((1, 3))).tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("bad", [[[-1.0, 2.0]], [[np.nan, 2.0]]])
def test_negative_or_missing_values_are_refused(bad: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="negative or missing"):
        log1p_cpm(bad)


def test_vector_is_refused() -> None:
    with pytest.raises(ValueError, match="samples x features"):
        log1p_cpm([1.0, 2.0])


def test_expressed_in_more_than_a_tenth_of_the_samples() -> None:
    cpm = np.zeros((10, 4))
    cpm[:, 0], cpm[0, 1], cpm[:2, 2], cpm[:, 3] = 1.0, 5.0, 5.0, np.nan
    assert expressed(np.log1p(cpm)).tolist() == [False, False, True, False]
