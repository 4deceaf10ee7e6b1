from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from midgd.counts.multiples import COARSE, FINE, multiples, multiples_undone, precision_of

ROWS = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=12), min_size=1, max_size=5)


def flat(rows: list[list[int]], scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lengths = [len(row) for row in rows]
    values = np.array([value for row in rows for value in row], float) * scale
    return values, np.repeat(np.arange(len(rows)), lengths), np.cumsum([0, *lengths[:-1]])


@settings(deadline=None)
@given(ROWS, st.sampled_from([1.0, 0.93, 4.7]))
def test_multiples_are_those_of_exact_arithmetic(rows: list[list[int]], scale: float) -> None:
    tested, whole, step = multiples(*flat(rows, scale), FINE)
    for i, row in enumerate(rows):
        above = [Fraction(value, min(row)) for value in row if value > 1.02 * min(row)]
        assert tested[i] == len(above)
        assert whole[i] == sum(abs(ratio - round(ratio)) < Fraction(1, 50) for ratio in above)
        assert np.isclose(step[i], min(row) * scale)


def test_a_third_of_the_smallest_value_may_be_the_step() -> None:
    values, row, begin = flat([[3, 4, 5, 7, 8, 10, 11]], 0.5)
    assert multiples(values, row, begin, FINE)[1][0] == 0
    tested, whole, step = multiples(values, row, begin, FINE, most=3)
    assert (tested[0], whole[0], step[0]) == (6, 6, 0.5)


@settings(deadline=None)
@given(st.sets(st.integers(2, 40), min_size=4))
def test_undone_logarithms_are_whole(counts: set[int]) -> None:
    values, row, begin = flat([[1, *counts]], 3.3)
    tested, whole, different, in_all = multiples_undone(np.expm1, np.log1p(values), row, begin, FINE)
    assert tested[0] == whole[0] == different[0] == in_all == len(counts)


def test_values_that_have_a_step_already_are_not_undone() -> None:
    values, row, begin = flat([[1, 2, 3, 4, 5, 6, 7, 8]], 0.65)
    assert multiples_undone(np.square, values, row, begin, FINE)[1][0] == 0


def test_precision() -> None:
    values = np.random.default_rng(0).random(50)
    assert precision_of(values) is FINE
    assert precision_of(values.round(3)) is COARSE and precision_of(values.astype("f2").astype(float)) is COARSE
