"""Names of genes and miRNAs for the card, from the var of the training data."""

from __future__ import annotations

import re

import pandas as pd

from midgd.features.genes import HUMAN_GENE_ID, clean_names
from midgd.features.mirna import mirna_level
from midgd.reference.reference import Card

# Where loaders put the other kind of name (Cell Ranger, CELLxGENE, GENCODE tables, midgd.datasets).
_SYMBOL_COLUMNS = ("gene_name", "gene_symbol", "gene_symbols", "symbol", "feature_name", "hgnc_symbol")
_ENSEMBL_COLUMNS = ("gene_id", "gene_ids", "ensembl", "ensembl_id", "ensembl_gene_id", "feature_id")
_MIRNA = re.compile(r"(hsa-)?(mir|let)-\w|MI(MAT)?\d{7}", re.IGNORECASE)


def gene_card(var: pd.DataFrame) -> Card:
    """Symbols and Ensembl ids of genes whose index holds one of them and, if known, a column the other.

    Every gene keeps a unique name: an Ensembl id without a symbol of its own stands for itself.
    """
    names = clean_names(var.index)
    if not _mostly_ids(names):
        ids = next((ids for column in _ENSEMBL_COLUMNS if _mostly_ids(ids := _column(var, column))), [""] * len(names))
        return {"symbol": names, "ensembl": [_gene_id(text) for text in ids]}
    symbols = next((s for column in _SYMBOL_COLUMNS if any(s := _column(var, column))), names)
    shared = pd.Series(symbols).duplicated(keep=False)
    unique = [name if twice or not s else s for s, name, twice in zip(symbols, names, shared, strict=True)]
    return {"symbol": unique, "ensembl": [_gene_id(name) for name in names]}


def mirna_card(var: pd.DataFrame) -> Card:
    """Names, accessions (column ``accession``) and level of miRNAs."""
    names = clean_names(var.index)
    return {"level": mirna_level(names), "name": names, "accession": _column(var, "accession")}


def look_like_mirnas(names: list[str]) -> bool:
    """Whether most names are those of miRNAs."""
    return sum(_MIRNA.match(name) is not None for name in names) > len(names) / 2


def _column(var: pd.DataFrame, name: str) -> list[str]:
    return clean_names(var[name]) if name in var else [""] * len(var)


def _gene_id(name: str) -> str:
    found = HUMAN_GENE_ID.search(name)
    return found.group() if found else ""


def _mostly_ids(names: list[str]) -> bool:
    return sum(HUMAN_GENE_ID.match(name) is not None for name in names) > len(names) / 2
