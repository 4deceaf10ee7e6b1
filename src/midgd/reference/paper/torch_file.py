"""Files of ``torch.save``, of the zip format or the older one, with the numbers that their records refer to."""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

from midgd._text import one_line, shown
from midgd._zip import open_zip, read_entry
from midgd.reference.paper.records import Record, Storage
from midgd.reference.paper.unpickle import MAX_PICKLE, Forbidden, Reader

# With which files of torch.save began before PyTorch 1.6 (torch/serialization.py).
LEGACY_MAGIC, LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001

# What damaged or malicious bytes make the readers raise.
_UNREADABLE = (
    *(zipfile.BadZipFile, struct.error, EOFError, ValueError, TypeError, AttributeError, LookupError, OverflowError),
    *(MemoryError, RecursionError, NotImplementedError, RuntimeError),
)


def read_records(path: Path) -> Record:
    """Read the module in a file of ``torch.save``.

    Time and memory are bounded: by a few times the size of the file for the numbers, and by fixed limits for the rest.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    What the module in it is, without having run anything.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no such file, is cut short, holds something other than a module, or names anything that is not a
        tensor, a plain container, a class of ``torch.nn`` or ``torch.distributions``, or a class of the paper's
        package ``base``.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is not a file.")
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        try:
            content = _read_zip(file) if start == b"PK\x03\x04" else _read_legacy(file)
        except Forbidden as error:
            raise ValueError(f"{path} {error}.") from None
        except _UNREADABLE as error:
            reason = one_line(f"{type(error).__name__}: {error}", 300)
            raise ValueError(f"{path} is not a complete file of torch.save ({reason}). Download it again.") from error
    if not isinstance(content, Record):
        kind = "a state dict or another container" if isinstance(content, dict) else f"a {type(content).__name__}"
        raise ValueError(f"{path} holds {kind}, not a whole module as the paper's files do.")
    return content


def _check_sizes(file: BinaryIO, storages: dict[str, Storage]) -> None:
    """Whether the numbers that the records refer to can be in the file, each once, before any is read."""
    needed, present = sum(storage.n_bytes for storage in storages.values()), os.fstat(file.fileno()).st_size
    if needed > present:
        raise ValueError(f"its tensors need {needed:,} bytes, it has {present:,}")


def _read_zip(file: BinaryIO) -> object:
    with open_zip(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise ValueError("its entries are compressed, torch stores them as they are")
        main = next((name for name in entries if re.fullmatch(r"([^/]+/)?data\.pkl", name)), None)
        if main is None:
            raise ValueError("it is a zip without data.pkl")
        folder = main.removesuffix("data.pkl")
        if f"{folder}byteorder" in entries and read_entry(archive, f"{folder}byteorder", 16) != b"little":
            raise ValueError("it was written on a big-endian machine")
        reader = Reader(io.BytesIO(read_entry(archive, main, MAX_PICKLE)))
        content = reader.load()
        _check_sizes(file, reader.storages)
        for key, storage in reader.storages.items():
            name = f"{folder}data/{key}"
            if name not in entries:
                raise ValueError(f"it has no item named {shown(name)}")
            storage.fill(read_entry(archive, name, storage.n_bytes))
    return content


def _read_legacy(file: BinaryIO) -> object:
    """Pickles of magic number, version, machine, content and keys, then size and bytes of every storage."""
    if Reader(file).load() != LEGACY_MAGIC or Reader(file).load() != LEGACY_PROTOCOL:
        raise ValueError("unknown format")
    machine = Reader(file).load()
    if not isinstance(machine, dict) or not machine.get("little_endian"):
        raise ValueError("it was written on a big-endian machine")
    reader = Reader(file)
    content = reader.load()
    keys = Reader(file).load()
    if not isinstance(keys, list) or len(keys) != len(reader.storages) or not all(isinstance(k, str) for k in keys):
        raise ValueError("its list of storages is not that of its tensors")
    _check_sizes(file, reader.storages)
    for key in dict.fromkeys(keys):
        storage = reader.storages[key]
        (numel,) = struct.unpack("<q", file.read(8))
        if numel != storage.numel:
            raise ValueError(f"storage {shown(key)} has another size than its tensors")
        storage.fill(file.read(storage.n_bytes))
    return content
