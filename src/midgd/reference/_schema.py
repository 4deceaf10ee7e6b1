"""What may stand on a card: a table of checks, each of which names the field that is wrong.

A check takes a value and where it stands. A new field of the card is one line in :data:`CARD`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from midgd._text import shown
from midgd.nn.decoder import ACTIVATIONS
from midgd.nn.heads import HEADS

Check = Callable[[object, str], None]

GROUPS = ("cell", "line", "tissue")  # of kinds of samples
MAX_DEPTH = 32  # of lists and objects in each other, on a whole card
MAX_FEATURES = 10_000_000


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


def number(low: float = -math.inf, high: float = math.inf) -> Check:
    """A finite number within bounds, both included."""

    def check(value: object, where: str) -> None:
        if type(value) not in (int, float) or not low <= value <= high or math.isinf(value):  # type: ignore[operator, arg-type]
            _refuse(where, value, f"a number from {low:g} to {high:g}")

    return check


def whole(low: int, high: int = MAX_FEATURES) -> Check:
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


def list_of(inner: Check, longest: int = MAX_FEATURES) -> Check:
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


def _accuracy(value: object, where: str) -> None:
    """A correlation; null or NaN where it is not known."""
    if value is not None and not (isinstance(value, float) and math.isnan(value)):
        number(-1.0, 1.0)(value, where)


# Names come from the data of a user: they may hold anything, and messages show them quoted.
_NAMES = list_of(text(10_000, printable=False))
_ALIASES = map_of(text(10_000, printable=False))
_MIRNAS: dict[str, Check] = {"name": _NAMES, "accession": _NAMES}
_SIZES = {name: whole(1) for name in ("n_genes", "n_mirnas", "rank")}
_DECODER: dict[str, Check] = {
    "n_latent": whole(1, 100_000),
    "n_hidden": whole(0, 1_000_000),
    "n_layers": whole(0, 100),
    "skip": either(True, False),
    "likelihoods": maybe(map_of(lambda value, where: either(*HEADS)(value, where))),  # with those of the user
    "dispersion_floor": number(0.0, 1e6),
    "activation": either(*ACTIVATIONS),
}
_PRIOR: dict[str, Check] = {
    "n_components": whole(1, 100_000),
    **{name: number(1e-6, 1e6) for name in ("radius", "sharpness", "typical_sd")},
}

# A card may say more than this: other fields are free text and numbers, which midgd does not use.
CARD = record(
    {
        "format": whole(1),
        "sha256": text(64),
        "name": text(),
        "genes": record({"symbol": _NAMES, "ensembl": _NAMES}, {"aliases": _ALIASES}, more=True),
        "mirnas": record(_MIRNAS, {"level": text(), "aliases": _ALIASES}, more=True),
        "decoder": record(_DECODER),
        "prior": record(_PRIOR),
        "readout": maybe(record(_SIZES, {"n_core": whole(0), "counts_rank": whole(0)})),
        "encoder": maybe(record({"n_features": whole(1), "n_latent": whole(1), "n_hidden": whole(1)})),
    },
    {
        "kinds": maybe(
            record({"n_latent": whole(1), "n_kinds": whole(1), "n_mirnas": whole(1)}, {"cells": list_of(whole(0))})
        ),
        "kinds_table": record({"name": list_of(text()), "group": list_of(either(*GROUPS))}, more=True),
        "weights_sha256": text(64),
        "version": text(),
        "half_precision": either(True, False),
        "matures": record(_MIRNAS, {"aliases": _ALIASES}, more=True),
        "training": record({}, {"n_samples": whole(0, 10**12)}, more=True),
        "citations": list_of(text(10_000)),
        "accuracy": record({}, {"per_mirna": map_of(map_of(list_of(_accuracy)))}, more=True),
    },
    more=True,
)


def check_card(card: dict[str, Any]) -> None:
    """Whether a card is what the code takes it for; what it says must also agree with itself.

    Raises
    ------
    ValueError
        If not; names the field.
    """
    _check_depth(card)
    CARD(card, "")
    tables = {"genes": ("symbol", "ensembl"), "mirnas": ("name", "accession"), "matures": ("name", "accession")}
    tables["kinds_table"] = ("name", "group")
    for part, (first, second) in tables.items():
        table = card.get(part)
        if table is None:
            continue
        names = table[first]
        if not names:
            raise ValueError(f"{part}.{first} is empty")
        if len(names) != len(table[second]):
            raise ValueError(f"{part}.{first} has {len(names)} entries, {part}.{second} has {len(table[second])}")
        if len(set(names)) != len(names):
            seen: set[str] = set()
            twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
            raise ValueError(f"{part}.{first} has {shown(twice)} twice")
    for level, depths in card.get("accuracy", {}).get("per_mirna", {}).items():
        part = "matures" if level == "mature" and "matures" in card else "mirnas"
        for depth, values in depths.items():
            if len(values) != len(card[part]["name"]):
                where = f"accuracy.per_mirna[{shown(level)}][{shown(depth)}]"
                raise ValueError(f"{where} has {len(values)} entries, {part}.name has {len(card[part]['name'])}")


def _check_depth(card: dict[str, Any]) -> None:
    """Not too deep for functions that call themselves."""
    level: list[object] = [card]
    for _ in range(MAX_DEPTH):
        inner = [item for part in level for item in (part.values() if isinstance(part, dict) else part)]  # type: ignore[attr-defined]
        level = [item for item in inner if isinstance(item, dict | list)]
        if not level:
            return
    raise ValueError(f"it has lists or objects more than {MAX_DEPTH} deep in each other")
