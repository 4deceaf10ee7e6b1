"""Dask arrays on the schedulers that people use give what the matrix in memory gives."""

from __future__ import annotations

import os
import signal
import threading
import time

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

import midgd
from midgd.tl._output import PartialOutput

da = pytest.importorskip("dask.array")
dask = pytest.importorskip("dask")


@pytest.fixture
def expected(toy_query, toy_reference) -> np.ndarray:
    done = midgd.tl.infer_mirna(toy_query, toy_reference, copy=True)
    assert isinstance(done, ad.AnnData)
    return done.obsm["mirna"].to_numpy()


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def lazy(adata: ad.AnnData, rows: int, as_sparse: bool) -> ad.AnnData:
    x = sparse.csr_matrix(adata.X)
    blocks = da.from_array(x.toarray(), chunks=(rows, 100))
    if as_sparse:
        blocks = blocks.rechunk({1: -1}).map_blocks(sparse.csr_matrix)
    return ad.AnnData(blocks, obs=adata.obs, var=adata.var)


def inferred(adata: ad.AnnData, reference) -> np.ndarray:
    midgd.tl.infer_mirna(adata, reference)
    return adata.obsm["mirna"].to_numpy()


@pytest.mark.parametrize(
    ("scheduler", "rows", "as_sparse"),
    [("synchronous", 1, True), ("synchronous", 10_000, False), ("threads", 7, False), ("threads", 25, True)],
)
def test_equals_memory(toy_query, toy_reference, expected, scheduler, rows, as_sparse):
    with dask.config.set(scheduler=scheduler):
        close(inferred(lazy(toy_query, rows, as_sparse), toy_reference), expected)


def test_lazily_read_file(toy_query, toy_reference, expected, tmp_path):
    toy_query.write_h5ad(tmp_path / "cells.h5ad")
    unread = ad.experimental.read_lazy(tmp_path / "cells.h5ad")
    midgd.tl.infer_mirna(unread, toy_reference, output=tmp_path / "mirna.zarr")
    found = ad.read_zarr(tmp_path / "mirna.zarr")
    close(found.X, expected)
    assert (
        found.obs.drop(columns=[name for name in found.obs if name.startswith("mirna_")])
        .astype(str)
        .equals(toy_query.obs.astype(str))
    )
    midgd.tl.infer_mirna(unread, toy_reference)
    close(unread.obsm["mirna"].to_numpy(), expected)


def test_bad_values_are_named_with_their_row(toy_query, toy_reference):
    x = sparse.csr_matrix(toy_query.X).toarray()
    x[33, 5] = -1.0
    bad = ad.AnnData(da.from_array(x, chunks=(10, -1)), obs=toy_query.obs, var=toy_query.var)
    with pytest.raises(ValueError, match=r"negative values, first in row 33"):
        midgd.tl.infer_mirna(bad, toy_reference)
    assert "mirna" not in bad.obsm


def test_logarithms_are_refused(toy_query, toy_reference):
    logs = ad.AnnData(da.from_array(np.log1p(sparse.csr_matrix(toy_query.X).toarray()), chunks=(10, -1)))
    logs.var_names = toy_query.var_names
    with pytest.raises(ValueError, match="log-normalised"):
        midgd.tl.infer_mirna(logs, toy_reference)


def test_output_goes_on_in_the_middle_of_a_block(toy_query, toy_reference, expected, tmp_path, monkeypatch):
    path = tmp_path / "cells.zarr"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        calls, append = [], PartialOutput.append

        def stopping(self, arrays):
            calls.append(arrays)
            if len(calls) > 3:
                raise KeyboardInterrupt
            append(self, arrays)

        patch.setattr(PartialOutput, "append", stopping)
        midgd.tl.infer_mirna(lazy(toy_query, 5, True), toy_reference, output=path)
    midgd.tl.infer_mirna(lazy(toy_query, 7, True), toy_reference, output=path)
    close(ad.read_zarr(path).X, expected)


def test_cluster_loses_a_worker_and_not_a_cell(toy_query, toy_reference, expected, tmp_path):
    """Two worker processes, one killed while it works: the scheduler gives its blocks to others."""
    distributed = pytest.importorskip("distributed")
    notes = str(tmp_path)

    def slow(block):  # a function of its own: the workers cannot import this file
        import os
        import pathlib
        import time

        pathlib.Path(notes, str(os.getpid())).touch()
        time.sleep(0.2)
        return block

    def kill_one() -> None:
        for _ in range(600):
            if working := list(tmp_path.iterdir()):
                os.kill(int(working[0].name), signal.SIGKILL)
                return
            time.sleep(0.05)

    killer = threading.Thread(target=kill_one, daemon=True)
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0)
    with cluster, distributed.Client(cluster):
        adata = lazy(toy_query, 4, False)
        adata.X = adata.X.map_blocks(slow, dtype=adata.X.dtype, meta=np.empty((0, 0), np.float32))
        killer.start()
        found = inferred(adata, toy_reference)
        killer.join(60)
    assert len(list(tmp_path.iterdir())) >= 2  # the killed one and at least another did some of the work
    close(found, expected)


def test_every_block_is_judged_and_types_of_any_kind_are_read(toy_query, toy_reference, expected):
    x = sparse.csr_matrix(toy_query.X).toarray()
    depth = x.sum(axis=1, keepdims=True)
    for change, message in {
        lambda rows: np.log1p(rows): r"log-normalised.*row (40|50)",
        lambda rows: rows / depth[40:] * 1e6: r"mixes scales: row 0 \('C0'\).*row 40 \('C40'\).*common depth",
    }.items():
        late = x.copy()
        late[40:] = change(late[40:])
        mixed = ad.AnnData(da.from_array(late, chunks=(10, -1)), obs=toy_query.obs, var=toy_query.var)
        with pytest.raises(ValueError, match=message):
            midgd.tl.infer_mirna(mixed, toy_reference)
        assert "mirna" not in mixed.obsm
    other_order = ad.AnnData(da.from_array(x.astype(">f4"), chunks=(10, -1)), obs=toy_query.obs, var=toy_query.var)
    midgd.tl.infer_mirna(other_order, toy_reference)
    close(other_order.obsm["mirna"].to_numpy(), expected)
