"""What a table says about its columns besides their names: kinds of features, genomes, gene ids."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from midgd.features.genes import FOREIGN_ID, HUMAN_GENE_ID, clean_names

# Columns of var, by their letters alone: feature_types (scanpy), feature_type, modality (scvi-tools), ...
_KIND_COLUMNS = ("featuretypes", "featuretype", "modality", "modalities", "featureclass")
_MAYBE_KIND_COLUMNS = ("librarytype", "assay", "type")  # believed only where they name gene expression
_GENOME_COLUMNS = ("genome", "species", "organism", "genomes", "featurereference", "reference")
_ID_COLUMNS = ("geneids", "geneid", "ensemblid", "ensemblids", "ensembl", "ensemblgeneid", "featureid", "ids", "id")

# A column of another name is believed if it has no more values than this, of genes and of others.
_FEW_KINDS = 20

# What those columns hold for genes: Cell Ranger, muon, Seurat, BD Rhapsody; by their letters alone.
_GENE_KINDS = frozenset(
    "geneexpression gex rna mrna gene genes expression transcript transcripts transcriptome transcriptomics cdna wta "
    "rnaseq scrna scrnaseq snrna snrnaseq wholetranscriptome targetedgeneexpression".split()
)
_OTHER_KINDS = re.compile(
    r"antibod|capture|adt|protein|prot$|surface|cite|abseq|^ab$|hashtag|hashing|hto|multiplex|cmo|crispr|guide|grna|"
    r"sgrna|perturb|custom|peak|atac|chromatin|accessib|dna|methyl|vdj|tcr|bcr|lipid|metabol|spikein|ercc|mirna|"
    r"codeword|control|blank|barcode|lmo|tag$|background|morpholog|imag"
)
_HUMAN = re.compile(r"grch3|hg19|hg38|chm13|human|homo|ncbitaxon:9606$|^9606$", re.IGNORECASE)
_OTHER_GENOME = re.compile(
    r"^(mm\d|grcm|mouse|mus|m?rat|rn\d|grcz|danrer|zebrafish|danio|dm\d|bdgp|droso|sus|susscr|macaca|mmul|rhemac|"
    r"ncbitaxon:(?!9606$)|ercc|spike|sars|virus|10090)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ColumnAnnotation:
    """What is known about the n columns of a table besides their names.

    Parameters
    ----------
    excluded
        Why a column does not hold the expression of a human gene (``"feature type 'Antibody Capture'"``), ``""``
        where it does or nothing is said.
    gene_ids
        Gene id of each column, ``""`` where there is none; None if the table has no Ensembl ids.
    called_genes
        Whether a column is called gene expression; None if no column is.
    species
        What says that all columns are genes of another species (``"genome 'mm10'"``), ``""`` if nothing does.
    """

    excluded: tuple[str, ...]
    gene_ids: tuple[str, ...] | None = None
    called_genes: tuple[bool, ...] | None = None
    species: str = ""


def read_annotation(var: Any) -> ColumnAnnotation:
    """Read what the annotation of variables says about its rows.

    Parameters
    ----------
    var
        ``adata.var``. Kinds of features are read from ``feature_types``, ``feature_type``, ``modality`` or the like, or
        from any column that names both genes and something else; genomes from ``genome`` or ``species``, Ensembl ids
        from ``gene_ids`` or the like or from the index. Letter case and punctuation of the names of columns do not
        matter.

    Returns
    -------
    Kind, genome and Ensembl id of every row, where they are known.

    Raises
    ------
    ValueError
        If the kinds of features are known and none of them is gene expression.

    """
    n = len(var.index)
    kinds = _first_column(var, _KIND_COLUMNS, _names_kinds)
    if kinds is None:
        kinds = _first_column(var, _MAYBE_KIND_COLUMNS, lambda values: any(map(_is_gene, set(values))))
    if kinds is None:
        kinds = next(filter(None, (_first_column(var, [_letters(c)], _tells_apart) for c in _text_columns(var))), None)
    called = None if kinds is None else tuple(map(_is_gene, kinds[1]))
    excluded = [""] * n if kinds is None else _other_kinds(*kinds)
    genomes = _first_column(var, _GENOME_COLUMNS, lambda values: any(map(_HUMAN.search, set(values))))
    if genomes is not None:
        foreign = {value: _is_foreign(value) for value in set(genomes[1])}
        excluded = [
            old or (f"{genomes[0]} {value!r}" if foreign[value] else "")
            for old, value in zip(excluded, genomes[1], strict=True)
        ]
    foreign_only = _first_column(var, _GENOME_COLUMNS, _all_foreign) or _first_column(var, _ID_COLUMNS, _foreign_ids)
    species = f"{foreign_only[0]} {foreign_only[1][0]!r}" if genomes is None and foreign_only else ""
    ids = _first_column(var, _ID_COLUMNS, _mostly_ensembl)
    if ids is None and _mostly_ensembl(index := clean_names(var.index)):
        ids = "index", index
    return ColumnAnnotation(
        tuple(excluded), None if ids is None else tuple(ids[1]), called if called and any(called) else None, species
    )


def is_gene_expression(var: Any) -> bool:
    """Whether the annotation of variables says that some of them are genes and their values expression.

    Parameters
    ----------
    var
        ``adata.var``, see :func:`read_annotation`.

    Returns
    -------
    False also where the annotation says nothing.
    """
    kinds = _first_column(var, (*_KIND_COLUMNS, *_MAYBE_KIND_COLUMNS), _names_kinds)
    return kinds is not None and any(map(_is_gene, set(kinds[1])))


def _letters(text: object) -> str:
    return re.sub(r"[^a-z0-9]", "", str(text).lower())


def _first_column(var: Any, names: Sequence[str], fits: Any) -> tuple[str, list[str]] | None:
    """The first of some columns whose values fit, with its name."""
    columns = {_letters(column): column for column in reversed(list(var.columns))}
    for name in names:
        if name in columns:
            values = clean_names(np.asarray(var[columns[name]], dtype=object))
            if len(values) and fits(values):
                return str(columns[name]), values
    return None


def _text_columns(var: Any) -> list[str]:
    return [name for name in var.columns if not pd.api.types.is_numeric_dtype(var[name])]


def _tells_apart(values: list[str]) -> bool:
    """Whether a column of any name has genes and, fewer of them, something else."""
    times = Counter(values)
    if len(times) > _FEW_KINDS or not _names_kinds(values):
        return False
    others = sum(n for value, n in times.items() if _is_other(value))
    return 0 < others < sum(n for value, n in times.items() if _is_gene(value))


def _all_foreign(values: list[str]) -> bool:
    return all(value and _is_foreign(value) for value in set(values))


def _foreign_ids(values: list[str]) -> bool:
    return 2 * sum(FOREIGN_ID.match(value) is not None for value in values) > len(values)


def _names_kinds(values: list[str]) -> bool:
    distinct = set(values)
    # Biotypes are also called feature types; they all are genes.
    biotypes = any(_letters(value) in ("proteincoding", "lncrna", "lincrna") for value in distinct)
    return not biotypes and any(_is_gene(value) or _is_other(value) for value in distinct)


def _is_gene(kind: str) -> bool:
    return _letters(kind) in _GENE_KINDS


def _is_other(kind: str) -> bool:
    return not _is_gene(kind) and _OTHER_KINDS.search(_letters(kind)) is not None


def _other_kinds(column: str, kinds: list[str]) -> list[str]:
    """Why columns are left out. Kinds that are not known count only where no column is called gene expression."""
    distinct = set(kinds)
    some_gene = any(map(_is_gene, distinct))
    # A column without a kind was appended by somebody: its name decides.
    left_out = {kind: bool(kind) and not _is_gene(kind) and (some_gene or _is_other(kind)) for kind in distinct}
    if all(left_out.values()):
        names = ", ".join(repr(kind) for kind in sorted(distinct)[:5])
        raise ValueError(
            f"no column holds gene expression: {column!r} of .var has {names} only. midgd infers from mRNA: pass the "
            "modality or matrix with the counts of genes, or correct that column"
        )
    return [f"{column} {kind!r}" if left_out[kind] else "" for kind in kinds]


def _is_foreign(genome: str) -> bool:
    return bool(genome) and not _HUMAN.search(genome) and _OTHER_GENOME.search(genome) is not None


def _mostly_ensembl(values: Sequence[str]) -> bool:
    return 2 * sum(HUMAN_GENE_ID.search(value) is not None for value in values) > len(values)
