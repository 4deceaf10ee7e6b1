from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midgd.features import MirnaVocabulary, normalise_mirna_name
from midgd.features.mirna import mirna_level


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("hsa-miR-21-5p", "hsa-miR-21-5p"),
        (" miR-21-5p ", "hsa-miR-21-5p"),
        ("HSA-MIR-21-5P", "hsa-miR-21-5p"),
        ("hsa-mir-125b-5p", "hsa-miR-125b-5p"),
        ("hsa.miR.125B.5p", "hsa-miR-125b-5p"),
        ("hsa-mir-21", "hsa-mir-21"),
        ("hsa-miR-21", "hsa-miR-21"),
        ("MIR-21", "hsa-mir-21"),
        ("mir_9_1", "hsa-mir-9-1"),
        ("hsa-let-7a-1", "hsa-let-7a-1"),
        ("LET-7A-5P", "hsa-let-7a-5p"),
        ("hsa-mir-21*", "hsa-miR-21*"),
        ("mmu-miR-21a-5p", "mmu-miR-21a-5p"),
        ("MIMAT0000076", "MIMAT0000076"),
        ("CD3E", "CD3E"),
        ("", ""),
    ],
)
def test_normalised_names(given_name: str, expected: str) -> None:
    assert normalise_mirna_name(given_name) == expected


@given(
    st.sampled_from(["hsa-", "HSA-", "", "mmu-"]), st.sampled_from(["miR", "mir", "MIR", "let"]), st.text(max_size=8)
)
def test_a_normalised_name_stays_as_it_is(species: str, family: str, rest: str) -> None:
    once = normalise_mirna_name(f"{species}{family}-{rest}")
    assert normalise_mirna_name(once) == once


VOCABULARY = MirnaVocabulary(
    names=("hsa-miR-21-5p", "hsa-mir-21", "hsa-let-7a-5p", "hsa-miR-451a"),
    accessions=("MIMAT0000076", "MI0000077", "MIMAT0000062", ""),
    aliases={
        "hsa-miR-21": "hsa-miR-21-5p",
        "hsa-let-7a": "hsa-let-7a-5p",
        "hsa-miR-451": "hsa-miR-451a",
        "hsa-miR-21*": "hsa-miR-21-3p",
    },
)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("hsa-miR-21-5p", 0),
        ("mir-21-5p", 0),
        ("MIMAT0000076", 0),
        ("mimat0000076", 0),
        ("hsa-miR-21", 0),  # an old mature name, by its capital R
        ("miR-21", 0),
        ("hsa-mir-21", 1),  # the stem-loop
        ("HSA-MIR-21", 1),
        ("MI0000077", 1),
        ("let-7a", 2),
        ("miR-451", 3),
        ("hsa-miR-21*", -1),  # the alias leads out of the vocabulary
        ("mmu-miR-21-5p", -1),
        ("", -1),
        (None, -1),
    ],
)
def test_match(name: str, index: int) -> None:
    assert VOCABULARY.match([name]).tolist() == [index]


def test_lengths_and_repeats_are_errors() -> None:
    with pytest.raises(ValueError, match="2 names but 1 accessions"):
        MirnaVocabulary(("a", "b"), ("",))
    with pytest.raises(ValueError, match="'a' occurs twice"):
        MirnaVocabulary(("a", "b", "a"), ("", "", ""))


@pytest.mark.parametrize(
    ("names", "level"),
    [
        (["hsa-miR-21-5p", "hsa-let-7a-5p", "hsa-miR-16"], "mature"),
        (["hsa-mir-21", "hsa-let-7a-1", "hsa-mir-16-2"], "stem-loop"),
        (["hsa-miR-21*", "hsa-miR-451"], "mature"),
        (["mir21", "mir22"], "stem-loop"),
    ],
)
def test_level(names: list[str], level: str) -> None:
    assert mirna_level(names) == level
