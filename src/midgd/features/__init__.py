"""Names of genes and miRNAs: matching, alignment, reports."""

from __future__ import annotations

from midgd.features.alignment import GeneAlignment, GeneReport, align_genes
from midgd.features.genes import GeneVocabulary
from midgd.features.mirna import MirnaVocabulary, normalise_mirna_name

__all__ = [
    "GeneAlignment",
    "GeneReport",
    "GeneVocabulary",
    "MirnaVocabulary",
    "align_genes",
    "normalise_mirna_name",
]
