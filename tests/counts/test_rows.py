from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from midgd.counts import rows
from midgd.counts.rows import RowSource, computable, is_computable

N, M = 53, 17
SPARSE = (
    "csr",
    "csr_array",
    "csc",
    "coo",
    "lil",
    "h5ad csr",
    "h5ad csc",
    "zarr csr",
    "zarr csc",
    "dask csr",
    "dask csc",
    "dask csr_array",
    "dask csr grid",
)
DENSE = ("ndarray", "fortran", "matrix", "DataFrame", "nullable", "h5ad dense", "zarr", "dask", "dask grid")


@pytest.fixture(scope="module")
def dense() -> np.ndarray:
    values = np.random.default_rng(1).poisson(0.4, (N, M)).astype(np.float32)
    values[[0, 5, N - 1]] = 0
    return values


def on_disk(kind: str, dense: np.ndarray, folder: Path) -> Any:
    store, _, form = kind.partition(" ")
    matrix = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": np.asarray}[form](dense)
    if store == "h5ad":
        ad.AnnData(matrix).write_h5ad(folder / "a.h5ad")
        return ad.read_h5ad(folder / "a.h5ad", backed="r").X
    zarr = pytest.importorskip("zarr")
    ad.AnnData(matrix).write_zarr(folder / "a.zarr")
    return ad.io.sparse_dataset(zarr.open(folder / "a.zarr", mode="r")["X"])


def as_dask(kind: str, dense: np.ndarray) -> Any:
    da = pytest.importorskip("dask.array")
    uneven = (20, 1, 30, 2)
    chunks = (uneven, (10, 7) if kind.endswith("grid") else (M,))
    array = da.from_array(dense, chunks=chunks)
    if "cs" not in kind:
        return array
    make = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "csr_array": sp.csr_array}[kind.split()[1]]
    return array.map_blocks(make, dtype=dense.dtype, meta=make(np.zeros((0, 0), dense.dtype)))


def build(kind: str, dense: np.ndarray, folder: Path) -> Any:
    if kind.startswith("dask"):
        return as_dask(kind, dense)
    if kind.startswith(("h5ad", "zarr ")):
        return on_disk(kind, dense, folder)
    if kind == "zarr":
        zarr = pytest.importorskip("zarr")
        array = zarr.create_array(folder / "d.zarr", shape=dense.shape, chunks=(6, 5), dtype=dense.dtype)
        array[:] = dense
        return array
    in_memory: dict[str, Callable] = {
        "ndarray": np.asarray,
        "fortran": np.asfortranarray,
        "matrix": np.asmatrix,
        "DataFrame": pd.DataFrame,
        "nullable": lambda x: pd.DataFrame(x).astype({0: "Int64", 3: "Float32", 4: bool}).astype({4: int}),
        "csr": sp.csr_matrix,
        "csr_array": sp.csr_array,
        "csc": sp.csc_matrix,
        "coo": sp.coo_matrix,
        "lil": sp.lil_matrix,
    }
    return in_memory[kind](dense) if kind != "nullable" else in_memory[kind](np.minimum(dense, 1))


