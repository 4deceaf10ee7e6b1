"""Which gene is meant: names as they occur in the wild, looked up in the genes of a reference."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

HUMAN_GENE_ID = re.compile(r"ENSG\d{11}")
# Of genes, transcripts and proteins of other species: ENSMUSG, ENSRNOT, ENSDARP; fly and worm. Human ids have no
# letters of a species.
FOREIGN_ID = re.compile(r"ENS[A-Z]{3,6}[GTP]\d{5}|FBgn\d|WBGene\d")
# The id with what GENCODE and R hang on to it: ".14", ".20_PAR_Y".
_ID_AND_VERSION = re.compile(r"ENSG\d{11}(\.\d+)?([_.]PAR_Y)?", re.IGNORECASE)
# What pipelines set before a gene name: the genome (Cell Ranger's GRCh38_CD3E or GRCh38______CD3E, in Seurat
# GRCh38-CD3E), the modality (rna:CD3E of mudata, rna_CD3E of Seurat), the kind of record (gene-CD3E of NCBI).
_PREFIX = re.compile(
    r"((GRCh3[78]|hg19|hg38|T2T[-_.]CHM13|human|homo_sapiens)[_\-.: ]+|(rna|mrna|gex)[_:]|gene[-:])+", re.IGNORECASE
)
# What follows a gene name after a bar: an Entrez id (TCGA), RefSeq or Ensembl transcripts (BD Rhapsody).
_OTHER_ID = re.compile(r"\d+|[NX][MR]_\d+.*|ENST\d{11}.*", re.IGNORECASE)
# Number of a guide, a clone or a repeat behind an Ensembl id: it is not the gene that was counted.
_TAG = re.compile(
    r"(.+[-_.])?(sg|g|grna|sgrna|guide|crispr)[-_.]?\d*|\d+|(.+[-_.])?(adt|hto|totalseq.*)", re.IGNORECASE
)
_NOT_LETTER_OR_DIGIT = re.compile(r"[^A-Za-z0-9]+")


class Form(IntEnum):
    """How a name was written, the closest first."""

    OWN = 0
    """The current symbol or the Ensembl id, also with version, genome prefix or Entrez id."""
    FORMER = 1
    """A former symbol."""
    PUNCTUATION = 2
    """A symbol with other punctuation: HLA.A, as R writes it."""
    LETTER_CASE = 3
    """A symbol in other letter case."""
    UNKNOWN = 4


def clean_names(names: Iterable[object]) -> list[str]:
    """Names as text without surrounding blanks; None and NaN become ``""``, bytes (files of R and Java) are decoded."""
    return [n.strip() if type(n) is str else _as_text(n) for n in names]


def _as_text(name: Any) -> str:
    if isinstance(name, bytes):
        return name.decode(errors="replace").strip()
    return "" if pd.isna(name) else str(name).strip()


def _unambiguous(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Look-up table without the keys that point at two different genes: no answer is better than a wrong one."""
    table: dict[str, int] = {}
    for key, index in pairs:
        if table.setdefault(key, index) != index:
            table[key] = -1
    return table


