"""One command, one table: every arm on every setting, scored alike."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from midgd.bench.data import evaluated
from midgd.bench.methods import Arm, IntervalArm, make_arms
from midgd.bench.pool import Pool
from midgd.bench.report import path_of, rows_of, write_table
from midgd.bench.scenarios import settings as make_settings
from midgd.bench.scoring import Answered, Outcome, Scoring
from midgd.bench.study import Setting
from midgd.pl import benchmark
from midgd.settings import logger
from midgd.settings import settings as options

#: Parts of the measured values that an interval promises to hold, at which intervals are scored.
INTERVALS = (0.5, 0.9)


def run(
    arms: Iterable[str | Arm] | None = None,
    settings: Iterable[str | Setting] | None = None,
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
        Names from :data:`midgd.bench.ARMS`, objects with ``name``, ``fit`` and ``predict``, or both; None for all
        but ``"midgd-paper"``, which trains for minutes, and ``"midgd-calibrated"``, midgd with intervals.
    settings
        Families (``"depth"``), single settings (``"depth/1000"``) or :class:`midgd.bench.Setting`; None for all.
    data_dir
        Development data; default ``MIDGD_DEV_DATA``, else ``../shared/data``.
    on
        Split that is scored: ``"test"``, or ``"val"`` while choosing a model.
    seed
        Of thinning, missing genes, mixtures, arms and bootstrap.
    n_boot
        Resamples over patients for the 95 % intervals; 0 for none.
    downstream
        Also answer the downstream questions (their metrics start with ``downstream``, without intervals).
    against
        Arms whose name contains this are the baseline of ``gain``; None for no baseline.
    output
        File name without ending: ``<output>.csv`` is written after every setting, ``<output>.png`` at the end.

    Returns
    -------
    DataFrame
        One row per arm, setting and metric, with the columns arm, setting, family, metric, value, low, high,
        gain, gain_low, gain_high, n, n_mirnas, seconds_fit and seconds_predict. ``gain`` is the improvement
        (positive is better, for errors too) over the best baseline arm in the same setting and metric, its
        interval from the same resamples.

    Raises
    ------
    FileNotFoundError
        Without development data.
    KeyError
        For an unknown arm or setting.
    """
    todo, made = _settings(settings, data_dir, seed, on), make_arms(arms)
    scoring = Scoring(n_boot, seed, downstream)
    tables: list[pd.DataFrame] = []
    pool, train = Pool(), None
    seconds: dict[str, float] = {}
    for setting in tqdm(todo, desc="settings", disable=not options.progress):
        if setting.train is not train:
            seconds, train = {}, setting.train
        counted = evaluated(setting.train)
        outcomes = {}
        for arm in made:
            answered = _infer(arm, setting, seconds, seed)
            if setting.score is None:
                outcomes[arm.name] = scoring(answered, counted)
            else:
                outcomes[arm.name] = setting.score(answered, setting.test.mirnas, n_boot, seed)
            if setting.pooled:
                pool.add(setting.family, arm.name, answered, counted)
        tables.append(rows_of(setting.name, setting.family, outcomes, against))
        _report(setting.name, outcomes)
        if output is not None:
            write_table(pd.concat(tables, ignore_index=True), output)
    # Each tissue was answered by another model, whose own mark would pass for a cluster: no downstream questions here.
    joint = Scoring(n_boot, seed, downstream=False)
    for family, together in pool.families():
        outcomes = {name: joint(answered, counted) for name, (answered, counted) in together.items()}
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


def _settings(
    chosen: Iterable[str | Setting] | None, data_dir: str | Path | None, seed: int, on: str
) -> Iterable[Setting]:
    if chosen is None:
        return make_settings(data_dir=data_dir, seed=seed, on=on)
    given = [chosen] if isinstance(chosen, str) else list(chosen)
    ready = [setting for setting in given if isinstance(setting, Setting)]
    names = [setting for setting in given if isinstance(setting, str)]
    return chain(ready, make_settings(names, data_dir=data_dir, seed=seed, on=on))


def _infer(arm: Arm, setting: Setting, seconds: dict[str, float], seed: int) -> Answered:
    """Train the arm unless this training set was the last one, and ask it."""
    if arm.name not in seconds:
        extra: dict[str, Any] = {"extra": setting.extra()} if getattr(arm, "uses_extra", False) else {}
        start = time.perf_counter()
        arm.fit(setting.train, seed=seed, **extra)
        seconds[arm.name] = time.perf_counter() - start
    test, present = setting.test, setting.genes_present
    start = time.perf_counter()
    predicted = np.asarray(arm.predict(test.x, present, cohorts=test.obs["cohort"].astype(str).to_numpy()))
    seconds_predict = time.perf_counter() - start
    if predicted.shape != test.y.shape or not np.isfinite(predicted).all():
        raise ValueError(
            f"arm {arm.name!r} on {setting.name!r}: predict returned shape {predicted.shape}, expected finite "
            f"log1p CPM of shape {test.y.shape}."
        )
    intervals = {}
    if isinstance(arm, IntervalArm):
        intervals = {level: arm.predict_interval(test.x, present, level) for level in INTERVALS}
    return Answered(test.log_cpm, predicted, test.obs, seconds[arm.name], seconds_predict, intervals)


def _report(name: str, outcomes: dict[str, Outcome]) -> None:
    logger.info("%s: %s", name, ", ".join(f"{k} {o.value.iloc[0]:.3f}" for k, o in outcomes.items()))
