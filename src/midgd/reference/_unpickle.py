"""Files of ``torch.save`` as inert records: nothing that a file names is imported or called.

Tensors and containers come back as such; an instance of any other class on the list becomes a :class:`Record` of the
state it was saved with. A name that is not on the list ends the reading. Every name that a pickle can call, nested in
persistent ids or not, passes through :meth:`_Reader.find_class`, and everything that this gives is harmless to call.
"""

from __future__ import annotations

import math
import pickle
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

LEGACY_MAGIC, LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
DTYPES = {
    **{"FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16},
    **{"BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32},
    **{"ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool},
}
# Only their names are kept: the model's own classes, and what the attributes of a module may hold beside tensors.
INERT = re.compile(
    r"base(\.\w+)*\.\w+"
    r"|torch\.(nn|distributions)(\.\w+)*\.\w+"
    r"|torch\.(device|Size|(b?float|u?int)\d+|bool)"
    r"|numpy\.(dtype|_?core\.multiarray\.scalar)|_codecs\.encode"
)


class _Forbidden(ValueError):
    """A file names something that a model does not need."""


class Record:
    """An instance of a class that stays unknown: the name of the class and the state."""

    class_name = ""
    dtype: torch.dtype | None = None  # of storage types

    def __new__(cls, *args: object, **kwargs: object) -> Record:
        """Take any arguments, as the class that is stood in for might; they are not kept."""
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        self.state = state if isinstance(state, dict) else {}

    def attributes(self) -> dict[str, object]:
        """Attributes by name; parameters, buffers and submodules among them, as Python would find them."""
        state: dict[object, object] = getattr(self, "state", {})
        groups = ("_parameters", "_buffers", "_modules")
        merged = {name: value for name, value in state.items() if name not in groups}
        for group in groups:
            members = state.get(group)
            merged |= members if isinstance(members, dict) else {}
        return {name: value for name, value in merged.items() if isinstance(name, str)}


class _Container(dict[Any, Any]):
    """Stands in for OrderedDict; attributes of one are dropped."""

    def __setstate__(self, state: object) -> None:
        pass


class Storage:
    """The numbers of one or more tensors, filled in after the pickle has been read."""

    def __init__(self, key: str, dtype: torch.dtype, numel: int) -> None:
        self.key, self.dtype, self.numel = key, dtype, numel
        self.values = torch.empty(0, dtype=dtype)

    def __setstate__(self, state: object) -> None:
        raise ValueError(f"storage {self.key!r} is given a state")

    def fill(self, content: bytes) -> None:
        """Set the values, little endian."""
        if len(content) != self.numel * self.dtype.itemsize:
            raise ValueError(f"storage {self.key!r} is cut short")
        if self.numel:
            self.values = torch.frombuffer(bytearray(content), dtype=self.dtype)


class TensorRecord:
    """A tensor as the file describes it."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def __new__(
        cls, storage: object = None, offset: object = 0, size: object = (), stride: object = (), *_: object
    ) -> TensorRecord:
        """Check and keep where in a storage the tensor lies; what follows is about gradients."""
        if not (
            isinstance(storage, Storage)
            and isinstance(size, tuple)
            and isinstance(stride, tuple)
            and len(size) == len(stride)
            and all(type(n) is int and n >= 0 for n in (offset, *size, *stride))
        ):
            raise ValueError("a tensor is not described as torch describes it")
        record = super().__new__(cls)
        record.storage = storage
        record.offset, record.size, record.stride = offset, size, stride  # type: ignore[assignment]
        record._check()
        return record

    def __setstate__(self, state: object) -> None:
        raise ValueError("a tensor is given a state")

    def _check(self) -> None:
        """Within its storage, and no more than it: a stride of zero would make much memory of few bytes."""
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        if self.numel and max(last + 1, self.numel) > self.storage.numel:
            raise ValueError(f"a tensor of shape {self.size} is larger than its storage")

    @property
    def numel(self) -> int:
        """Number of values."""
        return math.prod(self.size)

    def tensor(self) -> Tensor:
        """A float32 tensor of its own."""
        return torch.as_strided(self.storage.values, self.size, self.stride, self.offset).float().clone()


class _Parameter:
    """Stands in for the function that makes a parameter of a tensor."""

    def __new__(cls, data: object = None, *_: object) -> Any:
        return data

    def __setstate__(self, state: object) -> None:
        pass


CALLABLE: dict[str, type] = {
    "collections.OrderedDict": _Container,
    "builtins.set": set,
    "__builtin__.set": set,
    "torch._utils._rebuild_tensor": TensorRecord,
    "torch._utils._rebuild_tensor_v2": TensorRecord,
    "torch._utils._rebuild_parameter": _Parameter,
    "torch._utils._rebuild_parameter_with_state": _Parameter,
}


class _Reader(pickle.Unpickler):
    """Unpickler whose every global is one of :data:`CALLABLE` or a fresh type of :class:`Record`."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, Storage] = {}
        self.records: dict[str, type[Record]] = {}

    def find_class(self, module: str, name: str) -> type:
        full = f"{module}.{name}"
        if full in CALLABLE:
            return CALLABLE[full]
        dtype = DTYPES.get(name) if module in ("torch", "torch.cuda") else None
        if dtype is None and not INERT.fullmatch(full):
            raise _Forbidden(
                f"names {full}, which has no place in the weights of a model, so reading stopped; nothing was run."
                " Do not open this file with torch.load unless you trust its source"
            )
        return self.records.setdefault(full, type(name, (Record,), {"class_name": full, "dtype": dtype}))

    def persistent_load(self, pid: object) -> object:
        match pid:
            case ("module", type() as record, *_):  # old files carry the source text of a class beside it
                return record
            case ("storage", type() as kind, str() as key, _, int() as numel, *view) if view in ([], [None]):
                dtype = getattr(kind, "dtype", None)
                if isinstance(dtype, torch.dtype) and numel >= 0:
                    return self.storages.setdefault(key, Storage(key, dtype, numel))
        raise ValueError("it refers to data in a way that torch does not")


def read_records(path: Path) -> Record:
    """Read the module in a file of ``torch.save``, of the zip format or the older one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no such file, is cut short, holds something other than a module, or names anything that is
        not a tensor, a plain container, a class of ``torch.nn`` or ``torch.distributions``, or a class of the paper's
        package ``base``.
    """
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        try:
            content = _read_zip(file) if start == b"PK\x03\x04" else _read_legacy(file)
        except _Forbidden as error:
            raise ValueError(f"{path} {error}.") from None
        except _UNREADABLE as error:
            raise ValueError(
                f"{path} is not a complete file of torch.save ({type(error).__name__}: {error}). Download it again."
            ) from error
    if not isinstance(content, Record):
        kind = "a state dict or another container" if isinstance(content, dict) else f"a {type(content).__name__}"
        raise ValueError(f"{path} holds {kind}, not a whole module as the paper's files do.")
    return content


# What a damaged or malicious pickle makes the unpickler raise.
_UNREADABLE = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, struct.error, EOFError, ValueError, TypeError, AttributeError),
    *(LookupError, OverflowError, MemoryError, RecursionError, NotImplementedError, RuntimeError),
)


def _read_zip(file: BinaryIO) -> object:
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise ValueError("its entries are compressed, torch stores them as they are")
        main = next((name for name in entries if re.fullmatch(r"([^/]+/)?data\.pkl", name)), None)
        if main is None:
            raise ValueError("it is a zip without data.pkl")
        folder = main.removesuffix("data.pkl")
        if entries.get(f"{folder}byteorder") and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("it was written on a big-endian machine")
        with archive.open(main) as stream:
            reader = _Reader(stream)  # type: ignore[arg-type]
            content = reader.load()
        for key, storage in reader.storages.items():
            storage.fill(archive.read(f"{folder}data/{key}"))
    return content


def _read_legacy(file: BinaryIO) -> object:
    """Pickles of magic number, version, machine, content and keys, then size and bytes of every storage."""
    if _Reader(file).load() != LEGACY_MAGIC or _Reader(file).load() != LEGACY_PROTOCOL:
        raise ValueError("unknown format")
    machine = _Reader(file).load()
    if not isinstance(machine, dict) or not machine.get("little_endian"):
        raise ValueError("it was written on a big-endian machine")
    reader = _Reader(file)
    content = reader.load()
    for key in _Reader(file).load():
        storage = reader.storages[key]
        (numel,) = struct.unpack("<q", file.read(8))
        if numel != storage.numel:
            raise ValueError(f"storage {key!r} has another size than its tensors")
        storage.fill(file.read(numel * storage.dtype.itemsize))
    return content


def walk(root: Record) -> Iterator[tuple[str, Record | TensorRecord]]:
    """All records and tensors below a record with their paths, each once, in the order of the attributes."""
    seen = {id(root)}
    stack: list[tuple[str, object]] = [("", root)]
    while stack:
        path, value = stack.pop()
        if path and isinstance(value, Record | TensorRecord):
            yield path, value
        for name, child in reversed(_children(value)):
            if isinstance(child, Record | TensorRecord | dict | list | tuple) and id(child) not in seen:
                seen.add(id(child))
                stack.append((f"{path}.{name}".lstrip("."), child))


def _children(value: object) -> list[tuple[object, object]]:
    if isinstance(value, Record):
        return list(value.attributes().items())
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else []
