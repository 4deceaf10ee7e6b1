"""Names of miRNAs after miRBase: ``hsa-miR-21-5p`` is a mature miRNA, ``hsa-mir-21`` its stem-loop."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from midgd.features.genes import clean_names

_NAME = re.compile(r"(?:(?P<species>[a-z]{3,4})-)?(?P<family>mir|let)-(?P<rest>.+)", re.IGNORECASE)
#: End of the name of a mature miRNA that says which arm of the stem-loop it is.
ARM = re.compile(r"-[35]p$", re.IGNORECASE)
# Of a mature miRNA: an arm, the star of names before miRBase 18, a capital R, or an accession.
_MATURE = re.compile(r"-[35]p$|\*$|^MIMAT\d+$|(?-i:(^|-)miR-)", re.IGNORECASE)


def normalise_mirna_name(name: str) -> str:
    """Write a miRNA name as miRBase does.

    Blanks are stripped, ``.`` and ``_`` (as R writes ``hsa.miR.21.5p``) become ``-``, a missing ``hsa-`` is added and
    the letter case is set: ``miR`` for a name with an arm (``-5p``, ``-3p``) or a star, else as it was given, and
    ``mir`` if it was given as ``MIR``. Names that do not look like a miRNA come back stripped and otherwise
    unchanged, accessions too. Names that miRBase has dropped, stars among them, are left to the aliases.

    Parameters
    ----------
    name
        For example ``"mir-21-5p"``, ``"HSA-LET-7A-1"``, ``"miR-21*"``.

    Returns
    -------
    ``"hsa-miR-21-5p"``, ``"hsa-let-7a-1"``, ``"hsa-miR-21*"``.
    """
    text = name.strip()
    parts = _NAME.fullmatch(re.sub(r"[._]", "-", text))
    if parts is None:
        return text
    species = (parts["species"] or "hsa").lower()
    rest = parts["rest"].lower()
    if parts["family"].lower() == "let":
        family = "let"
    elif ARM.search(rest) or rest.endswith("*"):
        family = "miR"
    else:
        family = "miR" if parts["family"] == "miR" else "mir"
    return f"{species}-{family}-{rest}"


def mirna_level(names: Sequence[str]) -> str:
    """Whether names are those of mature miRNAs or of stem-loops.

    Parameters
    ----------
    names
        Names or accessions of one kind.

    Returns
    -------
    ``"mature"`` if most are those of mature miRNAs (``hsa-miR-21-5p``), else ``"stem-loop"`` (``hsa-mir-21``).
    """
    return "mature" if 2 * sum(_MATURE.search(name) is not None for name in names) > len(names) else "stem-loop"


@dataclass(frozen=True)
class MirnaVocabulary:
    """The miRNAs of a reference under all names they are known by.

    Parameters
    ----------
    names
        Current miRBase names, mature or stem-loop or both, unique.
    accessions
        miRBase accession of each (``MIMAT0000076``, ``MI0000077``); ``""`` when unknown.
    aliases
        Older name to current name. Entries whose target is not in ``names`` are ignored.

    Raises
    ------
    ValueError
        If ``names`` and ``accessions`` differ in length or a name occurs twice.
    """

    names: tuple[str, ...]
    accessions: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.names) != len(self.accessions):
            raise ValueError(
                f"MirnaVocabulary: {len(self.names):,} names but {len(self.accessions):,} accessions; "
                "give one for each name, '' where it is unknown"
            )
        if len(set(self.names)) != len(self.names):
            twice = next(name for i, name in enumerate(self.names) if name in self.names[:i])
            raise ValueError(f"MirnaVocabulary: the name {twice!r} occurs twice; names must be unique")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _table(self) -> dict[str, int]:
        """Every known spelling to its index; what is entered first wins."""
        position = {name: i for i, name in enumerate(self.names)}
        table = dict(position)
        for i, accession in enumerate(self.accessions):
            if accession:
                table.setdefault(accession, i)
        known = [(old, position[new]) for old, new in self.aliases.items() if new in position]
        for name, i in [*position.items(), *known]:
            table.setdefault(normalise_mirna_name(name), i)
            table.setdefault(name, i)
        return table

    def match(self, names: Sequence[object]) -> NDArray[np.int64]:
        """Find names or accessions in the vocabulary.

        Parameters
        ----------
        names
            n names; current, old (if an alias is known), accessions, other letter case, without ``hsa-``.

        Returns
        -------
        n indices into the vocabulary, -1 where the name is unknown.
        """
        table = self._table

        def find(text: str) -> int:
            for spelling in (text, normalise_mirna_name(text), text.upper()):
                if spelling in table:
                    return table[spelling]
            return -1

        return np.fromiter((find(text) for text in clean_names(names)), np.int64, len(names))


def number_of(name: str) -> int:
    """The number in a miRNA's name, by which miRBase counts them: 181 of hsa-miR-181a-5p; 0 without one."""
    found = re.search(r"-(?:mir|let)-(\d+)", name, re.IGNORECASE)
    return int(found[1]) if found else 0
