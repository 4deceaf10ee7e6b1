from __future__ import annotations

import string

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midgd.features import ColumnAnnotation, GeneVocabulary, align_genes, blocks, choose_columns
from midgd.features import columns as reasons

SYMBOLS = tuple(f"G{a}{b}" for a in string.ascii_uppercase for b in string.ascii_uppercase)
REAL = ("CD4", "CD14", "LYZ", "HLA-A", "NKX2-1", "MT-CO1", "C1orf112", "C3")
IDS = tuple(f"ENSG{i:011d}" for i in range(len(SYMBOLS) + len(REAL)))
VOCABULARY = GeneVocabulary((*REAL, *SYMBOLS), IDS, {"OLD": "LYZ"})


def counted(names: list[str], annotation: ColumnAnnotation | None = None) -> list[str]:
    chosen = choose_columns(names, VOCABULARY, annotation)
    assert all((index < 0) == bool(reason) for index, reason in zip(chosen.gene, chosen.reasons, strict=True))
    return [name for name, index in zip(names, chosen.gene, strict=True) if index >= 0]


def reason(name: str, *others: str) -> str:
    return choose_columns([name, *others], VOCABULARY).reasons[0]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("LYZ-1", reasons.NUMBERED),
        ("LYZ.1", reasons.NUMBERED),
        ("LYZ_g1", reasons.NUMBERED),
        ("LYZ_sgRNA_2", reasons.NUMBERED),
        ("CD4-1", reasons.NUMBERED),
        ("CD4_TotalSeqB", reasons.ANTIBODY),
        ("CD4-TotalSeqC", reasons.ANTIBODY),
        ("CD4_ADT", reasons.ANTIBODY),
        ("adt_CD4", reasons.ANTIBODY),
        ("prot:CD4", reasons.ANTIBODY),
        ("HTO_3", reasons.ANTIBODY),
        ("Hashtag1", reasons.ANTIBODY),
        ("CD4:SK3|CD4|AHS0032|pAbO", reasons.ANTIBODY),
        ("sgLYZ", reasons.GUIDE),
        ("non-targeting_2", reasons.GUIDE),
        ("ERCC-00002", reasons.SPIKE_IN),
        ("ERCC.00002", reasons.SPIKE_IN),
        ("GRCh38_ERCC-00002", reasons.SPIKE_IN),
        ("mm10_Lyz2", reasons.OTHER_SPECIES),
        ("mm10___Lyz", reasons.OTHER_SPECIES),
        ("GRCm39_LYZ", reasons.OTHER_SPECIES),
        ("ENSMUSG00000069516", reasons.OTHER_SPECIES),
        ("Lyz", reasons.OTHER_SPECIES),
        ("lYZ", reasons.OTHER_CASE),
        ("HLA.A", reasons.OTHER_PUNCTUATION),
        ("NegControlProbe_00042", reasons.CONTROL),
        ("BLANK_0001", reasons.CONTROL),
        ("__no_feature", reasons.SUMMARY),
        ("AC012345.1", reasons.UNKNOWN),
        ("RN5-8S1", reasons.UNKNOWN),
    ],
)
def test_what_is_left_out_beside_the_genes_and_why(name: str, why: str) -> None:
    assert reason(name, *REAL, *SYMBOLS) == why
    assert counted([*REAL, name]) == list(REAL)


def test_real_names_with_numbers_stay() -> None:
    names = ["HLA-A", "NKX2-1", "MT-CO1", "C1orf112", "NKX2", "MT"]
    assert counted(names) == names[:4]
    assert counted(["HLA.A", "NKX2.1", "MT.CO1"]) == ["HLA.A", "NKX2.1", "MT.CO1"]


def test_the_same_gene_under_another_id_is_counted() -> None:
    same = ["LYZ", IDS[2], f"{IDS[2]}.7", "OLD", "GRCh38_LYZ", "LYZ|4069", "LYZ"]
    assert counted(same) == same


def test_lower_case_alone_is_counted_and_noted() -> None:
    names = [name.lower() for name in (*REAL, *SYMBOLS)]
    chosen = choose_columns(names, VOCABULARY)
    assert (chosen.gene >= 0).all() and chosen.letter_case == len(names)


@settings(deadline=None, max_examples=40)
@given(st.sets(st.sampled_from(SYMBOLS), min_size=60), st.sampled_from([str.title, str.lower]), st.randoms())
def test_a_second_species_never_adds_to_a_gene(human: set[str], write: object, random: object) -> None:
    """Whichever human genes are there: genes that only the other species has are not taken for human ones either."""
    names = [*human, *(write(symbol) for symbol in SYMBOLS)]  # type: ignore[operator]
    random.shuffle(names)  # type: ignore[attr-defined]
    assert set(counted(names)) == human


