from __future__ import annotations

import time

import numpy as np
import pytest

from midgd.features import GeneVocabulary

VOCABULARY = GeneVocabulary(
    symbols=("CD3E", "C10orf105", "TBCE", "KRTAP5-1", "NKX2-1", "FIRRM", "NOID", "HLA-A"),
    ensembl=(
        "ENSG00000198851",
        "ENSG00000214688",
        "ENSG00000284770.2",
        "ENSG00000205869",
        "ENSG00000136352",
        "ENSG00000000460",
        "",
        "ENSG00000206503",
    ),
    aliases={"C1orf112": "FIRRM", "TITF1": "NKX2-1", "cd3e": "HLA-A", "GONE": "ABSENT"},
)


def match(*names: object) -> list[int]:
    return VOCABULARY.match(names).tolist()


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("CD3E", "CD3E"),
        ("  CD3E\t", "CD3E"),
        ("Cd3E", "CD3E"),
        ("cd3e", "CD3E"),  # another letter case wins over the alias
        ("C10ORF105", "C10orf105"),
        ("c10orf105", "C10orf105"),
        ("KRTAP5-1", "KRTAP5-1"),
        ("hla-a", "HLA-A"),
        ("C1orf112", "FIRRM"),
        ("c1ORF112", "FIRRM"),
        ("ENSG00000198851", "CD3E"),
        ("ENSG00000198851.14", "CD3E"),
        ("ensg00000198851.14", "CD3E"),
        ("ENSG00000198851.14_PAR_Y", "CD3E"),
        ("ENSG00000284770", "TBCE"),  # the version in the vocabulary does not count
        ("ENSG00000198851_CD3E", "CD3E"),
        ("ENSG00000198851.9|CD3E", "CD3E"),
        ("ENSG99999999999_NOID", "NOID"),  # unknown id, known symbol
        ("HLA-A_ENSG00000206503", "HLA-A"),
        ("CD3E|916", "CD3E"),
        ("titf1|7080", "NKX2-1"),
        ("GRCh38_CD3E", "CD3E"),
        ("hg19______CD3E", "CD3E"),
        ("GRCh38-CD3E", "CD3E"),  # Seurat has no underscores
        ("GRCh38.HLA.A", "HLA-A"),
        ("GRCh38_ENSG00000198851.14", "CD3E"),
        ("rna:CD3E", "CD3E"),
        ("gene-CD3E", "CD3E"),
        ("HLA.A", "HLA-A"),  # R's make.names
        ("HLA_A", "HLA-A"),
        ("hla.a", "HLA-A"),
        ("NKX2.1", "NKX2-1"),
        ("CD3E|NM_000733.3|PolyA_1", "CD3E"),
        ("CD3E|ENSG00000198851", "CD3E"),
        ("ENSG00000198851.9.CD3E", "CD3E"),
    ],
)
def test_forms_of_a_name(name: str, symbol: str) -> None:
    assert match(name) == [VOCABULARY.symbols.index(symbol)]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "  ",
        "?|100130426",
        "ENSG99999999999",
        "ENSMUSG00000198851",
        "GONE",
        "ABSENT",
        "mm10_CD3E",
        None,
        np.nan,
        3,
        "CD3E_g1",
        "sgCD3E",
        "CD3E|antibody",
        "ENSG00000198851_g1",
        "ENSG00000198851-2",
        "ENSG00000198851_sgRNA_3",
        "CD3E_TotalSeqB",
        "mm10___Cd3e",
        "X",
    ],
)
def test_unknown_names(name: object) -> None:
    assert match(name) == [-1]


def test_a_name_and_a_number_is_another_name() -> None:
    assert match("TBCE", "TBCE-1", "TBCE.2") == [2, -1, -1]
    assert match("NKX2", "NKX2-1", "KRTAP5-1") == [-1, 4, 3]


def test_ambiguous_letter_case_matches_nothing_but_the_exact_symbol() -> None:
    vocabulary = GeneVocabulary(("Abc1", "ABC1"), ("", ""))
    assert vocabulary.match(["Abc1", "ABC1", "abc1"]).tolist() == [0, 1, -1]


def test_alias_never_hides_a_current_symbol() -> None:
    vocabulary = GeneVocabulary(("A1", "B1"), ("", ""), {"A1": "B1", "OLD": "B1"})
    assert vocabulary.match(["A1", "OLD"]).tolist() == [0, 1]


def test_lengths_and_repeats_are_errors() -> None:
    with pytest.raises(ValueError, match="2 symbols but 1 Ensembl"):
        GeneVocabulary(("A", "B"), ("",))
    with pytest.raises(ValueError, match="'A' occurs twice"):
        GeneVocabulary(("A", "B", "A"), ("", "", ""))


def test_many_names_are_fast() -> None:
    symbols = tuple(f"GENE{i}" for i in range(17_000))
    vocabulary = GeneVocabulary(symbols, tuple(f"ENSG{i:011d}" for i in range(17_000)))
    names = [f"ENSG{i:011d}.7" for i in range(60_000)]
    vocabulary.match(names[:1])
    start = time.perf_counter()
    found = vocabulary.match(names)
    # 0.2 s on a quiet machine; the bound only catches a look-up that has become quadratic.
    assert time.perf_counter() - start < 2
    assert (found >= 0).sum() == 17_000
