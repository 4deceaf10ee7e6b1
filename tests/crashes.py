"""Ending a process at every one of its file events, and cutting its power there."""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import zarr

KILLED, FAILED = 77, 78
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "shutil.rmtree")


class _Disk:
    """What of a folder would survive a power cut: files that were flushed, names whose folder was flushed."""

    def __init__(self, root: Path, aside: Path) -> None:
        self.root, self.aside = str(root), aside
        self.dirty: dict[str, int] = {}  # path: its first so many bytes are sure
        self.renamed: list[tuple[str, str, Path | None]] = []

    def before(self, event: str, path: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            known = os.path.getsize(path) if os.path.isfile(path) and not (args[2] or 0) & os.O_TRUNC else 0
            self.dirty[path] = min(self.dirty.get(path, known), known)
        if event == "os.rename":
            source, target = path, os.fspath(args[1])
            backup = None
            if os.path.isfile(target):
                backup = self.aside / str(len(self.renamed))
                shutil.copyfile(target, backup)
            self.renamed.append((source, target, backup))
            if source in self.dirty:
                self.dirty[target] = self.dirty[source]

    def flushed(self, path: str) -> None:
        self.dirty.pop(path, None)
        self.renamed = [r for r in self.renamed if os.path.dirname(r[1]) != path]

    def cut(self) -> None:
        for source, target, backup in reversed(self.renamed):
            if os.path.exists(target) and not os.path.exists(source):
                os.rename(target, source)
                if backup is not None:
                    shutil.copyfile(backup, target)
        for path, sure in self.dirty.items():
            if os.path.isfile(path):
                os.truncate(path, (sure + os.path.getsize(path)) // 2)


def _path(event: str, args: tuple[Any, ...]) -> str:
    """The whole path, also where a name within an open folder is given."""
    path, folder = os.fspath(args[0]), args[-1]
    if event in ("os.remove", "os.rmdir") and isinstance(folder, int) and folder >= 0:
        path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
    return os.path.abspath(path)


def _announce_hdf5() -> None:
    """HDF5 opens files without telling Python."""
    import h5py

    own = h5py.File.__init__

    def opened(self: Any, name: Any, mode: str = "r", *args: Any, **kwargs: Any) -> None:
        if mode != "r" and isinstance(name, str | os.PathLike):
            sys.audit("open", name, mode, os.O_RDWR | os.O_CREAT)
        own(self, name, mode, *args, **kwargs)

    h5py.File.__init__ = opened


def _one_thread_of_zarr() -> None:
    """With several, the order and number of its file events would change from run to run."""
    zarr.config.set({"threading.max_workers": 1, "async.concurrency": 1})


def _watch(root: Path, aside: Path, stop_at: int, power: bool) -> None:
    """Count events below a folder in this process, and end it at one of them."""
    disk, count, busy = _Disk(root, aside), 0, False

    def happens(event: str, path: str, args: tuple[Any, ...]) -> None:
        nonlocal count, busy
        busy = True
        if count == stop_at:
            if power:
                disk.cut()
            os._exit(KILLED)
        count += 1
        disk.before(event, path, args)
        busy = False

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if busy or event not in EVENTS or not isinstance(args[0], str | os.PathLike):
            return
        path = _path(event, args)
        writes = event != "open" or bool((args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if writes and path.startswith(disk.root) and "midgd-lock" not in path:
            happens(event, path, args)

    def fsync(handle: int) -> None:
        path = os.readlink(f"/proc/self/fd/{handle}")
        if path.startswith(disk.root):
            happens("fsync", path, (path,))
            disk.flushed(path)

    _announce_hdf5()
    _one_thread_of_zarr()
    sys.addaudithook(hook)
    os.fsync = fsync  # type: ignore[assignment]


def at_every_event(
    action: Callable[[], object], root: Path, reset: Callable[[], object], *, power: bool = False, step: int = 1
) -> Iterator[int]:
    """Run an action in a process of its own again and again, ended before its first, second, ... event in a folder.

    With a ``step`` only every so many events, for actions that take long. Yields the number of the event after each
    death, for the caller to look at what is left; before each run, ``reset`` brings the folder to where it was. Ends
    when the action came to its end. Until then no process waits for the disk: what would survive a power cut is kept
    in mind, not tried.
    """
    with mock.patch.object(os, "fsync", lambda handle: None):
        yield from _at_every_event(action, root, reset, power, step)


def _at_every_event(
    action: Callable[[], object], root: Path, reset: Callable[[], object], power: bool, step: int
) -> Iterator[int]:
    aside = root.with_name(root.name + "-aside")
    for stop_at in range(0, 10_000, step):
        reset()
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        child = os.fork()
        if not child:
            try:
                _watch(root, aside, stop_at, power)
                action()
                os._exit(0)
            finally:  # it must not return into the tests
                traceback.print_exc()
                os._exit(FAILED)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, KILLED), f"the action failed at event {stop_at} ({status})"
        if status == 0:
            return
        yield stop_at
