"""Names of genes and miRNAs: matching, alignment, reports."""

from __future__ import annotations

from midgd.features.alignment import GeneAlignment, align_genes
from midgd.features.annotation import ColumnAnnotation, is_gene_expression, read_annotation
from midgd.features.columns import ChosenColumns, choose_columns
from midgd.features.genes import GeneVocabulary
from midgd.features.mirna import MirnaVocabulary, normalise_mirna_name
from midgd.features.report import GeneReport, left_out_notes
from midgd.features.training import choose_training_columns

__all__ = [
    "ChosenColumns",
    "ColumnAnnotation",
    "GeneAlignment",
    "GeneReport",
    "GeneVocabulary",
    "MirnaVocabulary",
    "align_genes",
    "choose_columns",
    "choose_training_columns",
    "is_gene_expression",
    "left_out_notes",
    "normalise_mirna_name",
    "read_annotation",
]
