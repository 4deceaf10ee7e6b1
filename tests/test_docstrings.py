"""What every public name tells its reader; private modules and names are free."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

# The other packages are of use to developers; their docstrings are checked by reading.
PACKAGES = ["datasets", "features", "get", "metrics", "model", "pp", "tl"]
TOP = ["datasets", "get", "metrics", "pp", "reference", "tl"]


def functions() -> Iterator[Any]:
    """Functions, classes and public methods that the packages export, each once."""
    seen = set()
    for package in PACKAGES:
        module = importlib.import_module(f"midgd.{package}")
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing):
                own = [m for m in vars(thing) if not m.startswith("_")]
                members = [(f"{package}.{name}.{m}", inspect.getattr_static(thing, m)) for m in own]
            else:
                members = [(f"{package}.{name}", thing)]
            for where, member in members:
                member = member.__func__ if isinstance(member, classmethod | staticmethod) else member
                if inspect.isfunction(member) and member not in seen and member.__module__.startswith("midgd."):
                    seen.add(member)
                    yield pytest.param(member, id=where)


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