@dataclass(frozen=True)
class GeneVocabulary:
    """The genes of a reference under all names they are known by.

    Parameters
    ----------
    symbols
        Current symbol of each gene, unique, in the order of the reference.
    ensembl
        Ensembl gene id of each gene, with or without version; ``""`` when unknown.
    aliases
        Old or alternative symbol to current symbol. Entries whose target is not in ``symbols`` are ignored.
        Leave out names that are the current symbol of another gene: they would be counted for this one.

    Raises
    ------
    ValueError
        If ``symbols`` and ``ensembl`` differ in length or a symbol occurs twice.
    """

    symbols: tuple[str, ...]
    ensembl: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.symbols) != len(self.ensembl):
            raise ValueError(
                f"GeneVocabulary: {len(self.symbols):,} symbols but {len(self.ensembl):,} Ensembl ids; "
                "give one id for each symbol, '' where it is unknown"
            )
        if len(self._by_symbol) != len(self.symbols):
            twice = pd.Series(self.symbols)[pd.Series(self.symbols).duplicated()].iloc[0]
            raise ValueError(f"GeneVocabulary: the symbol {twice!r} occurs twice; symbols must be unique")

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def _by_symbol(self) -> dict[str, int]:
        return {symbol: i for i, symbol in enumerate(self.symbols)}

    @cached_property
    def _by_upper(self) -> dict[str, int]:
        return _unambiguous((symbol.upper(), i) for i, symbol in enumerate(self.symbols))

    @cached_property
    def _by_ensembl(self) -> dict[str, int]:
        return _unambiguous((name.split(".")[0].upper(), i) for i, name in enumerate(self.ensembl) if name)

    @cached_property
    def _by_alias(self) -> dict[str, int]:
        known = self._by_symbol
        return {old: known[new] for old, new in self.aliases.items() if new in known}

    @cached_property
    def _by_alias_upper(self) -> dict[str, int]:
        return _unambiguous((old.upper(), i) for old, i in self._by_alias.items())

    @cached_property
    def _by_punctuation(self) -> dict[str, int]:
        """Symbols with a dash or dot, and those that begin with a digit, as R's make.names and others write them."""
        names = [*self._by_symbol.items(), *self._by_alias.items()]
        plain = {name.upper() for name, _ in names}
        table = _unambiguous((_without_punctuation(name), i) for name, i in names if _needs_punctuation(name, plain))
        return {key: i for key, i in table.items() if self._by_upper.get(key, i) == i}

    def find(self, name: str) -> tuple[int, Form]:
        """Index of the gene that a name means, and how it is written; ``(-1, Form.UNKNOWN)`` if it is not known.

        Parameters
        ----------
        name
            One name without surrounding blanks. Its neighbours in a table are not looked at.

        Returns
        -------
        Position in the vocabulary and form of the name.
        """
        if (hit := self._by_symbol.get(name, -1)) >= 0:
            return hit, Form.OWN
        has_parts, upper = not name.isalnum(), name.upper()
        if _ID_AND_VERSION.fullmatch(upper):
            hit = self._by_ensembl.get(upper[:15], -1)
            return hit, Form.UNKNOWN if hit < 0 else Form.OWN
        if has_parts and (prefix := _PREFIX.match(name)):
            name, upper = name[prefix.end() :], upper[prefix.end() :]
        if "ENSG" in upper and (gene_id := HUMAN_GENE_ID.search(upper)):
            rest = _ID_AND_VERSION.sub("", name).strip("|_-.: ")
            if rest and _TAG.fullmatch(rest):
                return -1, Form.UNKNOWN
            if (hit := self._by_ensembl.get(gene_id.group(), -1)) >= 0:
                return hit, Form.OWN
            name = rest
        if has_parts and "|" in name:
            symbol, _, behind = name.partition("|")
            name = symbol if behind == symbol or _OTHER_ID.fullmatch(behind) else name
        return self._find_symbol(name.strip()) if name else (-1, Form.UNKNOWN)

    @cached_property
    def _in_capitals(self) -> frozenset[str]:
        return frozenset(self._by_upper) | frozenset(self._by_alias_upper)

    def _find_symbol(self, name: str) -> tuple[int, Form]:
        upper = name.upper()
        if upper in self._in_capitals:
            for table, key, form in (
                (self._by_symbol, name, Form.OWN),
                (self._by_upper, upper, Form.LETTER_CASE),
                (self._by_alias, name, Form.FORMER),
                (self._by_alias_upper, upper, Form.LETTER_CASE),
            ):
                if (hit := table.get(key, -1)) >= 0:
                    return hit, form
        if upper.isalnum() and not upper.startswith("X"):
            return -1, Form.UNKNOWN
        hit = self._by_punctuation.get(_without_punctuation(name), -1)
        return hit, Form.UNKNOWN if hit < 0 else Form.PUNCTUATION

    def match(self, names: Iterable[object]) -> NDArray[np.int64]:
        """Find names in the vocabulary, each by itself.

        Understood are symbols, Ensembl ids with or without version, former symbols, any letter case, surrounding
        blanks, ``ENSG00000198851.9_CD3E``, ``CD3E|916``, ``GRCh38_CD3E``, ``rna:CD3E``, and ``HLA.A`` for ``HLA-A``.
        An exact symbol wins over another letter case, which wins over a former symbol. Which columns of a table are
        counted is decided by :func:`midgd.features.choose_columns`.

        Parameters
        ----------
        names
            n names; values that are not text are converted, None and NaN match nothing.

        Returns
        -------
        n indices into the vocabulary, -1 where the name is unknown.
        """
        texts = clean_names(names)
        return np.fromiter((self.find(text)[0] for text in texts), np.int64, len(texts))


def _without_punctuation(name: str) -> str:
    """The key of a name in which every run of punctuation is one dot, and R's leading X of a digit is gone."""
    key = _NOT_LETTER_OR_DIGIT.sub(".", name).upper()
    return key[1:] if key.startswith("X") and key[1:2].isdigit() else key


def _needs_punctuation(name: str, plain: set[str]) -> bool:
    # A symbol that is another symbol and a number (were there an H1 beside H1-2) could be a guide of that gene.
    stem = re.match(r"(.+)[^A-Za-z0-9]+\d+$", name)
    if stem and stem.group(1).upper() in plain:
        return False
    return _NOT_LETTER_OR_DIGIT.search(name) is not None or name[0].isdigit()
