"""Checks of what others wrote as JSON; each names the field that is wrong.

A check takes a value and where it stands.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from midgd._text import shown

Check = Callable[[object, str], None]

# Of a list or object in a file: far more than any reference has, few enough for the memory of a laptop.
MAX_ENTRIES = 10_000_000
MAX_DEPTH = 32  # of lists and objects in each other


def _refuse(where: str, value: object, wanted: str) -> NoReturn:
    raise ValueError(f"{where} is {shown(value)}, it must be {wanted}")


def text(longest: int = 1_000, *, printable: bool = True) -> Check:
    """A text; ``printable`` is without control characters."""

    def check(value: object, where: str) -> None:
        if not isinstance(value, str) or len(value) > longest:
            _refuse(where, value, f"a text of at most {longest} characters")
        if printable and not value.isprintable():
            _refuse(where, value, "a text without control characters")

    return check


def matching(pattern: str, wanted: str) -> Check:
    """A text of a form."""

    def check(value: object, where: str) -> None:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            _refuse(where, value, wanted)

    return check


def number(low: float = -math.inf, high: float = math.inf) -> Check:
    """A finite number within bounds, both included."""

    def check(value: object, where: str) -> None:
        if type(value) not in (int, float) or not low <= value <= high or math.isinf(value):  # type: ignore[operator, arg-type]
            _refuse(where, value, f"a number from {low:g} to {high:g}")

    return check


def whole(low: int, high: int = MAX_ENTRIES) -> Check:
    """An integer within bounds, both included."""

    def check(value: object, where: str) -> None:
        if type(value) is not int or not low <= value <= high:
            _refuse(where, value, f"a whole number from {low} to {high}")

    return check


def either(*values: object) -> Check:
    """One of a few values."""

    def check(value: object, where: str) -> None:
        if not any(type(value) is type(known) and value == known for known in values):
            _refuse(where, value, f"one of {list(values)}")

    return check


def maybe(inner: Check) -> Check:
    """Null, or what another check takes."""

    def check(value: object, where: str) -> None:
        if value is not None:
            inner(value, where)

    return check


def list_of(inner: Check, longest: int = MAX_ENTRIES) -> Check:
    """A list of values that another check takes."""

    def check(value: object, where: str) -> None:
        if not isinstance(value, list) or len(value) > longest:
            _refuse(where, value, "a list")
        for i, item in enumerate(value):
            inner(item, f"{where}[{i}]")

    return check


def map_of(inner: Check) -> Check:
    """An object with any names, and values that another check takes."""

    def check(value: object, where: str) -> None:
        if not isinstance(value, dict):
            _refuse(where, value, "an object")
        for key, item in value.items():
            inner(item, f"{where}[{shown(key)}]")

    return check


def record(needed: Mapping[str, Check], optional: Mapping[str, Check] | None = None, *, more: bool = False) -> Check:
    """An object with these names; others are an error unless ``more`` are allowed."""
    known = {**needed, **(optional or {})}

    def check(value: object, where: str) -> None:
        if not isinstance(value, dict):
            _refuse(where, value, "an object")
        inside = f"{where}." if where else ""
        for name in needed:
            if name not in value:
                raise ValueError(f"{inside}{name} is missing")
        for name, item in value.items():
            if name in known:
                known[name](item, inside + name)
            elif not more:
                raise ValueError(f"{inside or 'it '}has an unknown field {shown(name)}")

    return check


def read_json(content: bytes) -> Any:
    """JSON that was written by others.

    Raises
    ------
    ValueError
        If it is none, is nested too deep, or an object has a name twice.
    """
    try:
        found = json.loads(content.decode("utf-8"), object_pairs_hook=_without_repeats)
    except (RecursionError, MemoryError) as error:
        raise ValueError("it is nested too deep, or too long") from error
    check_depth(found)
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return made


def check_depth(content: object) -> None:
    """Not too deep for functions that call themselves."""
    level = [content] if isinstance(content, dict | list) else []
    for _ in range(MAX_DEPTH):
        inner = [item for part in level for item in (part.values() if isinstance(part, dict) else part)]
        level = [item for item in inner if isinstance(item, dict | list)]
        if not level:
            return
    raise ValueError(f"it has lists or objects more than {MAX_DEPTH} deep in each other")
