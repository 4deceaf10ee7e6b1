"""Which gene is meant: names as they occur in the wild, looked up in the genes of a reference."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

HUMAN_GENE_ID = re.compile(r"ENSG\d{11}")
# The id with what GENCODE and R hang on to it: ".14", ".20_PAR_Y".
_ID_AND_VERSION = re.compile(r"ENSG\d{11}(\.\d+)?(_PAR_Y)?", re.IGNORECASE)
# Cell Ranger's multi-genome references write GRCh38_CD3E or GRCh38______CD3E.
_GENOME_PREFIX = re.compile(r"^(GRCh3[78]|hg19|hg38)_+", re.IGNORECASE)
# var_names_make_unique (CD3E-1) and R's make.unique (CD3E.1).
_UNIQUE_SUFFIX = re.compile(r"^(.+)[-.]\d+$")


def clean_names(names: Iterable[object]) -> list[str]:
    """Names as text without surrounding blanks; None and NaN become ``""``."""
    return [n.strip() if type(n) is str else "" if pd.isna(n) else str(n).strip() for n in names]  # type: ignore[call-overload]


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

    def match(self, names: Sequence[object]) -> NDArray[np.int64]:
        """Find names in the vocabulary.

        Understood are symbols, Ensembl ids with or without version, aliases, any letter case, surrounding blanks,
        ``ENSG00000198851.9_CD3E``, ``CD3E|916``, ``GRCh38_CD3E``, and the suffixes that make duplicated names unique
        (``CD3E-1``, only when ``CD3E`` is among ``names`` as well). An exact symbol wins over another letter case,
        which wins over an alias.

        Parameters
        ----------
        names
            n names; values that are not text are converted, None and NaN match nothing.

        Returns
        -------
        n indices into the vocabulary, -1 where the name is unknown.
        """
        texts = clean_names(names)
        symbol = self._by_symbol.get
        found = np.fromiter((symbol(text, -1) for text in texts), np.int64, len(texts))
        for i in np.flatnonzero(found < 0):
            found[i] = self._other_form(texts[i])
        self._resolve_unique_suffixes(texts, found)
        return found

    def _other_form(self, text: str) -> int:
        """Index of a name that is no exact symbol, -1 if unknown."""
        if gene_id := HUMAN_GENE_ID.search(text.upper()):
            if (hit := self._by_ensembl.get(gene_id.group(), -1)) >= 0:
                return hit
            text = _ID_AND_VERSION.sub("", text).strip("|_- ")
        if not text:
            return -1
        if (hit := self._any_symbol(text)) >= 0:
            return hit
        short = _GENOME_PREFIX.sub("", text).split("|")[0]
        return self._any_symbol(short) if short != text else -1

    def _any_symbol(self, text: str) -> int:
        upper = text.upper()
        for table, key in (
            (self._by_symbol, text),
            (self._by_upper, upper),
            (self._by_alias, text),
            (self._by_alias_upper, upper),
        ):
            if (hit := table.get(key, -1)) >= 0:
                return hit
        return -1

    @staticmethod
    def _resolve_unique_suffixes(texts: list[str], found: NDArray[np.int64]) -> None:
        # The stem must be in the query: a lone "AC012345.1" or "KRTAP5-1" is a name of its own.
        unknown = [(i, m.group(1)) for i in np.flatnonzero(found < 0) if (m := _UNIQUE_SUFFIX.match(texts[i]))]
        if not unknown:
            return
        stems = {text: index for text, index in zip(texts, found, strict=True) if index >= 0}
        for i, stem in unknown:
            found[i] = stems.get(stem, -1)
