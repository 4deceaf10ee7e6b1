"""What may stand on a card. A new field of the card is one line in :data:`CARD`."""

from __future__ import annotations

import math
from typing import Any

from midgd._checks import Check, check_depth, either, list_of, map_of, maybe, number, record, text, whole
from midgd._text import shown
from midgd.nn.decoder import ACTIVATIONS
from midgd.nn.heads import HEADS
from midgd.zeroshot.maps import ACCURACIES

GROUPS = ("cell", "line", "tissue")  # of kinds of samples


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
            record(
                {"n_latent": whole(1), "n_kinds": whole(1), "n_mirnas": whole(1)},
                {"cells": list_of(whole(0)), "n_axes": whole(0)},
            )
        ),
        "kinds_table": record({"name": list_of(text()), "group": list_of(either(*GROUPS))}, more=True),
        "weights_sha256": text(64),
        "version": text(),
        "half_precision": either(True, False),
        "matures": record(_MIRNAS, {"aliases": _ALIASES}, more=True),
        "zero_shot": record(_MIRNAS | {"evidence": _NAMES, **dict.fromkeys(ACCURACIES, list_of(_accuracy))}, more=True),
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
    check_depth(card)
    CARD(card, "")
    tables = {"genes": ("symbol", "ensembl"), "mirnas": ("name", "accession"), "matures": ("name", "accession")}
    tables |= {"kinds_table": ("name", "group"), "zero_shot": ("name", "accession")}
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
    zero_shot = card.get("zero_shot", {})
    for field in ("evidence", *ACCURACIES):
        if zero_shot and len(zero_shot[field]) != len(zero_shot["name"]):
            raise ValueError(f"zero_shot.{field} has {len(zero_shot[field])} entries, not {len(zero_shot['name'])}")
    for level, depths in card.get("accuracy", {}).get("per_mirna", {}).items():
        part = "matures" if level == "mature" and "matures" in card else "mirnas"
        for depth, values in depths.items():
            if len(values) != len(card[part]["name"]):
                where = f"accuracy.per_mirna[{shown(level)}][{shown(depth)}]"
                raise ValueError(f"{where} has {len(values)} entries, {part}.name has {len(card[part]['name'])}")
