"""The table of a run as rows and as a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from midgd._files import new_file
from midgd.bench.scoring import LOWER_IS_BETTER, Outcome
from midgd.metrics import percentile_interval

COLUMNS = (
    *("arm", "setting", "family", "metric", "value", "low", "high", "gain", "gain_low", "gain_high"),
    *("n", "n_mirnas", "seconds_fit", "seconds_predict"),
)


def rows_of(name: str, family: str, outcomes: Mapping[str, Outcome], against: str | None) -> pd.DataFrame:
    """One row per method and metric of a scenario; ``gain`` over the best method whose name contains ``against``.

    Parameters
    ----------
    name, family
        Of the scenario.
    outcomes
        Name of a method to its scores.
    against
        Part of the names of the baseline methods; None for no baseline.

    Returns
    -------
    Rows of the table of :func:`midgd.bench.run`.
    """
    rows = []
    for method, outcome in outcomes.items():
        for metric, value in outcome.value.items():
            low, high = _interval(outcome.draws, str(metric))
            row = {"arm": method, "setting": name, "family": family, "metric": metric, "value": value}
            row |= {"low": low, "high": high, "n": outcome.n, "n_mirnas": outcome.n_mirnas}
            row |= {"seconds_fit": outcome.seconds_fit, "seconds_predict": outcome.seconds_predict}
            rows.append(row | _gain(outcome, outcomes, str(metric), against))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _gain(outcome: Outcome, outcomes: Mapping[str, Outcome], metric: str, against: str | None) -> dict[str, float]:
    rivals = [o for method, o in outcomes.items() if against and against in method and metric in o.value]
    if not rivals:
        return {"gain": np.nan, "gain_low": np.nan, "gain_high": np.nan}
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    best = max(rivals, key=lambda o: sign * o.value[metric])
    # The draws are the same patients for every method, so the difference has its own, narrower interval.
    low, high = _interval(sign * (outcome.draws - best.draws), metric)
    return {"gain": sign * (outcome.value[metric] - best.value[metric]), "gain_low": low, "gain_high": high}


def _interval(draws: pd.DataFrame, metric: str) -> tuple[float, float]:
    if metric not in draws or draws.empty:
        return float("nan"), float("nan")
    low, high = percentile_interval(draws[[metric]].to_numpy(dtype=float))
    return float(low[0]), float(high[0])


def write_table(table: pd.DataFrame, output: str | Path) -> None:
    """Write ``<output>.csv``, whole or not at all.

    Parameters
    ----------
    table
        From :func:`midgd.bench.run`.
    output
        File name; the ending is added.
    """
    with new_file(path_of(output, ".csv")) as new:
        table.to_csv(new, index=False)


def path_of(output: str | Path, ending: str) -> Path:
    """The output with an ending, which the user may have given.

    Parameters
    ----------
    output
        File name with or without ending.
    ending
        ``".csv"`` or ``".png"``.

    Returns
    -------
    The path with that ending.
    """
    path = Path(output)
    path = path.with_suffix("") if path.suffix in {".csv", ".png"} else path
    return path.with_name(path.name + ending)
