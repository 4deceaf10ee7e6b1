"""Pickles as inert records: a reader of its own for the opcodes that files of ``torch.save`` use.

Python's unpickler calls what a file names. Here nothing is imported or called: :mod:`pickletools` splits the file
into opcodes, and each of those on the list below builds tuples, lists, dictionaries, numbers, text or records. An
opcode or a name that is not on a list ends the reading. The number of opcodes and the length of everything are
limited, and keys are text or small numbers, so time and memory are bounded for any file.
"""

from __future__ import annotations

import pickletools
import re
from collections.abc import Callable
from typing import Any, BinaryIO

import torch

from midgd._text import shown
from midgd.reference.paper.records import Allowance, Record, Storage, TensorRecord

MAX_OPCODES, MAX_PICKLE = 500_000, 16 << 20  # opcodes and bytes; the paper's models have some 5,000 and 100 kB
MAX_GLOBAL = 300  # characters
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
DICTIONARIES = {"collections.OrderedDict"}
SETS = {"builtins.set", "__builtin__.set"}
TENSORS = {"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"}
PARAMETERS = {"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"}
CALLABLE = DICTIONARIES | SETS | TENSORS | PARAMETERS


class Forbidden(ValueError):
    """A file names something that a model does not need."""


class _Global(str):
    """The full name of a class or function that a pickle refers to."""

    @property
    def dtype(self) -> torch.dtype | None:
        """Of a type of storage."""
        module, _, name = self.rpartition(".")
        return DTYPES.get(name) if module in ("torch", "torch.cuda") else None


