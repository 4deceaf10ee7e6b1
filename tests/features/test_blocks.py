from __future__ import annotations

import numpy as np
import pytest

from midgd.features.blocks import BEHIND, FRONT, block_of_repeats

GENES = [f"G{i}" for i in range(100)]
ADT = ["G80", "G3", "G41"]


def block(names: list[str]) -> tuple[list[int], str]:
    known = {name: i for i, name in enumerate(GENES)}
    found, why = block_of_repeats(names, np.array([known.get(name, -1) for name in names]))
    return found.tolist(), why


@pytest.mark.parametrize("between", [[], ["IgG1", "CD45RA"]])
def test_repeats_at_one_end_are_a_block(between: list[str]) -> None:
    assert block([*GENES, *between, *ADT]) == ([100 + len(between) + i for i in range(3)], BEHIND)
    assert block([*ADT, *between, *GENES]) == ([0, 1, 2], FRONT)


def test_a_few_may_have_no_column_elsewhere() -> None:
    some = [name for name in GENES if name != "G41"]
    found, _ = block_of_repeats([*some, *ADT, "G5"], np.arange(103))
    assert found.tolist() == [99, 100, 101, 102]


@pytest.mark.parametrize(
    "names",
    [
        GENES,
        [*GENES, "G1", "G2"],  # two are an accident
        [*GENES, *GENES],  # the same genes twice
        [*GENES[:50], *ADT, *GENES[50:]],
        [name for name in GENES for _ in range(5)],  # transcripts with the name of their gene
        [*GENES, *["G1"] * 5],
        ["unknown"] * 9,
        [],
    ],
)
def test_other_repeats_are_none(names: list[str]) -> None:
    assert block(names) == ([], "")
