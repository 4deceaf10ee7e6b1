"""Files and folders that appear whole or not at all, and one writer at a time.

What is written goes to a temporary name beside its target, is flushed to the disk and then renamed; the folder is
flushed as well. A process that is killed at any moment, a full disk or a power cut leaves at the target what was
there before, or the new content, and at most one file each with the prefixes :data:`NEW`, :data:`OLD` and
:data:`LOCK`. Their names follow from the target alone, so the next writer of the same target removes them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from midgd.settings import logger

NEW, OLD, LOCK = ".midgd-new-", ".midgd-old-", ".midgd-lock-"
PATIENCE = 2.0  # seconds of waiting for another writer until the user is told


def temporary(path: Path) -> Path:
    """Where the content of a path is written before it takes its place."""
    return path.with_name(NEW + path.name)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Be the only writer of a path, among all threads and processes that ask in this way.

    The lock is a file beside the path that the operating system frees when its process ends, however that happens.
    Readers need no lock.

    Parameters
    ----------
    path
        File or folder; it need not exist. Folders above it are made.
    wait
        Wait until another writer is done; otherwise that is an error.

    Raises
    ------
    BlockingIOError
        If another process or thread is writing the path, with ``wait=False``.
    OSError
        If nothing can be written beside the path.
    """
    lock = FileLock(path.with_name(LOCK + path.name))
    try:
        make_folder(path.parent)
        try:
            lock.acquire(timeout=PATIENCE if wait else 0)
        except Timeout:
            if not wait:
                busy = "another process is writing it; wait until it is done, or choose another name"
                raise BlockingIOError(errno.EAGAIN, busy, str(path)) from None
            logger.info("waiting for another process that writes %s", path)
            lock.acquire()
    except OSError as error:
        if isinstance(error, BlockingIOError):
            raise
        raise OSError(error.errno, f"{error.strerror}; {path.name} cannot be written", str(path.parent)) from error
    try:
        yield
    finally:
        # Removed while it is held: whoever waits for the removed file notices and makes a new one.
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release(force=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, and flush their names to the disk."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync(made.parent)


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    if path.is_dir():
        if os.name == "nt":  # folders cannot be opened there
            return
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:  # some network file systems do not know it for folders
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(handle)
        return
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_tree(folder: Path) -> None:
    """Flush a folder with everything in it to the disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            sync(Path(parent) / name)
        sync(Path(parent))


def move(source: Path, target: Path) -> None:
    """Rename within a folder and flush the names to the disk; a file or folder at the target is replaced."""
    if target.is_dir() and not target.is_symlink():
        _move_over_folder(source, target)
    else:
        os.replace(source, target)
    sync(target.parent)


def _move_over_folder(source: Path, target: Path) -> None:
    """Replace a folder, at one stroke where the operating system can exchange two names."""
    older = target.with_name(OLD + target.name)
    remove(older)
    if _exchange(source, target):
        os.replace(source, older)
    else:  # a process that is killed between these two leaves the older folder under its hidden name
        os.replace(target, older)
        os.replace(source, target)
    sync(target.parent)
    remove(older)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names at one stroke; False where that is not known (Windows, some network file systems)."""
    if os.name != "posix":
        return False
    library, first, second = ctypes.CDLL(None, use_errno=True), os.fsencode(one), os.fsencode(other)
    if hasattr(library, "renameat2"):  # Linux: AT_FDCWD is -100, RENAME_EXCHANGE is 2
        return bool(library.renameat2(-100, first, -100, second, 2) == 0)
    if hasattr(library, "renamex_np"):  # macOS: RENAME_SWAP is 2
        return bool(library.renamex_np(first, second, 2) == 0)
    return False


def remove(path: Path) -> None:
    """Remove a file or a whole folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Name the file in errors such as a full disk, which often lack it."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror or os.strerror(error.errno), str(path)) from error
        raise


def _clear_up(path: Path) -> None:
    """Remove what a writer that was killed has left; an older folder that it had only put aside comes back."""
    remove(temporary(path))
    older = path.with_name(OLD + path.name)
    if older.exists() and not path.exists():
        move(older, path)
    remove(older)


def clear_up(path: Path) -> None:
    """Remove what killed writers have left beside a path that is complete, if that is allowed here."""
    if any(path.with_name(prefix + path.name).exists() for prefix in (NEW, OLD, LOCK)):
        with suppress(OSError), locked(path):
            _clear_up(path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Temporary path for new content, a file or a folder; it takes the place of ``path`` when the block ends.

    The caller holds the lock of ``path`` (:func:`locked`); :func:`new_file` takes it as well. After an error nothing
    is left.
    """
    new = temporary(path)
    _clear_up(path)
    try:
        with named_errors(path):
            yield new
            sync_tree(new) if new.is_dir() else sync(new)
            move(new, path)
    except BaseException:
        with suppress(OSError):
            remove(new)
        raise


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Temporary path for a file that takes its place when the block ends; other writers wait.

    Examples
    --------
    >>> with new_file(Path("cells.h5ad")) as new:
    ...     adata.write_h5ad(new)
    """
    with locked(path), replacing(path) as new:
        yield new


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; folders above it are made."""
    with new_file(path) as new:
        new.write_bytes(content)
