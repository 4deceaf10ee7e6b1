from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from midgd.metrics import adjusted_rand_index


def slow(a: Sequence[int], b: Sequence[int]) -> float:
    """From counting pairs of samples one by one."""
    pairs = list(combinations(range(len(a)), 2))
    same_a = sum(a[i] == a[j] for i, j in pairs)
    same_b = sum(b[i] == b[j] for i, j in pairs)
    both = sum(a[i] == a[j] and b[i] == b[j] for i, j in pairs)
    expected = same_a * same_b / len(pairs)
    return (both - expected) / ((same_a + same_b) / 2 - expected)


@pytest.mark.parametrize("seed", range(5))
def test_equals_counting_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(3, size=25), rng.integers(4, size=25)
    assert adjusted_rand_index(a, b) == pytest.approx(slow(a, b))


def test_names_do_not_matter_and_one_cluster_says_nothing() -> None:
    assert adjusted_rand_index(["x", "x", "y"], [5, 5, 2]) == 1.0
    assert adjusted_rand_index([0, 0, 1, 1], [0, 0, 0, 0]) == 0.0


def test_lengths_are_checked() -> None:
    with pytest.raises(ValueError, match="one length"):
        adjusted_rand_index([0, 1], [0])