def test_genes_of_two_species_with_the_same_name() -> None:
    mouse = [name.title() for name in SYMBOLS[:200]]
    names = [*SYMBOLS[:100], "C3", *SYMBOLS[100:], *mouse[:100], "C3", *mouse[100:]]
    gene = choose_columns(names, VOCABULARY).gene
    assert gene[100] == REAL.index("C3") and gene[len(SYMBOLS) + 101] == -1


def test_ids_tell_a_repeated_gene_from_an_antibody() -> None:
    names = ["LYZ", "LYZ-1", "CD4", "CD4", "CD14", "GAA"]
    ids = (IDS[2], "ENSG00000999999", IDS[0], "CD4_TotalSeqB", "CD14_TotalSeqB", "")
    chosen = choose_columns(names, VOCABULARY, ColumnAnnotation(("",) * 6, ids))
    assert chosen.gene.tolist() == [2, 2, 0, -1, -1, len(REAL)]
    assert chosen.reasons[3:5] == [reasons.NO_GENE_ID] * 2 and chosen.repeated == ()


def test_a_symbol_may_stand_in_the_place_of_an_id() -> None:
    ids = (IDS[2], IDS[0], "CD14", "")
    chosen = choose_columns(["LYZ", "CD4", "CD14", "C3"], VOCABULARY, ColumnAnnotation(("",) * 4, ids))
    assert (chosen.gene >= 0).all()


def test_repeated_names_are_told_where_nothing_explains_them() -> None:
    assert choose_columns(["LYZ", "CD4", "LYZ"], VOCABULARY).repeated == ("LYZ",)


def test_what_the_table_excludes_is_not_looked_at() -> None:
    annotation = ColumnAnnotation(("", "modality 'prot'", ""))
    chosen = choose_columns(["LYZ", "CD4", "CD14"], VOCABULARY, annotation)
    assert chosen.gene.tolist() == [2, -1, 1] and chosen.reasons[1] == "modality 'prot'"


def test_entrez_ids_read_by_r() -> None:
    assert counted(["LYZ.4069", "CD4.920", "HLA.A.3105", "..100130426"]) == ["LYZ.4069", "CD4.920", "HLA.A.3105"]


def test_the_report_has_reasons_counts_and_examples() -> None:
    names = [*SYMBOLS, "ERCC-00002", "ERCC-00003", *(name.title() for name in SYMBOLS[:50])]
    report = align_genes(names, VOCABULARY).report
    assert report.left_out == {reasons.SPIKE_IN: 2, reasons.OTHER_SPECIES: 50}
    assert report.left_out_examples[reasons.OTHER_SPECIES] == ("Gaa", "Gab", "Gac")
    assert report.notes[0] == "not counted: 2 columns, spike-ins (ERCC-00002, ERCC-00003)"
    saved = report.to_dict()
    assert dict(zip(saved["left_out"], saved["left_out_columns"], strict=True)) == report.left_out
    assert pd.Series(saved["left_out_examples"]).str.len().gt(0).all() and np.issubdtype(
        saved["left_out"].dtype, np.str_
    )


FEW = ["CD4", "CD14", "LYZ"]


def test_antibodies_in_front_take_the_names_of_the_genes() -> None:
    made_unique = [*FEW, *SYMBOLS[:90], "CD4-1", *SYMBOLS[90:300], "CD14-1", *SYMBOLS[300:500], "LYZ-1", *SYMBOLS[500:]]
    assert counted(made_unique) == made_unique[3:]
    assert choose_columns(made_unique, VOCABULARY).reasons[:3] == [blocks.FRONT] * 3
    guides = [f"{name}-1" for name in FEW]
    assert choose_columns([*SYMBOLS, *FEW, *guides], VOCABULARY).reasons[-3:] == [reasons.NUMBERED] * 3


def test_antibodies_behind_the_genes_are_left_out() -> None:
    chosen = choose_columns([*FEW, *SYMBOLS, *FEW], VOCABULARY)
    assert (chosen.gene[:-3] >= 0).all() and chosen.reasons[-3:] == [blocks.BEHIND] * 3


def test_where_genes_are_called_so_their_column_is_the_gene() -> None:
    called = ColumnAnnotation(("",) * 4, called_genes=(True, False, False, False))
    assert counted(["CD4", "CD4", "CD14", "LYZ-1"], called) == ["CD4", "CD14"]
