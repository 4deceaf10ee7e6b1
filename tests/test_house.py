"""Rules of the house that can be read from the code without running it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import midgd

SOURCE = Path(midgd.__file__).parent
# Modules that reach each other by imports inside of functions: a reference samples, and what samples takes a reference.
# Fewer is better; another one needs a reason.
IN_CIRCLES = {
    "midgd.adata.generated",
    "midgd.adata.results",
    "midgd.generate.answer",
    "midgd.generate.change",
    "midgd.generate.draw",
    "midgd.infer",
    "midgd.infer.domain",
    "midgd.infer.kinds",
    "midgd.infer.predict",
    "midgd.infer.profiles",
    "midgd.infer.uncertainty",
    "midgd.reference",
    "midgd.reference._layout",
    "midgd.reference.paper",
    "midgd.reference.paper.convert",
    "midgd.reference.reference",
    "midgd.reference.registry",
    "midgd.reference.remote",
    "midgd.reference.store",
}


def of_types(node: ast.AST) -> bool:
    """Whether nothing but types needs this part of a module."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def not_at_top(node: ast.AST) -> bool:
    """Whether the import of a module leaves this part of it out."""
    return of_types(node) or isinstance(node, ast.FunctionDef)


def nodes_of(tree: ast.AST, left_out: Callable[[ast.AST], bool]) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if not left_out(node):
            yield node
            yield from nodes_of(node, left_out)


def imported(path: Path, left_out: Callable[[ast.AST], bool] = lambda node: False) -> Iterator[str]:
    """Everything of midgd that a file imports, by its full name; imports are absolute here."""
    for node in nodes_of(ast.parse(path.read_text()), left_out):
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


def imports_of_modules(left_out: Callable[[ast.AST], bool]) -> dict[str, set[str]]:
    """Every module and the modules of midgd that it imports."""
    files = {".".join(("midgd", *p.relative_to(SOURCE).with_suffix("").parts)): p for p in SOURCE.rglob("*.py")}
    modules = {name.removesuffix(".__init__"): path for name, path in files.items()}

    def module_of(name: str) -> str:
        return name if name in modules or "." not in name else module_of(name.rpartition(".")[0])

    found = {name: {module_of(other) for other in imported(path, left_out)} for name, path in modules.items()}
    return {name: {other for other in others if other in modules} - {name} for name, others in found.items()}


def reached(start: str, imports: Mapping[str, Iterable[str]]) -> set[str]:
    """Everything that a module imports, and what that imports."""
    seen: set[str] = set()
    waiting = list(imports[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += imports[name]
    return seen


def test_packages_import_each_other_without_circles() -> None:
    """A package is understood with those that it imports at the top of its modules, and no others."""
    packages: dict[str, set[str]] = {}
    for name, others in imports_of_modules(not_at_top).items():
        own = ".".join(name.split(".")[:2])
        packages.setdefault(own, set()).update({".".join(other.split(".")[:2]) for other in others} - {own})
    try:
        TopologicalSorter(packages).prepare()
    except CycleError as error:
        raise AssertionError(f"packages import each other: {' <- '.join(error.args[1])}") from error


def test_no_more_modules_import_each_other_inside_of_functions() -> None:
    imports = imports_of_modules(of_types)
    found = {name for name in imports if name in reached(name, imports)}
    assert found <= IN_CIRCLES, f"new in a circle: {sorted(found - IN_CIRCLES)}"
    assert found >= IN_CIRCLES, f"in no circle any more, take it off the list: {sorted(IN_CIRCLES - found)}"


def test_every_function_is_called_or_exported() -> None:
    """A function, class or method that only its test uses is not needed."""
    folders = [SOURCE, *(SOURCE.parents[1] / name for name in ("scripts", "benchmarks"))]
    trees = {path: ast.parse(path.read_text()) for folder in folders for path in folder.rglob("*.py")}
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    used |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    own = [node for path, tree in trees.items() if SOURCE in path.parents for node in tree.body]
    own += [method for node in own if isinstance(node, ast.ClassDef) for method in node.body]
    defined = [node.name for node in own if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    # A name in __all__ stands there as a text. Users call the methods of a model, and torch calls `forward`.
    used |= {"forward", *dir(midgd.model.MIDGD)}
    # Python itself calls methods like __len__, and __getattr__ and __dir__ of a module.
    assert not [name for name in defined if name not in used and not name.startswith("__")]
