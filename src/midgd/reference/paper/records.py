"""What a file of ``torch.save`` holds, as inert records: names, attributes, and where in the file the numbers are."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from midgd._text import shown

# The paper's models have some 50 modules, 6 deep. What a reader does for each must stay cheap.
MAX_NODES, MAX_NESTED, MAX_NAME = 20_000, 40, 200
# Dimensions of a tensor, and the largest number that a size may be.
MAX_DIMENSIONS, MAX_NUMBER = 8, 1 << 48
# Values that a model may be made of, for each value in the file; shared weights and padding may need some more.
MAX_COPIES, FREE_VALUES = 8, 1 << 24


class Record:
    """An instance of a class that stays unknown.

    Attributes
    ----------
    class_name
        With its module, ``torch.nn.modules.linear.Linear``.
    state
        What it was saved with.
    """

    def __init__(self, class_name: str) -> None:
        self.class_name = class_name
        self.state: dict[object, object] = {}

    @property
    def kind(self) -> str:
        """Name of the class, ``Linear``."""
        return self.class_name.rsplit(".", 1)[-1]

    def attributes(self) -> dict[str, object]:
        """Attributes by name; parameters, buffers and submodules among them, as Python would find them."""
        groups = ("_parameters", "_buffers", "_modules")
        merged = {name: value for name, value in self.state.items() if name not in groups}
        for group in groups:
            members = self.state.get(group)
            merged |= members if isinstance(members, dict) else {}
        return {name: value for name, value in merged.items() if isinstance(name, str)}


class Allowance:
    """How many values may still be made of those in a file."""

    def __init__(self) -> None:
        self.left = FREE_VALUES

    def take(self, n: int) -> None:
        """Use up some of it, or refuse.

        Parameters
        ----------
        n
            How many numbers are to be made.

        Raises
        ------
        ValueError
            If that is more than what is left.
        """
        self.left -= n
        if self.left < 0:
            raise ValueError(f"The model would need more than {MAX_COPIES} times the numbers in its file.")


class Storage:
    """The numbers of one or more tensors, filled in after everything else has been read."""

    def __init__(self, key: str, dtype: torch.dtype, numel: int, allowance: Allowance) -> None:
        self.key, self.dtype, self.numel, self.allowance = key, dtype, numel, allowance
        self.values = torch.empty(0, dtype=dtype)
        allowance.left += MAX_COPIES * numel

    @property
    def n_bytes(self) -> int:
        """Size in the file."""
        return self.numel * self.dtype.itemsize

    def fill(self, content: bytes) -> None:
        """Set the values, little endian.

        Parameters
        ----------
        content
            Bytes of the values.

        Raises
        ------
        ValueError
            If they are not as many as the record says.
        """
        if len(content) != self.n_bytes:
            raise ValueError(f"storage {shown(self.key)} is cut short")
        if self.numel:
            self.values = torch.frombuffer(bytearray(content), dtype=self.dtype)


class TensorRecord:
    """A tensor as the file describes it: where in a storage it lies."""

    def __init__(self, storage: object, offset: object, size: object, stride: object) -> None:
        if not (
            isinstance(storage, Storage)
            and isinstance(size, tuple)
            and isinstance(stride, tuple)
            and len(size) == len(stride) <= MAX_DIMENSIONS
            and all(type(n) is int and 0 <= n < MAX_NUMBER for n in (offset, *size, *stride))
        ):
            raise ValueError("a tensor is not described as torch describes it")
        self.storage, self.size, self.stride = storage, size, stride
        self.offset: int = offset  # type: ignore[assignment]
        # Within its storage, and no more than it: a stride of zero would make much memory of few bytes.
        last = self.offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if self.numel and max(last + 1, self.numel) > storage.numel:
            raise ValueError(f"a tensor of shape {size} is larger than its storage")

    @property
    def numel(self) -> int:
        """Number of values."""
        return math.prod(self.size)

    def tensor(self) -> Tensor:
        """A float32 tensor of its own."""
        self.storage.allowance.take(self.numel)
        if not self.numel:
            raise ValueError(f"a tensor of shape {self.size} is empty")
        return torch.as_strided(self.storage.values, self.size, self.stride, self.offset).float().clone()


def walk(root: Record) -> Iterator[tuple[str, Record | TensorRecord]]:
    """All records and tensors below a record with their paths, each once, in the order of the attributes.

    Parameters
    ----------
    root
        Where to begin.

    Returns
    -------
    Paths, with dots, and what lies there.

    Raises
    ------
    ValueError
        If there are more than any model has, or they lie deeper in each other.
    """
    seen = {id(root)}
    stack: list[tuple[str, int, object]] = [("", 0, root)]
    while stack:
        path, level, value = stack.pop()
        if path and isinstance(value, Record | TensorRecord):
            yield path, value
        for name, child in reversed(_children(value)):
            if isinstance(child, Record | TensorRecord | dict | list | tuple) and id(child) not in seen:
                seen.add(id(child))
                if len(seen) > MAX_NODES or level >= MAX_NESTED:
                    raise ValueError(f"More than {MAX_NODES:,} parts, or more than {MAX_NESTED} levels of them.")
                stack.append((f"{path}.{str(name)[:MAX_NAME]}".lstrip("."), level + 1, child))


def _children(value: object) -> list[tuple[object, object]]:
    if isinstance(value, Record):
        return list(value.attributes().items())
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else []
