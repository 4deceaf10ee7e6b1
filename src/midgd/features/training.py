"""Which columns of one's own data are genes to train on: the rules for queries, with the data's own names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from midgd.features.annotation import ColumnAnnotation
from midgd.features.columns import (
    OTHER_SPECIES,
    UNKNOWN,
    ChosenColumns,
    choose_columns,
    kind_of_unknown,
    numbered_stem,
    without_entrez,
)
from midgd.features.genes import GeneVocabulary, clean_names

NAMELESS = "without a name"


def choose_training_columns(names: Sequence[object], annotation: ColumnAnnotation) -> ChosenColumns:
    """Decide which columns of training data are genes, as :func:`choose_columns` does for a query.

    There is no reference to know the genes from yet. The names of the data stand in for it, without those that look
    like a spike-in, a guide, an antibody or a control, and without those that only resemble another name: ``LYZ-1``
    or ``Lyz`` beside ``LYZ``. Genes of another species are left out where most names are not of that species.

    Parameters
    ----------
    names
        Names of the columns.
    annotation
        What the table says about its columns, see :func:`read_annotation`.

    Returns
    -------
    The choice; ``gene`` is -1 for columns that are left out.

    Examples
    --------
    >>> chosen = choose_training_columns(["CD4", "LYZ", "ERCC-00002"], ColumnAnnotation(("", "", "")))
    >>> chosen.reasons
    ['', '', 'spike-ins']
    """
    texts = clean_names(names)
    short = without_entrez(texts)
    kinds = [kind_of_unknown(text) for text in short]
    if 2 * kinds.count(OTHER_SPECIES) > len(kinds):
        kinds = [UNKNOWN if kind == OTHER_SPECIES else kind for kind in kinds]
    known = set(short)
    symbols = {
        text: None
        for text, kind, excluded in zip(short, kinds, annotation.excluded, strict=True)
        if text and kind == UNKNOWN and not excluded and not _resembles(text, known)
    }
    vocabulary = GeneVocabulary(tuple(symbols), ("",) * len(symbols))
    chosen = choose_columns(texts, vocabulary, annotation)
    reasons = [
        NAMELESS if not text and reason == UNKNOWN else reason
        for text, reason in zip(texts, chosen.reasons, strict=True)
    ]
    return replace(chosen, reasons=reasons)


def _resembles(text: str, known: set[str]) -> bool:
    """Whether a name is another one in other letter case, or with a number behind."""
    upper = text.upper()
    return (text != upper and upper in known) or numbered_stem(text) in known
