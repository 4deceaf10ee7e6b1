"""One command, one table: every method on every scenario, scored alike."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from midgd.bench.data import scored_mirnas
from midgd.bench.methods import IntervalMethod, Method, make_methods
from midgd.bench.pool import Pool
from midgd.bench.report import path_of, rows_of, write_table
from midgd.bench.scenarios import make_scenarios
from midgd.bench.scoring import Answered, Outcome, Scoring
from midgd.bench.study import Scenario
from midgd.pl import benchmark
from midgd.settings import logger
from midgd.settings import settings as options

#: Parts of the measured values that an interval promises to hold, at which intervals are scored.
INTERVALS = (0.5, 0.9)


def run(
    arms: Iterable[str | Method] | None = None,
    settings: Iterable[str | Scenario] | None = None,
    *,
    data_dir: str | Path | None = None,
    on: str = "test",
    seed: int = 0,
    n_boot: int = 200,
    downstream: bool = True,
    against: str | None = "ridge",
    output: str | Path | None = None,
) -> pd.DataFrame:
    """Run the benchmark.

    Parameters
    ----------
    arms
        Methods: names from :data:`midgd.bench.METHODS`, objects with ``name``, ``fit`` and ``predict``, or both; None
        for all but ``"midgd-paper"``, which trains for minutes, and ``"midgd-calibrated"``, midgd with intervals.
    settings
        Scenarios: families (``"depth"``), single scenarios (``"depth/1000"``) or :class:`midgd.bench.Scenario`; None
        for all.
    data_dir
        Development data; default ``MIDGD_DEV_DATA``, else ``../shared/data``.
    on
        Split that is scored: ``"test"``, or ``"val"`` while choosing a model.
    seed
        Of downsampling, missing genes, mixtures, methods and bootstrap.
    n_boot
        Resamples over patients for the 95 % intervals; 0 for none.
    downstream
        Also answer the downstream questions (their metrics start with ``downstream``, without intervals).
    against
        Methods whose name contains this are the baseline of ``gain``; None for no baseline.
    output
        File name without ending: ``<output>.csv`` is written after every scenario, ``<output>.png`` at the end.

    Returns
    -------
    DataFrame
        One row per method, scenario and metric, with the columns arm (the method), setting (the scenario), family,
        metric, value, low, high, gain, gain_low, gain_high, n, n_mirnas, seconds_fit and seconds_predict. ``gain`` is
        the improvement (positive is better, for errors too) over the best baseline method in the same scenario and
        metric, its interval from the same resamples.

    Raises
    ------
    FileNotFoundError
        Without development data.
    KeyError
        For an unknown method or scenario.
    """
    todo, made = _scenarios(settings, data_dir, seed, on), make_methods(arms)
    scoring = Scoring(n_boot, seed, downstream)
    tables: list[pd.DataFrame] = []
    pool, train = Pool(), None
    seconds: dict[str, float] = {}
    for scenario in tqdm(todo, desc="scenarios", disable=not options.progress):
        if scenario.train is not train:
            seconds, train = {}, scenario.train
        scored = scored_mirnas(scenario.train)
        outcomes = {}
        for method in made:
            answered = _infer(method, scenario, seconds, seed)
            if scenario.score is None:
                outcomes[method.name] = scoring(answered, scored)
            else:
                outcomes[method.name] = scenario.score(answered, scenario.test.mirnas, n_boot, seed)
            if scenario.pooled:
                pool.add(scenario.family, method.name, answered, scored)
        tables.append(rows_of(scenario.name, scenario.family, outcomes, against))
        _report(scenario.name, outcomes)
        if output is not None:
            write_table(pd.concat(tables, ignore_index=True), output)
    # Each tissue was answered by another model, whose own mark would pass for a cluster: no downstream questions here.
    joint = Scoring(n_boot, seed, downstream=False)
    for family, together in pool.families():
        outcomes = {name: joint(answered, scored) for name, (answered, scored) in together.items()}
        tables.append(rows_of(f"{family}/all", family, outcomes, against))
        _report(f"{family}/all", outcomes)
    table = pd.concat(tables, ignore_index=True) if tables else rows_of("", "", {}, None)
    if output is not None:
        write_table(table, output)
        metrics = list(table["metric"].unique())
        if metrics:  # a scenario with a score of its own has no correlation of miRNAs over samples
            metric = "spearman" if "spearman" in metrics else metrics[0]
            benchmark(table, metric, show=False, save=path_of(output, ".png"))
    return table


def _scenarios(
    chosen: Iterable[str | Scenario] | None, data_dir: str | Path | None, seed: int, on: str
) -> Iterable[Scenario]:
    if chosen is None:
        return make_scenarios(data_dir=data_dir, seed=seed, on=on)
    given = [chosen] if isinstance(chosen, str) else list(chosen)
    ready = [scenario for scenario in given if isinstance(scenario, Scenario)]
    names = [scenario for scenario in given if isinstance(scenario, str)]
    return chain(ready, make_scenarios(names, data_dir=data_dir, seed=seed, on=on))


def _infer(method: Method, scenario: Scenario, seconds: dict[str, float], seed: int) -> Answered:
    """Train the method unless this training set was the last one, and ask it."""
    if method.name not in seconds:
        extra: dict[str, Any] = {"extra": scenario.extra()} if getattr(method, "uses_extra", False) else {}
        start = time.perf_counter()
        method.fit(scenario.train, seed=seed, **extra)
        seconds[method.name] = time.perf_counter() - start
    test, present = scenario.test, scenario.genes_present
    start = time.perf_counter()
    predicted = np.asarray(method.predict(test.x, present, cohorts=test.obs["cohort"].astype(str).to_numpy()))
    seconds_predict = time.perf_counter() - start
    if predicted.shape != test.y.shape or not np.isfinite(predicted).all():
        raise ValueError(
            f"method {method.name!r} on {scenario.name!r}: predict returned shape {predicted.shape}, expected finite "
            f"log1p CPM of shape {test.y.shape}."
        )
    intervals = {}
    if isinstance(method, IntervalMethod):
        intervals = {level: method.predict_interval(test.x, present, level) for level in INTERVALS}
    return Answered(test.log_cpm, predicted, test.obs, seconds[method.name], seconds_predict, intervals)


def _report(name: str, outcomes: dict[str, Outcome]) -> None:
    logger.info("%s: %s", name, ", ".join(f"{k} {o.value.iloc[0]:.3f}" for k, o in outcomes.items()))
