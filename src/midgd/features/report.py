"""How the gene names of a query met those of a reference, in numbers and sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from midgd.features.blocks import BEHIND, FRONT
from midgd.features.columns import UNKNOWN
from midgd.settings import logger

# With fewer of the reference's genes than this, the query is a selection: whole transcriptomes have 60 % and more.
_SELECTION = 0.3
# With as many genes the mean correlation over held-out tumours is .67; with all .72, with 200 .64.
_FEW = 500
_ID_WORDS = {"symbol": "symbols", "ensembl": "Ensembl ids", "mixed": "symbols and Ensembl ids"}


@dataclass(frozen=True)
class GeneReport:
    """How the gene names of a query met those of a reference.

    Parameters
    ----------
    n_query, n_reference
        Number of query columns and of reference genes.
    n_used
        Query columns that are used; more than ``matched`` when several columns are one gene.
    matched
        Distinct reference genes with at least one query column.
    missing
        Symbols of the reference genes without any.
    unmatched_examples, reference_examples
        Up to three unused query names and three reference symbols.
    summed_duplicates
        Reference symbol to number of query columns, only where that is more than one.
    id_type
        ``"symbol"``, ``"ensembl"`` or ``"mixed"``: what the names of the used columns are.
    left_out
        Why columns are not counted, to how many: ``"feature_types 'Antibody Capture'"``, ``"genes of another
        species"``; see :func:`midgd.features.choose_columns`.
    left_out_examples
        The same reasons to up to three names.
    letter_case
        Columns that are counted although their letter case is not the reference's.
    repeated
        Names that stand over several of the summed columns, with nothing to tell whether all are genes.
    species
        What says that all columns are genes of another species, ``""`` if nothing does.
    """

    n_query: int
    n_reference: int
    n_used: int
    matched: int
    missing: tuple[str, ...] = field(repr=False)
    unmatched_examples: tuple[str, ...]
    reference_examples: tuple[str, ...]
    summed_duplicates: dict[str, int] = field(repr=False)
    id_type: str
    left_out: dict[str, int] = field(default_factory=dict)
    left_out_examples: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    letter_case: int = 0
    repeated: tuple[str, ...] = field(default=(), repr=False)
    species: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The report as ints, strings and arrays, to be written in ``uns`` of an ``.h5ad`` or zarr file.

        ``summed_duplicates`` becomes two arrays, ``duplicated`` and ``duplicated_columns``: gene symbols may hold
        a ``/``, which a key in such a file must not. So does ``left_out``: ``left_out``, ``left_out_columns`` and
        ``left_out_examples``.
        """
        return {
            "n_query": self.n_query,
            "n_reference": self.n_reference,
            "n_used": self.n_used,
            "matched": self.matched,
            "id_type": self.id_type,
            "missing": np.array(self.missing, dtype=str),
            "unmatched_examples": np.array(self.unmatched_examples, dtype=str),
            "reference_examples": np.array(self.reference_examples, dtype=str),
            "duplicated": np.array(list(self.summed_duplicates), dtype=str),
            "duplicated_columns": np.array(list(self.summed_duplicates.values()), dtype=np.int64),
            "left_out": np.array(list(self.left_out), dtype=str),
            "left_out_columns": np.array(list(self.left_out.values()), dtype=np.int64),
            "left_out_examples": np.array([", ".join(names) for names in self.left_out_examples.values()], dtype=str),
            "letter_case": self.letter_case,
        }

    def __str__(self) -> str:
        details = [_ID_WORDS[self.id_type]]
        if extra := self.n_used - self.matched:
            details.append(f"{extra:,} duplicated column{'s' if extra > 1 else ''} summed")
        if self.letter_case:
            details.append(f"{self.letter_case:,} in another letter case")
        if unused := self.n_query - self.n_used:
            details.append(f"{unused:,} query gene{'s' if unused > 1 else ''} not used")
        percent = 100 * self.matched / max(self.n_reference, 1)
        return (
            f"{self.matched:,} of {self.n_reference:,} reference genes matched ({percent:.0f} %; {'; '.join(details)})"
        )

    @property
    def notes(self) -> list[str]:
        """What was left out although it might have been taken for genes, a sentence for each reason."""
        return _notes(self.left_out, self.left_out_examples)

    @property
    def warnings(self) -> list[str]:
        """What of the match may have made the answer worse."""
        found = []
        few = self.matched < _FEW
        if self.matched < _SELECTION * self.n_reference:
            found.append(
                f"only {self.matched:,} of the reference's {self.n_reference:,} genes are there. If the highly "
                "variable genes were selected, give the counts of all genes (the object before the selection, or "
                "use_raw=True if adata.raw holds counts): the answer is better. A panel has no more"
                + (": so few genes give a rough answer, and uncertainty=True says how rough" if few else "")
            )
        if self.species:
            found.append(
                f"{self.species} in .var says that these are genes of another species. The answer holds only if their "
                "names are those of the human orthologs; correct or drop that column then"
            )
        for reason in (FRONT, BEHIND):
            if reason in self.left_out:
                some = examples(self.left_out_examples[reason])
                found.append(
                    f"{self.left_out[reason]:,} columns were taken for antibodies or guides, only by their place in "
                    f"the table ({some}): say what they are in .var['feature_types']"
                )
        if self.repeated:
            found.append(
                f"columns of the same name were summed ({len(self.repeated):,} names: {examples(self.repeated)}). If "
                "some of them are antibodies or guides, say so in .var['feature_types'] or drop them"
            )
        return found

    def log(self) -> None:
        """Say all of this: the match and what was left out as information, the rest as warnings."""
        for note in (str(self), *self.notes):
            logger.info("%s", note)
        for warning in self.warnings:
            logger.warning("%s", warning)


def left_out_notes(names: Sequence[str], reasons: Sequence[str]) -> list[str]:
    """A sentence for each reason why columns are left out.

    Parameters
    ----------
    names
        Of the columns.
    reasons
        Why each is left out; ``""`` where it is not.

    Returns
    -------
    The sentences, each with up to three of the names.
    """
    return _notes(Counter(reason for reason in reasons if reason), examples_by_reason(names, reasons))


def examples_by_reason(names: Sequence[str], reasons: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Up to three of the names that each reason is given for."""
    first: dict[str, tuple[str, ...]] = {}
    for name, reason in zip(names, reasons, strict=True):
        if reason and len(before := first.get(reason, ())) < 3:
            first[reason] = (*before, name)
    return first


def _notes(left_out: Mapping[str, int], some: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [
        f"not counted: {n:,} column{'s' if n > 1 else ''}, {reason} ({', '.join(some[reason])})"
        for reason, n in left_out.items()
        if reason != UNKNOWN
    ]


def examples(names: Sequence[str]) -> str:
    """The first three of some names, for messages."""
    return ", ".join(repr(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")
