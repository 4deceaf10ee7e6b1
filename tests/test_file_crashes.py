"""Files and folders that are replaced: killed at every file event, and written by several processes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from midgd import _files
from midgd._files import make_folder, new_file
from midgd.files import write_file
from midgd.model import MIDGD


def write_folder(path: Path, content: str) -> None:
    with new_file(path) as new:
        make_folder(new)
        (new / "a").write_text(content)
        (new / "b").write_text(content)


def read_folder(path: Path) -> str:
    (content,) = {(path / name).read_text() for name in ("a", "b")}
    return content


@pytest.mark.parametrize("power", [False, True], ids=["kill", "power cut"])
@pytest.mark.parametrize("exchanges", [True, False])
def test_folder_is_old_or_new_at_every_event(tmp_path, at_every_event, monkeypatch, exchanges, power):
    """Where two names cannot be exchanged at one stroke, the older folder may be found under another name only."""
    root = tmp_path / "root"
    path, seen = root / "x", set()
    if not exchanges:
        monkeypatch.setattr(_files, "_exchange", lambda *_: False)
    elif not sys.platform.startswith("linux"):
        pytest.skip("not every system can exchange names")
    elif power:
        pytest.skip("the power cut of these tests knows no exchange")

    def reset() -> None:
        shutil.rmtree(root, ignore_errors=True)
        write_folder(path, "old")

    for _ in at_every_event(lambda: write_folder(path, "new"), root, reset, power=power):
        seen.add(read_folder(path) if path.exists() else "none")
        with pytest.raises(KeyError), new_file(path):
            raise KeyError  # a writer that fails finds and keeps what there is
        assert read_folder(path) in ("old", "new") and [p.name for p in root.iterdir()] == ["x"]
        write_folder(path, "third")
        assert read_folder(path) == "third" and [p.name for p in root.iterdir()] == ["x"]
    # A power cut undoes both renames, as their folder was not flushed between them.
    assert seen == {"old", "new"} | (set() if exchanges or power else {"none"})


def in_processes(n: int, action: Callable[[int], object]) -> list[int]:
    children = []
    for i in range(n):
        child = os.fork()
        if not child:
            try:
                action(i)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


@pytest.mark.parametrize("name", ["cells.h5ad", "cells.zarr"])
def test_four_processes_write_one_file(tmp_path, name):
    def write(i: int) -> None:
        frame = pd.DataFrame(index=[f"c{j}" for j in range(20)])
        for _ in range(3):
            write_file(ad.AnnData(np.full((20, 5), i, np.float32), obs=frame), tmp_path / name)

    assert in_processes(4, write) == [0] * 4
    found = ad.read_zarr(tmp_path / name) if name.endswith("zarr") else ad.read_h5ad(tmp_path / name)
    assert len(np.unique(found.X)) == 1 and [p.name for p in tmp_path.iterdir()] == [name]


def test_only_one_process_saves_a_model_that_is_not_to_be_replaced(model_like: Any, tmp_path: Path) -> None:
    """Between looking and writing nobody else can write."""
    results = in_processes(4, lambda _: MIDGD.save(model_like, tmp_path / "m"))
    assert sorted(results) == [0, 1, 1, 1] and [p.name for p in tmp_path.iterdir()] == ["m"]


@pytest.fixture
def model_like(toy_reference: Any) -> Any:
    """What `save` needs of a trained model."""

    class Trained:
        reference = toy_reference

    return Trained()
