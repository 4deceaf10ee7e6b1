"""Demo cells and public pairs of mRNA and miRNA, by name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from midgd.datasets._demo import pbmc68k_counts
    from midgd.datasets._tcga import tcga

# Name -> module that defines it: importing midgd.datasets must not import scanpy, mudata or pooch.
_WHERE = {"pbmc68k_counts": "_demo", "tcga": "_tcga"}
__all__ = ["pbmc68k_counts", "tcga"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"midgd.datasets.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'midgd.datasets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
