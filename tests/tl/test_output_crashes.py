"""Results in a file: killed at every file event, with and without a power cut, on a full disk, and two at a time."""

from __future__ import annotations

import os
import resource
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import midgd
from midgd.tl._output import NOTE, RECORDS, PartialOutput

N, CHUNK = 25, 10
RNG = np.random.default_rng(0)
ARRAYS = {
    "values": RNG.random((N, 4)).astype(np.float32),
    "latent": RNG.random((N, 2)).astype(np.float32),
    "ood": RNG.random(N).astype(np.float32),
    "nearest": RNG.integers(0, 9, N),
}
NAMES = ["cells.h5ad", pytest.param("cells.zarr", marks=pytest.mark.slow)]  # a store of zarr has many file events


def run(path: Path, run_of: str = "a") -> int:
    """Write all rows that are not there; the number of those that were."""
    with PartialOutput(path, {"run": run_of}, N) as file:
        found = file.n_done
        for start in range(found, N, CHUNK):
            file.append({name: values[start : start + CHUNK] for name, values in ARRAYS.items()})
        obs = pd.DataFrame(file.columns, index=[f"c{i}" for i in range(N)])
        file.finish(obs, pd.DataFrame(index=list("wxyz")), {"run": run_of})
    return found


def check(path: Path) -> None:
    adata = ad.read_zarr(path) if path.suffix == ".zarr" else ad.read_h5ad(path)
    np.testing.assert_array_equal(adata.X, ARRAYS["values"])
    np.testing.assert_array_equal(adata.obsm["X_midgd"], ARRAYS["latent"])
    np.testing.assert_array_equal(adata.obs["nearest"], ARRAYS["nearest"])
    assert adata.uns["run"] == "a" and adata.var_names.tolist() == list("wxyz")


@pytest.mark.parametrize("power", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["kill", "power cut"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_or_the_whole_at_every_event(tmp_path, at_every_event, name, power):
    root = tmp_path / "root"
    path = root / name

    def reset() -> None:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()

    n_kills, found, finished = 0, set(), 0
    for event in at_every_event(lambda: run(path), root, reset, power=power):
        n_kills = event + 1
        if path.exists():
            check(path)
            finished += 1
            with pytest.raises(FileExistsError, match="exists already"):
                run(path)
        else:
            found.add(run(path))
        check(path)
        assert [p.name for p in root.iterdir()] == [name]
        assert not [p for p in root.rglob("*") if p.name.startswith(".midgd") or "partial" in p.name]
    assert n_kills > 30 and found == {0, 10, 20, 25} and finished >= 3


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_going_on_is_killed_too(tmp_path, at_every_event, name):
    """A run that goes on dies at every event, and a third one ends it."""
    root, begun = tmp_path / "root", tmp_path / "begun"
    path = root / name
    with pytest.raises(KeyError), PartialOutput(begun / name, {"run": "a"}, N) as file:
        file.append({key: values[:CHUNK] for key, values in ARRAYS.items()})
        with (file.partial / RECORDS).open("ab") as records:
            records.write(b"half a chunk")
        raise KeyError

    def reset() -> None:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(begun, root)

    for _ in at_every_event(lambda: run(path), root, reset):
        if not path.exists():
            assert run(path) >= CHUNK
        check(path)


@pytest.mark.parametrize("name", NAMES)
def test_full_disk_keeps_what_was_done(tmp_path, name, outcome):
    """Every size at which the disk could be full, of the rows and of the finished file.

    In processes of their own: HDF5 cannot close a file that it could not write, and crashes at the end of the process.
    """
    path, errors = tmp_path / name, []
    for size in (0, 10, 100, 300, 600, 900, 1_100, 2_000, 4_000, 8_000):

        def attempt(size: int = size) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            run(path)

        error, message = outcome(attempt)
        if not error:
            break
        errors.append(error)
        assert error == "OSError" and tmp_path.name in message
        assert not path.exists()
    with suppress(FileExistsError):
        run(path)
    check(path)
    assert len(errors) >= 4 and [p.name for p in tmp_path.iterdir()] == [name]


def test_a_second_process_is_refused_and_harms_nothing(tmp_path):
    path = tmp_path / "cells.zarr"
    with PartialOutput(path, {"run": "a"}, N):
        child = os.fork()
        if not child:
            with suppress(BlockingIOError):
                run(path)
                os._exit(1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with pytest.raises(BlockingIOError, match="another process is writing it"):
            run(path)
    assert run(path) == 0
    check(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: os.truncate(p / RECORDS, 3), "rows that were written are missing"),
        (lambda p: (p / RECORDS).unlink(), "rows that were written are missing"),
        (lambda p: (p / NOTE).write_text("{"), "not an unfinished output"),
        (lambda p: (p / NOTE).write_text("[]"), "not an unfinished output"),
        (lambda p: (p / NOTE).write_text((p / NOTE).read_text().replace("<f4", "|O8")), "not an unfinished output"),
        (lambda p: (p / NOTE).write_text((p / NOTE).read_text().replace('"rows": 10', '"rows": 99')), "damaged"),
        (lambda p: (p / NOTE).write_text((p / NOTE).read_text().replace('"rows": 10', '"rows": -1')), "damaged"),
    ],
)
def test_damage_is_named_and_left_alone(tmp_path, change, message):
    path = tmp_path / "cells.h5ad"
    with pytest.raises(KeyError), PartialOutput(path, {"run": "a"}, N) as file:
        file.append({key: values[:CHUNK] for key, values in ARRAYS.items()})
        raise KeyError
    change(file.partial)
    before = {p.name: p.read_bytes() for p in file.partial.iterdir()}
    with pytest.raises(ValueError, match=message):
        run(path)
    assert {p.name: p.read_bytes() for p in file.partial.iterdir()} == before


@pytest.mark.slow
def test_real_runs_that_are_killed_give_the_same_answer(toy_query, toy_reference, tmp_path, at_every_event):
    root, whole = tmp_path / "root", tmp_path / "whole.zarr"
    options: dict[str, Any] = {"uncertainty": True, "batch_size": 20}
    midgd.tl.infer_mirna(toy_query, toy_reference, output=whole, **options)

    def reset() -> None:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()

    def infer() -> None:
        midgd.tl.infer_mirna(toy_query, toy_reference, output=root / "cells.zarr", **options)

    wanted = ad.read_zarr(whole)
    for _ in at_every_event(infer, root, reset, step=61):
        with suppress(FileExistsError):
            infer()
        found = ad.read_zarr(root / "cells.zarr")
        np.testing.assert_array_equal(found.X, wanted.X)
        np.testing.assert_array_equal(found.layers["sd"], wanted.layers["sd"])
        pd.testing.assert_frame_equal(found.obs, wanted.obs)