class _Bounded:
    """A file that gives no more than a pickle may have, and never sets memory aside for what is not there."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.left = file, MAX_PICKLE

    def read(self, n: int) -> bytes:
        self._use(n)
        return self.file.read(n)

    def readline(self) -> bytes:
        line = self.file.readline(MAX_GLOBAL + 1)
        self._use(len(line))
        if len(line) > MAX_GLOBAL:
            raise ValueError("a name is too long")
        return line

    def _use(self, n: int) -> None:
        self.left -= n
        if n < 0 or self.left < 0:
            raise ValueError(f"a pickle has more than {MAX_PICKLE:,} bytes")


class _Mark:
    """Where the items of a tuple, list or dictionary begin."""


MARK = _Mark()


class Reader:
    """Reads one pickle; :attr:`storages` are those that it refers to."""

    def __init__(self, file: BinaryIO, allowance: Allowance | None = None) -> None:
        self.file = _Bounded(file)
        self.allowance = allowance or Allowance()
        self.storages: dict[str, Storage] = {}
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def load(self) -> Any:
        """The content.

        Raises
        ------
        Forbidden
            If it names something that a model does not need.
        ValueError
            If it is no pickle, is cut short, or has more or longer parts than allowed.
        """
        for count, (opcode, argument, _) in enumerate(pickletools.genops(self.file)):  # type: ignore[arg-type]
            step = STEPS.get(opcode.name)
            if step is None:
                raise ValueError(f"it uses the opcode {opcode.name}, which torch does not write")
            if count >= MAX_OPCODES:
                raise ValueError(f"a pickle has more than {MAX_OPCODES:,} opcodes")
            step(self, argument)
        (content,) = self.stack  # a ValueError unless there is exactly one
        return content

    def pop(self) -> Any:
        """Remove the value on top of the stack; a mark is none."""
        value = self.stack.pop()
        if value is MARK:
            raise ValueError("its stack is not in order")
        return value

    def top(self, kind: type) -> Any:
        """The value on top of the stack, which must be of a kind.

        Parameters
        ----------
        kind
            Type that the value must have.

        Returns
        -------
        The value, which stays on the stack.

        Raises
        ------
        ValueError
            If it is of another type.
        """
        value = self.stack[-1]
        if not isinstance(value, kind):
            raise ValueError(f"a {type(value).__name__} is used as a {kind.__name__}")
        return value

    def items(self) -> list[Any]:
        """What lies on the stack above the last mark, which goes away."""
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i] is MARK:
                found = self.stack[i + 1 :]
                del self.stack[i:]
                return found
        raise ValueError("its stack is not in order")

    def name(self, full: str) -> None:
        """Put a global on the stack if it is on a list.

        Parameters
        ----------
        full
            Name of a class or function, with its module.

        Raises
        ------
        Forbidden
            If it is not on the list of names that a model needs.
        """
        name = _Global(full)
        if full not in CALLABLE and name.dtype is None and not (len(full) <= MAX_GLOBAL and INERT.fullmatch(full)):
            raise Forbidden(
                f"names {shown(full)[1:-1]}, which has no place in the weights of a model, so reading stopped; nothing"
                " was run. Do not open this file with torch.load unless you trust its source"
            )
        self.stack.append(name)

    def call(self, arguments: object) -> None:
        """Stand in for the call of a global: what it would have made is described, not made.

        Parameters
        ----------
        arguments
            What it would be called with.

        Raises
        ------
        ValueError
            If what lies on the stack is not a class or function.
        """
        name = self.pop()
        if not isinstance(name, _Global) or not isinstance(arguments, tuple):
            raise ValueError("it calls something that is not a function")
        self.stack.append(self._made(name, arguments))

    def _made(self, name: _Global, arguments: tuple[Any, ...]) -> object:
        if name in DICTIONARIES:
            pairs = arguments[0] if arguments else []
            if len(arguments) > 1 or not isinstance(pairs, list) or not all(_is_pair(pair) for pair in pairs):
                raise ValueError("an OrderedDict is not made of pairs")
            return {key: value for key, value in pairs if _is_key(key)}
        if name in SETS:
            members = arguments[0] if arguments else []
            if len(arguments) > 1 or not isinstance(members, list):
                raise ValueError("a set is not made of a list")
            return {member for member in members if _is_key(member)}
        if name in TENSORS:
            return TensorRecord(*arguments[:4]) if len(arguments) >= 4 else TensorRecord(None, 0, (), ())
        if name in PARAMETERS:
            return arguments[0] if arguments else None
        return Record(name)

    def build(self, state: object) -> None:
        """Give an object the state it was saved with.

        Parameters
        ----------
        state
            Its attributes.

        Raises
        ------
        ValueError
            If the object cannot have any.
        """
        target = self.stack[-1]
        if isinstance(target, Record):
            target.state = state if isinstance(state, dict) else {}
        elif not isinstance(target, dict):  # attributes of an OrderedDict are dropped
            raise ValueError(f"a {type(target).__name__} is given a state")

    def refer(self, pid: object) -> None:
        """Put what a persistent id stands for on the stack: a storage, or a class.

        Parameters
        ----------
        pid
            What the pickle names as stored elsewhere.

        Raises
        ------
        ValueError
            If it is neither a storage nor a class.
        """
        match pid:
            case ("module", _Global() as name, *_):  # old files carry the source text of a class beside it
                self.stack.append(name)
                return
            case ("storage", _Global(dtype=torch.dtype() as dtype), str() as key, _, int() as numel, *view) if (
                view in ([], [None]) and 0 <= numel < 1 << 48
            ):
                if key not in self.storages:
                    self.storages[key] = Storage(key, dtype, numel, self.allowance)
                self.stack.append(self.storages[key])
                return
        raise ValueError("it refers to data in a way that torch does not")


def _is_pair(pair: object) -> bool:
    return isinstance(pair, list | tuple) and len(pair) == 2


def _is_key(key: object) -> bool:
    """Whether the hash of a key is quick, and cannot be chosen so that many collide; entries of others are dropped."""
    return type(key) is str or key is None or (type(key) in (int, bool) and abs(key) < 1 << 31)  # type: ignore[arg-type]


def _number(reader: Reader, value: int) -> None:
    if value.bit_length() > 128:
        raise ValueError("it holds a very large number")
    reader.stack.append(value)


def _set_items(reader: Reader, items: list[Any]) -> None:
    if len(items) % 2:
        raise ValueError("a dictionary has a key without a value")
    pairs = zip(items[::2], items[1::2], strict=True)
    reader.top(dict).update({key: value for key, value in pairs if _is_key(key)})


def _stack_global(reader: Reader) -> None:
    name, module = reader.pop(), reader.pop()
    if type(name) is not str or type(module) is not str:
        raise ValueError("it names something that is not text")
    reader.name(f"{module}.{name}")


def _new_object(reader: Reader, keywords: object = None) -> None:
    if keywords:
        raise ValueError("it makes an object with keywords")
    reader.call(reader.pop())


Step = Callable[[Reader, Any], object]


def _push(make: Callable[[], object]) -> Step:
    return lambda reader, _: reader.stack.append(make())


def _argument(reader: Reader, argument: object) -> None:
    reader.stack.append(argument)


def _tuple_of(n: int) -> Step:
    def step(reader: Reader, _: object) -> None:
        reader.stack.append(tuple(reversed([reader.pop() for _ in range(n)])))

    return step


# What torch writes with the protocols 2 to 4. Not here, among others: extension codes (EXT1, EXT2, EXT4), which Python
# would look up in a table of its own, and the forms of protocol 0 with numbers as text.
STEPS: dict[str, Step] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda reader, argument: None),
    "MARK": _push(lambda: MARK),
    "POP": lambda reader, _: reader.stack.pop(),
    "POP_MARK": lambda reader, _: reader.items(),
    "NONE": _push(lambda: None),
    "NEWTRUE": _push(lambda: True),
    "NEWFALSE": _push(lambda: False),
    "EMPTY_TUPLE": _push(tuple),
    "EMPTY_LIST": _push(list),
    "EMPTY_DICT": _push(dict),
    "EMPTY_SET": _push(set),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "LONG4"), _number),
    **dict.fromkeys(("BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING"), _argument),
    **dict.fromkeys(("SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), _argument),
    "TUPLE": lambda reader, _: reader.stack.append(tuple(reader.items())),
    **{f"TUPLE{n}": _tuple_of(n) for n in (1, 2, 3)},
    "LIST": lambda reader, _: reader.stack.append(reader.items()),
    "APPEND": lambda reader, _: (value := reader.pop(), reader.top(list).append(value)),
    "APPENDS": lambda reader, _: (items := reader.items(), reader.top(list).extend(items)),
    "SETITEM": lambda reader, _: _set_items(reader, [reader.pop(), reader.pop()][::-1]),
    "SETITEMS": lambda reader, _: _set_items(reader, reader.items()),
    "ADDITEMS": lambda reader, _: (items := reader.items(), reader.top(set).update(filter(_is_key, items))),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda reader, index: reader.memo.__setitem__(index, reader.stack[-1])),
    "MEMOIZE": lambda reader, _: reader.memo.__setitem__(len(reader.memo), reader.stack[-1]),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda reader, index: reader.stack.append(reader.memo[index])),
    "GLOBAL": lambda reader, name: reader.name(name.replace(" ", ".")),
    "STACK_GLOBAL": lambda reader, _: _stack_global(reader),
    "REDUCE": lambda reader, _: reader.call(reader.pop()),
    "NEWOBJ": lambda reader, _: _new_object(reader),
    "NEWOBJ_EX": lambda reader, _: _new_object(reader, reader.pop()),
    "BUILD": lambda reader, _: reader.build(reader.pop()),
    "BINPERSID": lambda reader, _: reader.refer(reader.pop()),
}
