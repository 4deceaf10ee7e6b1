"""Bring the columns of a query into the gene order of a reference, and say how well that went."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from midgd._csr import row_spans
from midgd.features.annotation import ColumnAnnotation
from midgd.features.columns import TITLE_CASE, UNKNOWN, ChosenColumns, choose_columns
from midgd.features.genes import FOREIGN_ID, HUMAN_GENE_ID, GeneVocabulary, clean_names
from midgd.features.report import GeneReport, examples, examples_by_reason

_HUMAN_TRANSCRIPT = re.compile(r"ENS[TP]\d{11}")
_TWO_LETTERS = re.compile(r"[A-Za-z].*[A-Za-z]")
_ORTHOLOGS = (
    "midgd is trained on human data only. Map the genes to their human orthologs first, for instance with an "
    "Ensembl BioMart or MGI homology table, and give the human symbols or Ensembl ids"
)


@dataclass(frozen=True, eq=False)
class GeneAlignment:
    """Query columns to reference genes, as a fixed selection.

    Parameters
    ----------
    present
        Sorted indices of the reference genes that have at least one query column.
    report
        What was matched and what was not.
    position
        Place in ``present`` of the gene of each query column, -1 where a column is not counted.
    """

    present: NDArray[np.int64]
    report: GeneReport
    position: NDArray[np.int32] = field(repr=False)

    @classmethod
    def of(cls, gene: NDArray[np.int64], report: GeneReport) -> GeneAlignment:
        """From what was decided about every query column.

        Parameters
        ----------
        gene
            (n_query,) index of the reference gene of each column, -1 where a column is not counted.
        report
            What was matched and what was not.

        Returns
        -------
        The alignment.
        """
        present = np.unique(gene[gene >= 0])
        position = np.where(gene >= 0, np.searchsorted(present, gene), -1)
        return cls(present, report, position.astype(np.int32))

    def without(self, columns: NDArray[np.bool_], genes: Sequence[int] = ()) -> GeneAlignment:
        """The same, with less of the query.

        Parameters
        ----------
        columns
            (n_query,) which columns are not counted.
        genes
            Indices of reference genes that are not present.

        Returns
        -------
        An alignment with the same report.
        """
        out = columns | (self.position < 0) | np.isin(self.present[self.position], genes)
        return self.of(np.where(out, -1, self.present[self.position]), self.report)

    def apply(self, counts: Any) -> sp.csr_matrix:
        """Reorder, drop and sum the columns of a chunk.

        Parameters
        ----------
        counts
            Rows x query genes, ndarray or scipy sparse, columns in the order of the names that were aligned.

        Returns
        -------
        ``csr_matrix`` float32, rows x ``len(present)``, with at most one entry for a gene of a row, and no stored
        zeros. The entries of a row are in the order of the query, for to sort them would take longer than all the rest.

        Raises
        ------
        ValueError
            If ``counts`` has not as many columns as there were names.
        """
        n_query = len(self.position)
        if counts.ndim != 2 or counts.shape[1] != n_query:
            raise ValueError(
                f"counts of shape {tuple(counts.shape)} cannot be aligned: {n_query:,} gene names were matched, "
                "so give rows x genes with one column for each name"
            )
        chunk = sp.csr_matrix(counts, dtype=np.float32)
        parts = [self._counted(chunk, rows, values) for rows, values in row_spans(chunk)]
        data, position, n_values = (np.concatenate(part) for part in zip(*parts, strict=True))
        begin = np.concatenate([[0], np.cumsum(n_values)])
        aligned = sp.csr_matrix((data, position, begin), (chunk.shape[0], len(self.present)))
        several = np.count_nonzero(self.position >= 0) > len(self.present)  # columns of one gene
        if several or not chunk.has_canonical_format:
            aligned.sum_duplicates()
        return aligned

    def _counted(self, chunk: sp.csr_matrix, rows: slice, values: slice) -> tuple[NDArray[Any], ...]:
        """The values of some rows that are counted, their places in ``present``, and their number in each row."""
        data, position = chunk.data[values], self.position.take(chunk.indices[values])
        counted = np.flatnonzero((position >= 0) & (data != 0))
        begin = chunk.indptr[rows.start : rows.stop + 1] - values.start
        return data.take(counted), position.take(counted), np.diff(np.searchsorted(counted, begin))


def align_genes(
    names: Sequence[object],
    vocabulary: GeneVocabulary,
    annotation: ColumnAnnotation | None = None,
    *,
    min_genes: int = 500,
    min_panel: int = 200,
    min_fraction: float = 0.05,
) -> GeneAlignment:
    """Match the gene names of a query to those of a reference.

    Parameters
    ----------
    names
        Names of the query columns, see :meth:`GeneVocabulary.match` for the forms understood and
        :func:`midgd.features.choose_columns` for what is counted.
    vocabulary
        Genes of the reference.
    annotation
        What the table says about its columns besides their names, see :func:`midgd.features.read_annotation`.
    min_genes
        Fewest reference genes that must be found; half of the reference where it has less than twice as many.
    min_panel
        Fewest where most names of the query are found: it is a panel then, and not a table with other names. With 200
        genes the mean correlation over held-out tumours is .64, with all .72, and 90 % intervals hold 88 %; with 100 it
        is .57 and they hold 85 %.
    min_fraction
        Smallest fraction found of the query or of the reference, whichever is smaller. A query with few genes is
        judged by itself: 684 of 765 genes are a good match although they are 4 % of the reference.

    Returns
    -------
    The alignment with its report.

    Raises
    ------
    ValueError
        If too few genes match or the names are not those of human genes.
    """
    texts = clean_names(names)
    excluded = annotation.excluded if annotation else ("",) * len(texts)
    _refuse_mouse_symbols([text for text, out in zip(texts, excluded, strict=True) if not out], vocabulary)
    chosen = choose_columns(texts, vocabulary, annotation)
    found = chosen.gene
    used = np.flatnonzero(found >= 0)
    present, n_columns = np.unique(found[used], return_counts=True)
    fewest = min_panel if 2 * len(present) > sum(not out for out in excluded) else min_genes
    needed = max(min(fewest, len(vocabulary) / 2), min_fraction * min(len(texts), len(vocabulary)))
    if len(present) < needed or len(present) == 0:
        raise ValueError(_too_few(texts, chosen, len(present), needed, vocabulary))

    absent = np.ones(len(vocabulary), dtype=bool)
    absent[present] = False
    report = GeneReport(
        n_query=len(texts),
        n_reference=len(vocabulary),
        n_used=len(used),
        matched=len(present),
        missing=tuple(vocabulary.symbols[i] for i in np.flatnonzero(absent)),
        unmatched_examples=tuple(texts[i] for i in np.flatnonzero(found < 0)[:3]),
        reference_examples=vocabulary.symbols[:3],
        summed_duplicates={vocabulary.symbols[i]: int(n) for i, n in zip(present, n_columns, strict=True) if n > 1},
        id_type=_id_type([texts[i] for i in used]),
        left_out=dict(Counter(reason for reason in chosen.reasons if reason)),
        left_out_examples=examples_by_reason(texts, chosen.reasons),
        letter_case=chosen.letter_case,
        repeated=chosen.repeated,
        species=annotation.species if annotation else "",
    )
    return GeneAlignment.of(found, report)


def _id_type(used: list[str]) -> str:
    fraction = sum(HUMAN_GENE_ID.search(name.upper()) is not None for name in used) / len(used)
    return "symbol" if fraction < 0.05 else "ensembl" if fraction > 0.95 else "mixed"


def _refuse_mouse_symbols(texts: list[str], vocabulary: GeneVocabulary) -> None:
    # Letter case is ignored when names are matched, so Cd3e would silently become CD3E. Lower-case or shouted
    # names may be human; names written Like This are how mouse and rat genes are written.
    worded = [text for text in texts if _TWO_LETTERS.search(text)]
    exact = set(vocabulary.symbols)
    title = [text for text in worded if TITLE_CASE.fullmatch(text) and text not in exact]
    if 2 * len(title) > len(worded):
        raise ValueError(
            f"{len(title):,} of {len(texts):,} gene names look like mouse or rat symbols ({examples(title)}); "
            f"{_ORTHOLOGS}"
        )


def _too_few(texts: list[str], chosen: ChosenColumns, matched: int, needed: float, vocabulary: GeneVocabulary) -> str:
    unmatched = [text for text, index in zip(texts, chosen.gene, strict=True) if index < 0]
    least = int(np.ceil(max(needed, 1)))
    message = f"{matched:,} of {len(vocabulary):,} reference genes found among {len(texts):,} query genes, at least "
    message += f"{least:,} are needed"
    others = Counter(reason for reason in chosen.reasons if reason and reason != UNKNOWN)
    if others:
        message += f"; not counted: {', '.join(f'{n:,} {reason}' for reason, n in others.most_common(3))}"
    if 2 * matched > len(texts) - sum(others.values()):
        return (
            f"{message}. The names are right, the panel is too small: {matched:,} genes say too little about a cell. "
            "If these are selected genes, give the counts of all that were measured"
        )
    return (
        f"{message}. Query names: {examples(unmatched or texts)}; reference names: {examples(vocabulary.symbols)}. "
        f"{_hint(unmatched)}"
    )


def _hint(unmatched: list[str]) -> str:
    def most(pattern: re.Pattern[str]) -> bool:
        return 2 * sum(pattern.match(name) is not None for name in unmatched) > len(unmatched)

    if most(FOREIGN_ID):
        return f"These are gene ids of another species; {_ORTHOLOGS}"
    if most(_HUMAN_TRANSCRIPT):
        return "These are transcripts or proteins: sum the counts to genes first"
    if most(re.compile(r"\d+$")):
        return (
            "The names look like positions or Entrez ids, midgd knows symbols and Ensembl gene ids: "
            "name the column of .var that holds them with gene_symbols=..."
        )
    return (
        "If .var has the symbols or Ensembl ids in a column, name it with gene_symbols=...; "
        "in a DataFrame the genes must be the columns (pass df.T if they are the rows)"
    )
