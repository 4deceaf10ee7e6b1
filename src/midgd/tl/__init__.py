"""Tools: functions that compute on AnnData and write their results into it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from midgd.tl._associate import associate
    from midgd.tl._compare_measured import Comparison, compare_measured
    from midgd.tl._infer_mirna import infer_mirna
    from midgd.tl._pool_neighbors import pool_neighbors
    from midgd.tl._rank_mirnas import rank_mirnas
    from midgd.tl._smooth_spatial import smooth_spatial
    from midgd.tl._target_repression import target_repression
    from midgd.tl._what_if import what_if

# Name -> module that defines it: tools that need no torch must not wait for it.
_WHERE = {
    "Comparison": "_compare_measured",
    "associate": "_associate",
    "compare_measured": "_compare_measured",
    "infer_mirna": "_infer_mirna",
    "pool_neighbors": "_pool_neighbors",
    "rank_mirnas": "_rank_mirnas",
    "smooth_spatial": "_smooth_spatial",
    "target_repression": "_target_repression",
    "what_if": "_what_if",
}
__all__ = [
    "Comparison",
    "associate",
    "compare_measured",
    "infer_mirna",
    "pool_neighbors",
    "rank_mirnas",
    "smooth_spatial",
    "target_repression",
    "what_if",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"midgd.tl.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'midgd.tl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
