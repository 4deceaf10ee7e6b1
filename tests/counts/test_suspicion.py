from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from midgd.counts.scale import row_scales
from midgd.counts.suspicion import WholeNumbers


def findings(values: np.ndarray, size: int = 1_000) -> dict[str, str]:
    whole = WholeNumbers()
    for a in range(0, len(values), size):
        whole.update(row_scales(sp.csr_matrix(values[a : a + size].astype(float))), values.shape[1], a)
    return dict(whole.findings("adata.X", lambda row: f"row {row}"))


def umis(depth: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.poisson(rng.dirichlet(np.full(800, 0.1)) * rng.uniform(0.3, 2, (200, 1)) * depth)


@pytest.mark.parametrize("depth", [5, 50, 500, 5_000, 100_000])
def test_nothing_is_odd_about_counts(depth: float) -> None:
    assert findings(umis(depth)) == {}


def normalised(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(x.sum(axis=1, keepdims=True), 1) * 1e4


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("binarised", umis(2_000) > 0),
        ("rounded", np.rint(np.log1p(normalised(umis(1_000))))),
        ("steps", np.rint(normalised(umis(300)))),
    ],
)
def test_what_is_odd_is_named(kind: str, values: np.ndarray) -> None:
    (found,) = findings(values).items()
    assert found[0] == kind and "rows of adata.X, first row 0, hold" in found[1]
    assert findings(values, size=7) == findings(values)


def test_a_few_odd_rows_are_accidents() -> None:
    x = umis(2_000)
    x[:5] = x[:5] > 0
    assert findings(x) == {}


def test_half_of_the_rows_are_enough() -> None:
    x = umis(2_000)
    x[100:] = x[100:] > 0
    assert findings(x)["binarised"].startswith("100 of 200 rows of adata.X, first row 100")


def test_a_few_deep_rows_do_not_speak_for_shallow_ones() -> None:
    x = umis(5)
    x[3, :40] = 1
    x[3, 40:] = 0
    assert findings(x) == {}
