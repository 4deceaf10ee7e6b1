"""Rows of counts: where AnnData and DataFrame have them, reading from any container, and whether they are counts."""

from __future__ import annotations

from midgd.counts.check import CountCheck, check_counts
from midgd.counts.rows import RowSource, as_chunk, computable, is_computable, is_dask
from midgd.counts.view import OVERRIDE, CountView, read_counts, rna_modality

__all__ = [
    "OVERRIDE",
    "CountCheck",
    "CountView",
    "RowSource",
    "as_chunk",
    "check_counts",
    "computable",
    "is_computable",
    "is_dask",
    "read_counts",
    "rna_modality",
]
