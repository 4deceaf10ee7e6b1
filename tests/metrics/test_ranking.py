from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midgd.metrics import auroc


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_equals_counting_pairs(entries: list[tuple[int, bool]]) -> None:
    score = np.array([s for s, _ in entries], dtype=float)
    positive = np.array([p for _, p in entries])
    pairs = [(a > b) + 0.5 * (a == b) for a in score[positive] for b in score[~positive]]
    if pairs:
        assert auroc(score, positive) == pytest.approx(np.mean(pairs))
    else:
        assert np.isnan(auroc(score, positive))


def test_shapes_and_nan_are_checked() -> None:
    with pytest.raises(ValueError, match="one length"):
        auroc([1.0, 2.0], [True])
    with pytest.raises(ValueError, match="NaN"):
        auroc([1.0, np.nan], [True, False])
