"""Which columns of a query are counted, for which gene, and why the others are not: decided here and nowhere else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from midgd.features.annotation import ColumnAnnotation
from midgd.features.blocks import block_of_repeats
from midgd.features.genes import FOREIGN_ID, HUMAN_GENE_ID, Form, GeneVocabulary

#: Rows of htseq-count and of STAR's ReadsPerGene that sum up reads of no gene.
READ_SUMMARY = re.compile(r"__\w+|N_(?:unmapped|multimapping|noFeature|ambiguous)")
TITLE_CASE = re.compile(r"[A-Z][a-z0-9.\-]*[a-z][a-z0-9.\-]*")
# CD3E-1 of var_names_make_unique, CD3E.1 of R's make.unique; as well guide 1 of CD3E, or an antibody that was second.
_NUMBERED = re.compile(r"(.+?)[-._](?:sg|g|gRNA|sgRNA|guide)?[-._]?(\d+)", re.IGNORECASE)
_ENTREZ_BY_R = re.compile(r"(.+)\.\d+")
# From this share on, columns in another letter case beside the exact ones are another species and not a slip.
_SPECIES_SHARE = 0.05
_SPECIES_COLUMNS = 3  # fewer may be slips
_NEIGHBOURS = 10  # columns to each side: in a table of two species their genes stand in blocks

OTHER_SPECIES = "genes of another species"
OTHER_CASE = "another letter case of a gene that has its own column"
OTHER_PUNCTUATION = "another spelling of a gene that has its own column"
NUMBERED = "a gene name and a number (guide, antibody or repeat) beside the gene itself"
NO_GENE_ID = "a gene's name with an id that is no gene's"
NO_KIND = "a gene's name without a feature type, where genes have one"
SPIKE_IN = "spike-ins"
CONTROL = "control probes"
ANTIBODY = "antibodies and hashtags"
GUIDE = "guides"
SUMMARY = "read summaries"
UNKNOWN = "unknown to the reference"
# Most unknown names are genes that the reference lacks (LINC01128, RP11-34P13.7): one look is enough for them.
_MAY_BE_KNOWN = re.compile(r"[a-z_:|]|^(ERCC|SIRV|SPIKE|ENS(?!G\d)|NEG|BLANK|ADT|HTO|PROT|MM\d)")
# Why an unknown name is no gene of the reference; the first pattern that fits.
_KINDS_OF_UNKNOWN = (
    (SPIKE_IN, re.compile(r"(GRCh38_+)?ERCC[-_.]\d+|SIRV\d+|spike[-_. ]?in", re.IGNORECASE)),
    (
        OTHER_SPECIES,
        re.compile(r"(mm\d+|GRC[mz]\d+|mouse|mus_musculus|rn\d(?=_)|rat|mRatBN\S*|danRer\d+)[_\-.: ]+\S", re.I),
    ),
    (OTHER_SPECIES, FOREIGN_ID),
    (
        CONTROL,
        re.compile(r"neg(ative)?[-_ .]?(con|prb|pr)|blank[-_. ]?\d|unassigned|deprecated|intergenic", re.IGNORECASE),
    ),
    (SUMMARY, READ_SUMMARY),
    (
        ANTIBODY,
        re.compile(r".*(TotalSeq|[-_.:|](ADT|HTO|pAbO)$|isotype)|(adt|prot|hto|hashtag)[-_:. \d]", re.IGNORECASE),
    ),
    (GUIDE, re.compile(r".+[-_.](sg|g|gRNA|sgRNA|guide)[-_.]?\d+|sg[A-Z]{2}|(?i:non[-_.]?target)")),
)


@dataclass(frozen=True, eq=False)
class ChosenColumns:
    """What was decided about the n columns of a query.

    Parameters
    ----------
    gene
        Index of the gene in the reference, -1 where a column is not counted.
    reasons
        Why a column is not counted, ``""`` where it is.
    letter_case
        Number of columns that are counted although their letter case is not the reference's.
    repeated
        Names that stand over more than one counted column, with nothing to tell whether both are genes.
    """

    gene: NDArray[np.int64]
    reasons: list[str] = field(repr=False)
    letter_case: int
    repeated: tuple[str, ...]


def choose_columns(
    texts: list[str], vocabulary: GeneVocabulary, annotation: ColumnAnnotation | None = None
) -> ChosenColumns:
    """Decide which columns of a query are counted, and for which gene of a reference.

    A column that the table calls something else than gene expression, or a gene of another genome, is not counted.
    Of the others, a gene gets the columns with its symbol, its Ensembl id or a former symbol. Where it has one of
    these, columns that only resemble it are not counted: another letter case (``Cd3e`` beside ``CD3E`` is a mouse
    gene), other punctuation, a number behind (``LYZ-1`` beside ``LYZ`` is a guide, or the name was made unique; it is
    counted where the table has an Ensembl id for it). Names of words Like This are not counted at all: mouse and rat
    genes are written so.

    Parameters
    ----------
    texts
        Names of the columns without surrounding blanks.
    vocabulary
        Genes of the reference.
    annotation
        What the table says about its columns.

    Returns
    -------
    Gene of every column and why columns are not counted.
    """
    excluded = annotation.excluded if annotation else ("",) * len(texts)
    ids = annotation.gene_ids if annotation else None
    texts = without_entrez(texts)
    found = [(-1, Form.UNKNOWN) if out else vocabulary.find(text) for text, out in zip(texts, excluded, strict=True)]
    gene = np.fromiter((index for index, _ in found), np.int64, len(texts))
    form = np.fromiter((f for _, f in found), np.int64, len(texts))
    reasons = list(excluded)

    def leave_out(columns: NDArray[np.int64], why: Callable[[str], str]) -> None:
        for i in columns:
            gene[i], reasons[i] = -1, why(texts[i])

    _numbered(texts, gene, form, reasons, ids)
    own = np.zeros(len(vocabulary) + 1, dtype=bool)  # the last one is what -1 takes
    own[gene[form <= Form.FORMER]] = True
    own[-1] = False
    beside = own[gene] & (form > Form.FORMER)
    case = form == Form.LETTER_CASE
    title = np.array([bool(c) and TITLE_CASE.fullmatch(t) is not None for t, c in zip(texts, case, strict=True)], bool)
    n_beside = int((beside & case).sum())
    mixed_species = n_beside >= _SPECIES_COLUMNS and n_beside >= _SPECIES_SHARE * case.sum()
    leave_out(np.flatnonzero(case & (title | mixed_species)), lambda _: OTHER_SPECIES)
    leave_out(np.flatnonzero(beside & case & (gene >= 0)), lambda _: OTHER_CASE)
    leave_out(np.flatnonzero(beside & (form == Form.PUNCTUATION)), lambda _: OTHER_PUNCTUATION)
    if mixed_species:
        leave_out(_among_foreign(texts, gene, reasons), lambda _: OTHER_SPECIES)
    if ids is not None:
        leave_out(_without_gene_id(gene, ids, vocabulary), lambda _: NO_GENE_ID)
    called = np.array(annotation.called_genes) if annotation and annotation.called_genes else None
    if called is not None:
        unsaid = (gene >= 0) & ~called
        beside_gene = unsaid & np.isin(gene, gene[called])
        leave_out(np.flatnonzero(unsaid if 2 * beside_gene.sum() > unsaid.sum() else beside_gene), lambda _: NO_KIND)
    elif ids is None:
        _blocks(texts, gene, reasons)
    unexplained = np.flatnonzero((gene < 0) & np.array([not reason for reason in reasons], dtype=bool))
    leave_out(unexplained, kind_of_unknown)
    return ChosenColumns(gene, reasons, int((case & (gene >= 0)).sum()), _repeated(texts, gene, ids))


def _blocks(texts: list[str], gene: NDArray[np.int64], reasons: list[str]) -> None:
    """Leave out antibodies or guides of which nothing is said; the genes behind them may have got a number."""
    stems = [_stem(text) if why == NUMBERED else text for text, why in zip(texts, reasons, strict=True)]
    known = {text: index for text, index in zip(texts, gene, strict=True) if index >= 0}
    meant = np.array([known.get(stem, -1) for stem in stems], dtype=np.int64)
    block, why = block_of_repeats(stems, meant)
    block = block[gene[block] >= 0]
    for i in np.flatnonzero(np.isin(meant, gene[block])):
        if reasons[i] == NUMBERED:
            gene[i], reasons[i] = meant[i], ""
    for i in block:
        gene[i], reasons[i] = -1, why


def _stem(text: str) -> str:
    return numbered_stem(text) or text


def _numbered(
    texts: list[str],
    gene: NDArray[np.int64],
    form: NDArray[np.int64],
    reasons: list[str],
    ids: tuple[str, ...] | None,
) -> None:
    """Names that are a gene's and a number: a repeat of the gene only if the table has an Ensembl id for the column."""
    parts = {i: stem for i in np.flatnonzero(gene < 0) if not reasons[i] and (stem := numbered_stem(texts[i]))}
    if not parts:
        return
    stems = {text: index for text, index in zip(texts, gene, strict=True) if index >= 0}
    for i, stem in parts.items():
        if stem in stems and ids is not None and HUMAN_GENE_ID.search(ids[i]):
            gene[i], form[i] = stems[stem], Form.OWN
        elif stem in stems:
            reasons[i] = NUMBERED