@pytest.mark.parametrize("kind", [*SPARSE, *DENSE])
def test_all_kinds_equal_dense(kind: str, dense: np.ndarray, tmp_path: Path) -> None:
    matrix = build(kind, dense, tmp_path)
    if kind == "dask csr_array":
        lookup = pytest.importorskip("dask.array.core").concatenate_lookup
        if lookup.dispatch(sp.csr_array) is np.concatenate:
            pytest.skip("this dask cannot join blocks of sparse arrays")
    expected = np.minimum(dense, 1) if kind == "nullable" else dense
    for batch_size, budget in [(None, 2**20), (None, 4 * M * 9), (1, 2**20), (20, 2**20), (7, 1)]:
        source = RowSource(matrix, batch_size=batch_size, memory_budget=budget)
        size = batch_size or max(1, budget // (4 * M))
        assert source.shape == (N, M)
        seen = list(source)
        assert [(a, b) for a, b, _ in seen] == [(a, min(a + size, N)) for a in range(0, N, size)]
        for a, b, chunk in seen:
            assert type(chunk) is (sp.csr_matrix if kind in SPARSE else np.ndarray)
            got = chunk.toarray() if sp.issparse(chunk) else chunk
            np.testing.assert_array_equal(got, expected[a:b])
    assert len(list(source)) == len(seen)  # an iteration starts anew


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_sparse_is_never_made_dense(form: str) -> None:
    # 4 million columns x 4,000 rows would take 64 GB dense.
    rng = np.random.default_rng(0)
    where = rng.integers(0, 4000, 1000), rng.integers(0, 4_000_000, 1000)
    matrix = sp.coo_matrix((rng.random(1000), where), shape=(4000, 4_000_000)).asformat(form)
    total = sum(chunk.sum() for _, _, chunk in RowSource(matrix, batch_size=500))
    assert total == pytest.approx(matrix.sum())


def test_nothing_is_read_before_the_iteration(tmp_path: Path, dense: np.ndarray) -> None:
    da = pytest.importorskip("dask.array")

    def fail(block: np.ndarray) -> np.ndarray:
        raise RuntimeError("read")

    source = RowSource(da.from_array(dense, chunks=5).map_blocks(fail, dtype=dense.dtype, meta=dense[:0, :0]))
    iterator = iter(source)
    with pytest.raises(RuntimeError, match="read"):
        next(iterator)


class Counted:
    """A stored matrix that counts how often it is asked."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.dtype, self.reads = values, values.shape, values.dtype, 0

    def __getitem__(self, index: slice) -> np.ndarray:
        self.reads += 1
        return self.values[index]


def test_small_batches_do_not_mean_small_reads(dense: np.ndarray) -> None:
    stored = Counted(dense)
    assert len(list(RowSource(stored, batch_size=1))) == N
    assert stored.reads == 1
    list(RowSource(stored, batch_size=50, memory_budget=4 * M * 10))
    assert stored.reads == 1 + 6  # the budget holds 10 rows


def test_dask_chunks_are_computed_once(dense: np.ndarray) -> None:
    da = pytest.importorskip("dask.array")
    computed = []

    def note(block: np.ndarray) -> np.ndarray:
        computed.append(block.shape)
        return block

    array = da.from_array(dense, chunks=(20, M)).map_blocks(note, dtype=dense.dtype, meta=dense[:0, :0])
    list(RowSource(array, batch_size=3, memory_budget=4 * M))
    assert computed == [(20, M), (20, M), (13, M)]


def test_passes_over_a_backed_csc_are_bounded(
    tmp_path: Path, dense: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = on_disk("h5ad csc", dense, tmp_path)
    read = 0
    plain = type(matrix).__getitem__

    def counting(self: Any, index: Any) -> Any:
        nonlocal read
        block = plain(self, index)
        read += block.nnz
        return block

    monkeypatch.setattr(type(matrix), "__getitem__", counting)
    list(RowSource(matrix, batch_size=1))
    assert read == np.count_nonzero(dense)  # once although there are 53 chunks
    read = 0
    list(RowSource(matrix, batch_size=1, memory_budget=1))
    assert 2 * np.count_nonzero(dense) < read <= rows.MAX_PASSES * np.count_nonzero(dense)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_matrix, sp.csc_matrix, pd.DataFrame])
def test_empty(shape: tuple[int, int], make: Callable) -> None:
    source = RowSource(make(np.zeros(shape)), batch_size=2)
    assert [(a, b, c.shape) for a, b, c in source] == [
        (a, min(a + 2, shape[0]), (min(2, shape[0] - a), shape[1])) for a in range(0, shape[0], 2)
    ]


def test_bad_input() -> None:
    with pytest.raises(TypeError, match="list"):
        RowSource([[1, 2]])
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        RowSource(np.ones(3))
    with pytest.raises(ValueError, match="batch_size=0"):
        RowSource(np.ones((2, 2)), batch_size=0)
    with pytest.raises(ValueError, match="memory_budget=0"):
        RowSource(np.ones((2, 2)), memory_budget=0)


def test_a_dask_array_of_unknown_length_is_an_error(dense: np.ndarray) -> None:
    da = pytest.importorskip("dask.array")
    array = da.from_array(dense, chunks=(20, M))
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        RowSource(array[array[:, 0] > 0])


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(rows.logger, "disabled", True)
    yield


@pytest.mark.parametrize(("dtype", "able"), [("f4", True), ("longdouble", True), ("f2", False), (">i4", False)])
def test_scipy_cannot_slice_half_precision_and_other_byte_orders(dtype: str, able: bool) -> None:
    matrix = sp.csr_matrix(np.eye(3))
    matrix.data = matrix.data.astype(dtype)
    assert is_computable(matrix) == able and is_computable(np.eye(3).astype(dtype))
    if able:
        assert matrix[:2].copy().dtype == dtype
    assert computable(matrix)[:2].toarray().tolist() == [[1, 0, 0], [0, 1, 0]]
