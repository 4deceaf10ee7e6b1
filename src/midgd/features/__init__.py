"""Names of genes and miRNAs: matching, alignment, reports."""

from __future__ import annotations

from midgd.features.alignment import GeneAlignment, align_genes
from midgd.features.annotation import ColumnAnnotation, is_gene_expression, read_annotation
from midgd.features.columns import ChosenColumns, choose_columns
from midgd.features.genes import GeneVocabulary
from midgd.features.mirna import MirnaVocabulary, normalise_mirna_name
from midgd.features.report import GeneReport

__all__ = [
    "ChosenColumns",
    "ColumnAnnotation",
    "GeneAlignment",
    "GeneReport",
    "GeneVocabulary",
    "MirnaVocabulary",
    "align_genes",
    "choose_columns",
    "is_gene_expression",
    "normalise_mirna_name",
    "read_annotation",
]
