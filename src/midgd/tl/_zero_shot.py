"""Which zero-shot miRNAs a call asks for, and what they add to its result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from midgd._text import shown
from midgd.features import GeneReport
from midgd.infer import Prediction
from midgd.infer.uncertainty import TAIL_LEVELS
from midgd.infer.units import in_units, sd_in_units
from midgd.reference import Reference
from midgd.tl._request import Request
from midgd.zeroshot.maps import ACCURACIES, ZeroShotMaps

Indices = NDArray[np.int64]


def with_zero_shot(request: Request, asked: bool | Iterable[str]) -> Request:
    """The request with zero-shot miRNAs added; as it is if the reference infers all of them anyway.

    Parameters
    ----------
    request
        What else is asked for.
    asked
        True for all, or names, former names excepted. A miRNA that the reference infers anyway is passed over.

    Raises
    ------
    ValueError
        If the reference has none, the level is not ``"mature"``, or a name is unknown.
    """
    model, level = request.model, request.level
    if level != "mature":
        raise ValueError(f"zero_shot= gives mature miRNAs; level={level!r} does not go with it.")
    if model.zero_shot is None:
        raise ValueError(f"Reference {model.name!r} has no zero-shot miRNAs: leave zero_shot= out.")
    which = np.arange(len(model.zero_shot)) if asked is True else _indices(model, level, asked)
    if not len(which):
        return request
    given = {field.name: getattr(request, field.name) for field in fields(request)}
    added = {"maps": model.zero_shot.take(which), "which": which, "all_of_them": asked is True}
    return ZeroShotRequest(**given | added)


def _indices(model: Reference, level: str, asked: bool | Iterable[str]) -> Indices:
    """Indices of zero-shot miRNAs by name."""
    names = [asked] if isinstance(asked, str) else list(asked)  # type: ignore[arg-type]
    measured, found = model.mirnas(level).match(names), model.zero_shot_mirnas().match(names)
    unknown = [name for name, a, b in zip(names, measured, found, strict=True) if a < 0 and b < 0]
    if unknown:
        raise ValueError(
            f"zero_shot= cannot give {', '.join(shown(name) for name in unknown[:5])}"
            f"{' and others' if len(unknown) > 5 else ''}: not in miRBase 22 by this name, or nothing that is known of"
            " it predicts it well enough. midgd.reference.load().zero_shot_mirnas().names lists what can be had."
        )
    return np.unique(found[(found >= 0) & (measured < 0)])


@dataclass(frozen=True, kw_only=True)
class ZeroShotRequest(Request):
    """A request for the miRNAs of a level and zero-shot miRNAs behind them.

    Parameters
    ----------
    maps
        From the miRNAs that the reference infers to these.
    which
        Their indices in the reference.
    all_of_them
        Whether all zero-shot miRNAs were asked for, and not some by name.
    """

    maps: ZeroShotMaps
    which: Indices
    all_of_them: bool

    @cached_property
    def names(self) -> list[str]:
        """Names of the miRNAs, the columns of the answer."""
        return [*self.model.mirna_table(self.level)["name"], *self._own_names]

    @property
    def _own_names(self) -> list[str]:
        names = self.model.zero_shot_mirnas().names
        return [names[i] for i in self.which]

    def arrays(self, prediction: Prediction, sample_kind: str) -> dict[str, NDArray[Any]]:
        """The answer for some rows, values and standard deviations with those of the zero-shot miRNAs behind them."""
        arrays = super().arrays(prediction, sample_kind)
        own = prediction.share[:, self.model.n_outputs :]
        added = {"values": in_units(own, self.units)}
        if "sd" in arrays:
            by_level = self.maps.cell_sd if sample_kind == "cell" else self.maps.sd
            log1p_cpm = in_units(own, "log1p_cpm")
            sd = np.empty_like(log1p_cpm)
            for i, values in enumerate(by_level.T):
                sd[:, i] = np.interp(log1p_cpm[:, i], TAIL_LEVELS, values)
            added["sd"] = sd_in_units(sd, log1p_cpm, self.units)
        return arrays | {name: np.hstack([arrays[name], values]) for name, values in added.items()}

    def provenance(self, genes: GeneReport, params: Mapping[str, object]) -> dict[str, Any]:
        """What ``uns`` keeps about the answer; zero-shot miRNAs are flagged, their accuracies are expected ones."""
        asked = True if self.all_of_them else self._own_names
        uns = super().provenance(genes, {**params, "zero_shot": asked})
        mirnas, table = uns["mirnas"], self.model.card["zero_shot"]
        card = pd.DataFrame({name: table[name] for name in ("name", "accession", "evidence", *ACCURACIES)})
        added = card.iloc[self.which].set_index("name").assign(zero_shot=True)
        added[list(ACCURACIES)] = added[list(ACCURACIES)].astype(np.float32)
        uns["mirnas"] = pd.concat([mirnas.assign(zero_shot=False, evidence=""), added])
        uns["mirnas"].index.name = mirnas.index.name
        return uns
