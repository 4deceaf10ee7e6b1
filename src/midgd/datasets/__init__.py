"""Demo cells and public pairs of mRNA and miRNA, by name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from midgd.datasets._demo import pbmc68k_counts
    from midgd.datasets._folder import read_folder
    from midgd.datasets._tcga import tcga
    from midgd.datasets._training_folder import split_of, tcga_folder
    from midgd.datasets._xena import xena
    from midgd.datasets._zenodo import midgd_paper, midgd_paper_files

# Name -> module that defines it: importing midgd.datasets must not import scanpy, mudata or requests.
_WHERE = {
    "midgd_paper": "_zenodo",
    "midgd_paper_files": "_zenodo",
    "pbmc68k_counts": "_demo",
    "read_folder": "_folder",
    "split_of": "_training_folder",
    "tcga": "_tcga",
    "tcga_folder": "_training_folder",
    "xena": "_xena",
}
__all__ = [
    "midgd_paper",
    "midgd_paper_files",
    "pbmc68k_counts",
    "read_folder",
    "split_of",
    "tcga",
    "tcga_folder",
    "xena",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"midgd.datasets.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'midgd.datasets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
