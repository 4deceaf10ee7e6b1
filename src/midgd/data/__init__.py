"""Where rows come from: reading, checking, one gate for AnnData and DataFrame."""

from __future__ import annotations

from midgd.data.counts import CountCheck, check_counts, empty_rows
from midgd.data.rows import RowSource, is_dask
from midgd.data.view import CountView, read_counts

__all__ = ["CountCheck", "CountView", "RowSource", "check_counts", "empty_rows", "is_dask", "read_counts"]
