"""Names on the card: symbols and Ensembl ids from whatever var has, the level of miRNAs."""

from __future__ import annotations

import pandas as pd

from midgd.features import GeneVocabulary
from midgd.model._names import gene_card, look_like_mirnas, mirna_card

IDS = ["ENSG00000141510.18", "ENSG00000119888.11", "ENSG00000000001.1", "ENSG00000000002.2"]


def test_symbols_with_ids_in_a_column() -> None:
    var = pd.DataFrame({"gene_ids": IDS[:2]}, index=["TP53", "EPCAM"])
    assert gene_card(var) == {"symbol": ["TP53", "EPCAM"], "ensembl": ["ENSG00000141510", "ENSG00000119888"]}
    assert gene_card(var.drop(columns="gene_ids"))["ensembl"] == ["", ""]


def test_ids_with_symbols_in_a_column() -> None:
    var = pd.DataFrame({"gene_name": ["TP53", "EPCAM", "TWICE", "TWICE"]}, index=IDS)
    card = gene_card(var)
    assert card["symbol"] == ["TP53", "EPCAM", *IDS[2:]], "a symbol that two genes share belongs to neither"
    vocabulary = GeneVocabulary(tuple(card["symbol"]), tuple(card["ensembl"]))
    assert vocabulary.match(["EPCAM", "ENSG00000141510", "ENSG00000000002"]).tolist() == [1, 0, 3]


def test_ids_alone_stand_for_themselves() -> None:
    card = gene_card(pd.DataFrame(index=IDS))
    assert card["symbol"] == IDS and card["ensembl"][0] == "ENSG00000141510"


def test_accessions() -> None:
    var = pd.DataFrame({"accession": ["MI0000077", None]}, index=["hsa-mir-21", "hsa-mir-x"])
    assert mirna_card(var) == {"level": "stem-loop", "name": list(var.index), "accession": ["MI0000077", ""]}


def test_mirnas_are_told_from_genes() -> None:
    assert look_like_mirnas(["hsa-mir-21", "let-7a-1", "MIMAT0000076"])
    assert not look_like_mirnas(["MIR21", "MIR22HG", "MITF", "LETM1"])
