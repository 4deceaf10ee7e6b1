"""Which zero-shot miRNAs a call asks for, and what is added to its result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from midgd._text import shown
from midgd.infer.predict import in_units, sd_in_units
from midgd.infer.uncertainty import TAIL_LEVELS
from midgd.reference import Reference
from midgd.zeroshot.maps import ACCURACIES

Indices = NDArray[np.int64]


def chosen(model: Reference, asked: bool | Iterable[str], level: str) -> Indices | None:
    """Indices of the zero-shot miRNAs that were asked for; None for none.

    Parameters
    ----------
    model
        The reference.
    asked
        True for all, or names, former names excepted. A miRNA that the reference infers anyway is passed over.
    level
        Of the result.

    Raises
    ------
    ValueError
        If the reference has none, the level is not ``"mature"``, or a name is unknown.
    """
    if asked is False:
        return None
    if level != "mature":
        raise ValueError(f"zero_shot= gives mature miRNAs; level={level!r} does not go with it.")
    if model.zero_shot is None:
        raise ValueError(f"Reference {model.name!r} has no zero-shot miRNAs: leave zero_shot= out.")
    if asked is True:
        return np.arange(len(model.zero_shot))
    names = [asked] if isinstance(asked, str) else list(asked)
    measured, found = model.mirnas(level).match(names), model.zero_shot_mirnas().match(names)
    unknown = [name for name, a, b in zip(names, measured, found, strict=True) if a < 0 and b < 0]
    if unknown:
        raise ValueError(
            f"zero_shot= cannot give {', '.join(shown(name) for name in unknown[:5])}"
            f"{' and others' if len(unknown) > 5 else ''}: not in miRBase 22 by this name, or nothing that is known of"
            " it predicts it well enough. midgd.reference.load().zero_shot_mirnas().names lists what can be had."
        )
    index = np.unique(found[(found >= 0) & (measured < 0)])
    return index if len(index) else None


def with_zero_shot(
    model: Reference,
    arrays: Mapping[str, NDArray[Any]],
    share: NDArray[np.float32],
    which: Indices | None,
    units: str,
    sample_kind: str,
) -> dict[str, NDArray[Any]]:
    """Values and standard deviations of a result with those of zero-shot miRNAs behind them.

    Parameters
    ----------
    model
        The reference.
    arrays
        Of :func:`midgd.adata.results.result_arrays`.
    share
        Of the prediction: all outputs, then the zero-shot miRNAs.
    which
        Their indices in the reference; None for none.
    units, sample_kind
        Of the result.
    """
    if which is None or model.zero_shot is None:
        return dict(arrays)
    own = share[:, model.n_outputs :]
    added = {"values": in_units(own, units)}
    if "sd" in arrays:
        by_level = (model.zero_shot.cell_sd if sample_kind == "cell" else model.zero_shot.sd)[:, which]
        log1p_cpm = in_units(own, "log1p_cpm")
        sd = np.empty_like(log1p_cpm)
        for i, values in enumerate(by_level.T):
            sd[:, i] = np.interp(log1p_cpm[:, i], TAIL_LEVELS, values)
        added["sd"] = sd_in_units(sd, log1p_cpm, units)
    return dict(arrays) | {name: np.hstack([arrays[name], values]) for name, values in added.items()}


def names_with(model: Reference, names: list[str], which: Indices | None) -> list[str]:
    """Names of the columns of a result."""
    return names if which is None else names + [model.zero_shot_mirnas().names[i] for i in which]


def table_with(model: Reference, mirnas: pd.DataFrame, which: Indices | None) -> pd.DataFrame:
    """The table of miRNAs in ``uns`` with the zero-shot ones, flagged; their accuracies are expected ones."""
    if which is None:
        return mirnas
    card = pd.DataFrame(
        {name: model.card["zero_shot"][name] for name in ("name", "accession", "evidence", *ACCURACIES)}
    )
    added = card.iloc[which].set_index("name").assign(zero_shot=True)
    added[list(ACCURACIES)] = added[list(ACCURACIES)].astype(np.float32)
    joined = pd.concat([mirnas.assign(zero_shot=False, evidence=""), added])
    joined.index.name = mirnas.index.name
    return joined
