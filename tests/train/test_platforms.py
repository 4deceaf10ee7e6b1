"""Offsets of a platform, tied to the kinds that two measured."""

from __future__ import annotations

import numpy as np

from midgd.train import remove_offset, tied_offset


def f32(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_offset_is_the_mean_difference_shrunk_by_one_kind():
    standard = f32([8.0, 7.0], [9.0, 6.0], [10.0, 8.0])
    found = tied_offset(standard + np.float32(2.0), standard)
    np.testing.assert_allclose(found, [1.5, 1.5], rtol=1e-5)


def test_what_neither_platform_sees_has_no_offset():
    found = tied_offset(f32([1.5, 9.0]), f32([0.5, 7.0]))
    assert found[0] == 0.0 and found[1] > 0.9


def test_unmeasured_kinds_are_left_out():
    found = tied_offset(f32([9.0, np.nan], [9.0, 9.0]), f32([8.0, 8.0], [8.0, 8.0]))
    np.testing.assert_allclose(found, [2 / 3, 1 / 2], rtol=1e-5)


def test_an_offset_fades_where_a_profile_has_none_of_the_mirna():
    found = remove_offset(f32([0.0, 8.0, np.nan]), f32([2.0, 2.0, 2.0])[0])
    np.testing.assert_allclose(found, [[0.0, 6.0, np.nan]], rtol=1e-5)
    assert (remove_offset(f32([0.5, 0.1]), f32([50.0, 50.0])[0]) == 0).all()
