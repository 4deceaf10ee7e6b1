"""Rules of the house that can be read from the code without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import midgd

SOURCE = Path(midgd.__file__).parent


def imported(path: Path) -> Iterator[str]:
    """Everything of midgd that a file imports, by its full name; imports are absolute here."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_private_names_stay_in_their_package() -> None:
    """``midgd/_x.py`` belongs to the whole of midgd, ``midgd/tl/_x.py`` to ``tl``; the same for private functions."""
    found = []
    for path in SOURCE.rglob("*.py"):
        own = ".".join(("midgd", *path.parent.relative_to(SOURCE).parts))
        for name in imported(path):
            parts = name.split(".")
            private = [i for i, part in enumerate(parts) if part.startswith("_") and not part.startswith("__")]
            if parts[0] != "midgd" or not private:
                continue
            # The folder that the first private part lies in; a private name of a module lies in the module's folder.
            inside = SOURCE.joinpath(*parts[1 : private[0]])
            owner = parts[: private[0]] if inside.is_dir() else parts[: private[0] - 1]
            if not f"{own}.".startswith(".".join(owner) + "."):
                found.append(f"{path.relative_to(SOURCE)}: {name}")
    assert not found


def test_every_function_is_called_or_exported() -> None:
    """A function or class that only its test uses is not needed."""
    folders = [SOURCE, *(SOURCE.parents[1] / name for name in ("scripts", "benchmarks"))]
    trees = {path: ast.parse(path.read_text()) for folder in folders for path in folder.rglob("*.py")}
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    used |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    own = [node for path, tree in trees.items() if SOURCE in path.parents for node in tree.body]
    defined = [node.name for node in own if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    # Python itself calls __getattr__ and __dir__ of a module. A name in __all__ stands there as a text.
    assert not [name for name in defined if name not in used and not name.startswith("__")]
