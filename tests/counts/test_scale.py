from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from midgd.counts import CountCheck
from midgd.counts.scale import Scale, row_scales, scale_of_unclear, scaled_by_gene, variance_over_mean

N_CELLS, N_GENES = 60, 400
UNDONE = {
    Scale.LOG_E: np.log1p,
    Scale.LOG_2: lambda x: np.log2(x + 1),
    Scale.LOG_10: lambda x: np.log10(x + 1),
    Scale.SQUARE_ROOT: np.sqrt,
    Scale.FREEMAN_TUKEY: lambda x: np.sqrt(x) + np.sqrt(x + 1),
    Scale.ANSCOMBE: lambda x: 2 * np.sqrt(x + 3 / 8),
}


def cells(seed: int, depth: float = 2_000.0, n: int = N_CELLS) -> np.ndarray:
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(N_GENES, 0.2))
    return rng.poisson(share * rng.uniform(0.5, 2, (n, 1)) * depth).astype(float)


def scales(values: np.ndarray) -> set[Scale]:
    return {Scale(int(scale)) for scale in row_scales(sp.csr_matrix(values)).scale}


def refused(values: np.ndarray) -> bool:
    check = CountCheck("X")
    try:
        check.update(values)
        check.finish()
    except ValueError:
        return True
    return False


@pytest.mark.parametrize("scale", UNDONE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_of_counts_are_named_row_by_row(scale: Scale, dtype: type) -> None:
    assert scales(UNDONE[scale](cells(0)).astype(dtype)) == {scale}


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(30, 5_000),
    st.sampled_from([1e4, 1e6, None]),
    st.sampled_from([np.log1p, np.sqrt]),
)
def test_functions_of_normalised_counts_never_pass(
    seed: int, depth: float, target: float | None, function: Callable[[np.ndarray], np.ndarray]
) -> None:
    x = cells(seed, depth)
    x = x[x.sum(axis=1) > 0]
    total = x.sum(axis=1, keepdims=True)
    assert refused(function(x / total * (target or np.median(total))).astype(np.float32))


@settings(deadline=None, max_examples=30)
# Of matrices of 60 cells of five counts, all halved, one in a hundred is refused: they cannot be told from logarithms.
@given(st.integers(0, 2**32 - 1), st.floats(10, 20_000), st.floats(0.3, 1), st.booleans())
def test_corrected_counts_of_any_depth_pass(seed: int, depth: float, kept: float, by_gene: bool) -> None:
    x = cells(seed, depth)
    left = 1 - (1 - kept) * np.random.default_rng(seed).beta(2, 5, x.shape) if by_gene else kept
    assert not refused((x * left).astype(np.float32))


@pytest.mark.parametrize("kept", [0.5, 0.8, 0.9])
def test_a_part_of_the_counts_corrected_passes(kept: float) -> None:
    for depth in (20, 100, 400, 5_000):
        x = cells(1, depth, 400)
        x[np.random.default_rng(2).random(x.shape) < 0.4] *= kept
        assert not refused(x)


def test_a_common_step_is_no_square_root() -> None:
    rounded = (cells(3, 50_000) * 0.65).round(2)
    assert Scale.SQUARE_ROOT not in scales(rounded)


def test_scaled_up_rows_are_normalised() -> None:
    x = cells(4)
    assert scales(x * 4.7) == {Scale.NORMALISED} and scales(x * 0.93) == {Scale.ESTIMATED}


def test_noise_tells_counts_from_logarithms() -> None:
    x = cells(5, 300) * (1 - 0.3 * np.random.default_rng(0).beta(2, 5, (N_CELLS, N_GENES)))
    logs = np.log1p(x * 7)
    assert variance_over_mean(sp.csr_matrix(x)) > 0.7 > 0.5 > variance_over_mean(sp.csr_matrix(logs))
    assert scale_of_unclear(sp.csr_matrix(x)) is Scale.ESTIMATED
    assert scale_of_unclear(sp.csr_matrix(logs)) is Scale.LOGARITHMS


def test_genes_divided_by_their_own_numbers() -> None:
    x = cells(6)
    assert scaled_by_gene(sp.csr_matrix(x / (x.std(axis=0) + 1e-9)))
    assert not scaled_by_gene(sp.csr_matrix(x * 0.9)) and not scaled_by_gene(sp.csr_matrix(x[:1]))


def test_stored_by_any_dtype_counts_are_counts() -> None:
    for dtype in ("int8", "uint16", "int64", "float32", "float64", "bool"):
        seen = row_scales(sp.csr_matrix(np.minimum(cells(7), 100).astype(dtype)))
        assert set(seen.scale) <= {Scale.EMPTY, Scale.COUNTS}


def test_an_empty_chunk() -> None:
    seen = row_scales(sp.csr_matrix((3, 5)))
    assert seen.scale.tolist() == [Scale.EMPTY] * 3 and seen.sums.tolist() == [0, 0, 0]
