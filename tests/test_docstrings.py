"""What every public name tells its reader, and every number; private modules and names are free of the first."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import midgd

# What users call: all that the package exports. The mathematics and the benchmark: all that has a public name.
PACKAGES = ["datasets", "features", "get", "metrics", "model", "pp", "tl"]
WHOLE = ["bench", "infer", "nn", "reference", "train"]
TOP = ["datasets", "get", "metrics", "pp", "reference", "tl"]
# Interfaces without a common ancestor: what their methods mean is said once, where the interface is.
INTERFACES = {"fit": "Method", "predict": "Method", "predict_interval": "IntervalMethod"}


def functions() -> Iterator[Any]:
    """Public functions and methods that must say everything, each once."""
    seen = set()
    for where, thing in things():
        if inspect.isclass(thing):
            own = [m for m in vars(thing) if not m.startswith("_") and not is_told_elsewhere(thing, m)]
            members = [(f"{where}.{m}", inspect.getattr_static(thing, m)) for m in own]
        else:
            members = [(where, thing)]
        for name, member in members:
            member = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            if inspect.isfunction(member) and member not in seen and member.__module__.startswith("midgd."):
                seen.add(member)
                yield pytest.param(member, id=name)


def things() -> Iterator[tuple[str, Any]]:
    for package in PACKAGES:
        module = importlib.import_module(f"midgd.{package}")
        yield from ((f"{package}.{name}", getattr(module, name)) for name in module.__all__)
    for package in WHOLE:
        parent = importlib.import_module(f"midgd.{package}")
        for found in pkgutil.walk_packages(parent.__path__, f"midgd.{package}."):
            if "._" not in found.name:
                module = importlib.import_module(found.name)
                public = [name for name in vars(module) if not name.startswith("_")]
                own = [name for name in public if getattr(getattr(module, name), "__module__", "") == found.name]
                yield from ((f"{found.name}.{name}", getattr(module, name)) for name in own)


def is_told_elsewhere(cls: type, method: str) -> bool:
    """Whether a method is one of an ancestor, or of an interface of the benchmark."""
    inherited = any(method in vars(base) for base in cls.__mro__[1:] if base.__module__.startswith("midgd."))
    return inherited or (
        cls.__module__.startswith("midgd.bench.methods") and INTERFACES.get(method) not in (None, cls.__name__)
    )


def exported() -> Iterator[str]:
    for package in TOP:
        module = importlib.import_module(f"midgd.{package}")
        yield from (f"{package}.{name}" for name in module.__all__ if inspect.isfunction(getattr(module, name)))


def arguments(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def described(text: str) -> set[str]:
    """Names that the section Parameters explains: each stands on a line of its own, or several with commas."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?:\n\n\S+\n-+\n|\Z)", text, re.M | re.S)
    lines = section[1].splitlines() if section else []
    return {name.strip(" *") for line in lines if not line.startswith(" ") for name in line.split(":")[0].split(",")}


@pytest.mark.parametrize("function", functions())
def test_every_argument_and_the_result_are_explained(function: Callable[..., Any]) -> None:
    text = inspect.getdoc(function) or ""
    assert not set(arguments(function)) - described(text), "arguments without a word under Parameters"
    result = inspect.get_annotations(function).get("return")
    if arguments(function) and result not in (None, "None", "NoReturn", "Self"):
        assert re.search(r"^(Returns|Yields)\n-+$", text, re.M), "returns something, and does not say what"


@pytest.mark.parametrize("name", list(exported()))
def test_what_users_call_has_an_example(name: str) -> None:
    thing = importlib.import_module(f"midgd.{name.split('.')[0]}")
    assert ">>> " in (inspect.getdoc(getattr(thing, name.split(".")[1])) or "")


def numbers(node: ast.expr) -> bool:
    """Whether a value is a number, or holds one."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) and not isinstance(node.value, bool)
    parts = [*getattr(node, "elts", []), *getattr(node, "values", [])] if not isinstance(node, ast.BoolOp) else []
    return any(map(numbers, parts)) or (isinstance(node, ast.UnaryOp) and numbers(node.operand))


def test_every_number_at_the_top_of_a_module_is_explained() -> None:
    """By a comment on its line or above it, or by a text below it."""
    silent = []
    for path in Path(midgd.__file__).parent.rglob("*.py"):
        lines = path.read_text().splitlines()
        for node in ast.parse("\n".join(lines)).body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and numbers(node.value):
                first, last = node.lineno - 1, node.end_lineno or node.lineno
                above, own, below = lines[first - 1], "".join(lines[first:last]), "".join(lines[last : last + 1])
                if not above.startswith("#") and "#" not in own and not below.startswith('"""'):
                    silent.append(f"{path.name}:{node.lineno}: {lines[first]}")
    assert not silent
