"""What a call of ``infer_mirna`` asks for, and the arrays that answer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from midgd.adata.results import provenance, result_arrays
from midgd.features import GeneReport
from midgd.infer import Prediction
from midgd.infer.units import in_units
from midgd.reference import Reference
from midgd.zeroshot.maps import ZeroShotMaps

SAMPLE_KINDS = ("auto", "cell", "tissue")


@dataclass(frozen=True)
class Request:
    """What is asked for; the fields are arguments of :func:`midgd.tl.infer_mirna`.

    Parameters
    ----------
    maps
        To miRNAs that are predicted only where they are asked for; None without.

    Raises
    ------
    ValueError
        If level, units or sample kind are unknown.
    """

    model: Reference
    level: str
    units: str
    uncertainty: bool
    sample_kind: str
    groupby: str | None
    refine: int | None
    maps: ZeroShotMaps | None = None

    def __post_init__(self) -> None:
        self.model.mirna_table(self.level)
        in_units(np.zeros((0, 0), np.float32), self.units)
        if self.sample_kind not in SAMPLE_KINDS:
            raise ValueError(f"sample_kind={self.sample_kind!r} is unknown; choose among {SAMPLE_KINDS}.")

    @cached_property
    def names(self) -> list[str]:
        """Names of the miRNAs, the columns of the answer."""
        return self.model.mirna_table(self.level)["name"]

    def arrays(self, prediction: Prediction, sample_kind: str) -> dict[str, NDArray[Any]]:
        """The answer for some rows, judged by the errors on cells or tissues."""
        return result_arrays(self.model, prediction, self.level, self.units, self.uncertainty, sample_kind)

    def provenance(self, genes: GeneReport, params: Mapping[str, object]) -> dict[str, Any]:
        """What ``uns`` keeps about the answer."""
        return provenance(self.model, genes, self.level, params)
