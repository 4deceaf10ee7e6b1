"""Saving a reference: killed at every file event, with and without a power cut, and by several writers at once."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from midgd.reference import Reference, load


def named(reference: Reference, name: str) -> Reference:
    """Another reference: other names, and other weights."""
    return replace(reference, card=reference.card | {"name": name}, encoder=None, readout=None, arms=None, kinds=None)


def left_behind(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*") if p.name.startswith(".midgd")]


@pytest.mark.parametrize("power", [False, True], ids=["kill", "power cut"])
def test_old_or_new_at_every_event(toy_reference, toy_reference_path, tmp_path, at_every_event, power):
    root, new = tmp_path / "root", named(toy_reference, "new")
    path = root / "x"

    def reset() -> None:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(toy_reference_path, path)

    seen = []
    for _ in at_every_event(lambda: new.save(path), root, reset, power=power):
        seen.append(load(path).name)
        named(toy_reference, "third").save(path)
        assert load(path).name == "third" and not left_behind(root)
    assert set(seen) == {"toy", "new"} and len(seen) >= 8
    assert seen == sorted(seen, reverse=True), "once the new one is there, it stays"


@pytest.mark.parametrize("power", [False, True], ids=["kill", "power cut"])
def test_nothing_or_new_at_every_event(toy_reference, tmp_path, at_every_event, power):
    root = tmp_path / "root"

    def reset() -> None:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()

    seen = 0
    for _ in at_every_event(lambda: toy_reference.save(root / "x"), root, reset, power=power):
        seen += (root / "x").exists()
        assert not (root / "x").exists() or load(root / "x").name == "toy"
        toy_reference.save(root / "x")
        assert load(root / "x").name == "toy" and not left_behind(root)
    assert seen or power, "the last event is the flush of the new name: without it the name is lost"


def test_many_writers_and_readers_of_one_folder(toy_reference, tmp_path):
    """Whoever reads finds one of the references as a whole, and the last writer wins."""
    path = toy_reference.save(tmp_path / "x")
    children = []
    for i in range(4):
        child = os.fork()
        if not child:
            try:
                for _ in range(5):
                    named(toy_reference, f"writer {i}").save(path)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    names, stop = set(), threading.Event()
    while not stop.is_set():
        names.add(load(path).name)
        if all(os.waitpid(child, os.WNOHANG)[0] for child in children[:1]):
            children.pop(0)
        if not children:
            stop.set()
    assert names <= {"toy", *(f"writer {i}" for i in range(4))}
    assert [p.name for p in tmp_path.iterdir()] == ["x"] and not left_behind(tmp_path)