def numbered_stem(text: str) -> str | None:
    """The name in front of a number (``LYZ`` of ``LYZ-1``), None where there is no number."""
    match = _NUMBERED.fullmatch(text)
    return match.group(1) if match else None


def _among_foreign(texts: list[str], gene: NDArray[np.int64], reasons: list[str]) -> NDArray[np.int64]:
    """Columns of a name that stands there twice (C3 of man and mouse), if most of their neighbours are foreign."""
    times = Counter(texts)
    foreign = np.array([reason == OTHER_SPECIES for reason in reasons], dtype=np.int64)
    before = np.concatenate([[0], np.cumsum(foreign - ((gene >= 0) & (foreign == 0)))])
    twice = np.array([i for i in np.flatnonzero(gene >= 0) if times[texts[i]] > 1], dtype=np.int64)
    first, last = np.maximum(twice - _NEIGHBOURS, 0), np.minimum(twice + _NEIGHBOURS + 1, len(texts))
    return twice[before[last] > before[first]]


def _without_gene_id(gene: NDArray[np.int64], ids: tuple[str, ...], vocabulary: GeneVocabulary) -> NDArray[np.int64]:
    """Counted columns without an Ensembl id, if the gene has a column with one or their own id is no name of it."""
    with_id = np.array([HUMAN_GENE_ID.search(value) is not None for value in ids], dtype=bool)
    sure = set(gene[with_id & (gene >= 0)].tolist())
    doubtful = np.flatnonzero(~with_id & (gene >= 0))
    # Where a gene has no Ensembl id, its symbol often stands in its place.
    wrong = [gene[i] in sure or (bool(ids[i]) and vocabulary.find(ids[i])[0] != gene[i]) for i in doubtful]
    return doubtful[np.array(wrong, dtype=bool)]


def _repeated(texts: list[str], gene: NDArray[np.int64], ids: tuple[str, ...] | None) -> tuple[str, ...]:
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for i in np.flatnonzero(gene >= 0):
        if ids is None or not HUMAN_GENE_ID.search(ids[i]):
            if texts[i] in seen:
                twice[texts[i]] = None
            seen.add(texts[i])
    return tuple(twice)


def kind_of_unknown(text: str) -> str:
    """What a name is that is no gene's, :data:`UNKNOWN` where it may be a gene's."""
    if not _MAY_BE_KNOWN.search(text):
        return UNKNOWN
    return next((kind for kind, pattern in _KINDS_OF_UNKNOWN if pattern.match(text)), UNKNOWN)


def without_entrez(texts: list[str]) -> list[str]:
    """Names without the Entrez ids that R's make.names hung on with a dot (``CD3E.916``), if most have one."""
    parts = [_ENTREZ_BY_R.fullmatch(text) for text in texts]
    versioned = sum(HUMAN_GENE_ID.search(text) is not None for text in texts)
    if 2 * (sum(part is not None for part in parts) - versioned) <= len(texts):
        return texts
    return [part.group(1) if part else text for part, text in zip(parts, texts, strict=True)]
