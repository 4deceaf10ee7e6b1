"""Where rows come from: reading, checking, one gate for AnnData and DataFrame."""

from __future__ import annotations

from midgd.data.counts import CountCheck, check_counts, empty_rows
from midgd.data.rows import RowSource, as_chunk, computable, is_computable, is_dask
from midgd.data.view import OVERRIDE, CountView, read_counts, rna_modality

__all__ = [
    "OVERRIDE",
    "CountCheck",
    "CountView",
    "RowSource",
    "as_chunk",
    "check_counts",
    "computable",
    "empty_rows",
    "is_computable",
    "is_dask",
    "read_counts",
    "rna_modality",
]
