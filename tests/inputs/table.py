"""One row of the table of inputs: what is given, what midgd does with it, and how that is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata as ad

SAME, WARNED, OTHER, REFUSED = "same result", "result and warning", "result", "error"


@dataclass(frozen=True)
class Given:
    """An input and the arguments of the call."""

    data: Any
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Input:
    """A named input.

    `outcome` is SAME (the answer for the plain counts), OTHER (another answer, no warning), WARNED (an answer and a
    warning) or REFUSED (an error). `says` is part of the warning, of the error or of the report on the genes.
    """

    name: str
    make: Callable[[ad.AnnData, Path], Any]
    outcome: str = SAME
    says: str = ""

    @property
    def markdown(self) -> str:
        says = f"“{self.says}”" if self.says else ""
        return "| " + " | ".join(text.replace("|", "\\|") for text in (self.name, self.outcome, says)) + " |"


def with_x(adata: ad.AnnData, x: Any) -> ad.AnnData:
    return ad.AnnData(x, obs=adata.obs[: x.shape[0]].copy(), var=adata.var.copy())


def with_names(adata: ad.AnnData, names: list[str]) -> ad.AnnData:
    renamed = adata.copy()
    renamed.var_names = names
    return renamed
