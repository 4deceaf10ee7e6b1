"""Zip files that others wrote: opened without setting much memory aside for what they claim to hold."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import BinaryIO

from midgd._text import shown

try:
    from lzma import LZMAError
except ImportError:  # Python can be built without it
    LZMAError = zlib.error  # type: ignore[assignment, misc]

# Bytes that are unpacked at a time, so that a large entry needs little memory.
PIECE = 1 << 20
MAX_READ = 8 << 20  # bytes at once; also of the list of entries, which is some 100,000 of them

# What damaged or malicious zip files make Python's reader raise.
BROKEN = (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, NotImplementedError, RuntimeError, OverflowError)


class _SmallReads(io.BufferedReader):
    """Refuses to read much at once: the list of entries is read in one go, before any is looked at.

    Places outside of the file, which Python asks the operating system for, are damage as well.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_READ:
            raise zipfile.BadZipFile(f"its list of entries has more than {MAX_READ:,} bytes")
        return super().read(size)

    def seek(self, target: int, whence: int = 0, /) -> int:
        if whence == 0 and not 0 <= target < 1 << 60:
            raise zipfile.BadZipFile("it points to a place outside of itself")
        return super().seek(target, whence)


def open_zip(file: BinaryIO) -> zipfile.ZipFile:
    """Open a zip file.

    Raises
    ------
    zipfile.BadZipFile
        If it is none, or its list of entries is far longer than any that we expect.
    """
    return zipfile.ZipFile(_SmallReads(io.FileIO(file.fileno(), closefd=False)))


def copy_entry(archive: zipfile.ZipFile, name: str | zipfile.ZipInfo, target: BinaryIO, longest: int) -> None:
    """Write an entry into an open file, a piece at a time.

    Raises
    ------
    ValueError
        If it is longer than allowed, whatever its size in the list of entries.
    """
    with archive.open(name) as source:
        while piece := source.read(PIECE):
            longest -= len(piece)
            if longest < 0:
                raise ValueError(f"{shown(getattr(name, 'filename', name))} is longer than it may be")
            target.write(piece)


def read_entry(archive: zipfile.ZipFile, name: str, longest: int) -> bytes:
    """The content of an entry; the errors are those of :func:`copy_entry`."""
    content = io.BytesIO()
    copy_entry(archive, name, content, longest)
    return content.getvalue()
