"""midgd: microRNA for single cells and cohorts, from their mRNA."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from midgd.settings import settings

if TYPE_CHECKING:
    from midgd import bench, datasets, get, metrics, model, pl, pp, reference, report, tl

__version__ = version("midgd")
__all__ = ["bench", "datasets", "get", "metrics", "model", "pl", "pp", "reference", "report", "settings", "tl"]


def __getattr__(name: str) -> Any:
    # torch takes 1.4 s and scvi 7 s to import: each subpackage loads when it is first touched.
    if name in __all__:
        return importlib.import_module(f"midgd.{name}")
    raise AttributeError(f"module 'midgd' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
