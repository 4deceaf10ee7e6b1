"""Models that have not seen half of the kinds and cohorts: what they say of that half tells how wrong midgd is on
what it does not know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from cell_pairs import CellData, mean_cpm

from midgd.bench.cells import Kind
from midgd.infer.predict import at_level
from midgd.infer.units import in_units
from midgd.metrics import expressed, per_feature_correlation
from midgd.reference import Reference
from midgd.train import HeldOut, Mosaic
from midgd.train.calibrate import predict_held_out

HALVES = (0, 1)
# Lineages of the first half. Those that share cells are in one half: T and NK cells; all that is of epithelium.
FIRST = (
    *("B cell", "platelet", "red cell", "endothelium", "epithelium", "skin", "intestine", "bladder", "neural"),
    *("retina", "skeletal muscle", "heart", "adrenal", "kidney", "lung", "pancreas", "testis"),
)
# As measured, then downsampled; averages and CPM are no counts as they are.
SINGLE_CELLS = ("citeseq", "zanini", "darmanis")
AVERAGES = ("aizarani", "smillie")
THINNED = (3_000.0, 1_000.0, 300.0, 100.0, 30.0, 10.0, 3.0)
# Counts at which left-out kinds are compared miRNA by miRNA: those of a droplet.
DROPLET = 2_000.0


@dataclass(frozen=True)
class Half:
    """One half of kinds and cohorts."""

    number: int

    def __contains__(self, kind: Kind) -> bool:
        return (kind.lineage in FIRST) == (self.number == 0)

    def allowed(self, kind: Kind, study: int) -> bool:
        """Whether a model that has not seen this half may train on a kind."""
        return kind not in self

    def cohorts(self, obs: pd.DataFrame) -> np.ndarray:
        """(n,) which samples are of its cohorts: every second one."""
        cohort = obs["cohort"].astype(str)
        return cohort.isin(sorted(cohort.unique())[self.number :: 2]).to_numpy()


def strangers(model: Reference, half: Half, cells: CellData, mosaic: Mosaic, tissues: Mosaic) -> dict[str, list]:
    """Held-out sets by kind of sample, for a model that has not seen a half.

    ``mosaic`` tells the mean of the stem-loops, ``tissues`` are samples of its cohorts. The miRNA of cells is that of
    single samples as measured: what a user would measure differs by donor and protocol too.
    """
    mean, samples = mean_cpm(mosaic), np.random.default_rng(half.number)

    def single_cells(tables: tuple[str, ...], depths: tuple[float | None, ...]) -> HeldOut:
        found, _ = cells.single_cells(tables, model.arms, mean, lambda kind: kind in half, samples)
        return HeldOut(model, found, depths, strangers=True)

    bulk, _ = cells.bulk(model.arms, mean, lambda kind: kind in half and kind.group != "tissue", samples)
    return {
        "tissue": [HeldOut(model, tissues, strangers=True)],
        "cell": [
            single_cells(SINGLE_CELLS, (None, *THINNED)),
            single_cells(AVERAGES, THINNED),
            HeldOut(model, bulk, (None, *THINNED), strangers=True),
        ],
    }


def left_out_accuracy(
    models: dict[Half, Reference], cells: CellData, mosaic: Mosaic, levels: dict[str, str]
) -> dict[str, np.ndarray]:
    """By level, Spearman correlation of every miRNA over the kinds of cells that the models have not seen."""
    parts: dict[str, list[tuple[pd.DataFrame, pd.DataFrame]]] = {level: [] for level in levels}
    for half, model in models.items():
        for source in _sources(cells, half):
            found, kinds = source(model.arms, mean_cpm(mosaic))
            prediction = predict_held_out(model, found, DROPLET, np.random.default_rng(1))
            for level, name in levels.items():
                answer = in_units(at_level(model, prediction.share, level), "log1p_cpm")
                truth = np.where(found[name].measured, found[name].log_cpm, np.nan)
                parts[level].append((pd.DataFrame(truth, kinds), pd.DataFrame(answer, kinds)))
    found = {}
    for level, tables in parts.items():
        truth, answer = (pd.concat(t).groupby(level=0).mean() for t in zip(*tables, strict=True))
        scored = expressed(truth) & truth.notna().all()
        correlation = per_feature_correlation(np.nan_to_num(truth.to_numpy()), answer.to_numpy())
        found[level] = np.where(scored, correlation, np.nan)
    return found


def _sources(cells: CellData, half: Half) -> list[Callable]:
    def own(kind: Kind) -> bool:
        return kind in half and kind.group == "cell"

    return [
        lambda arms, mean: cells.single_cells((*SINGLE_CELLS, *AVERAGES), arms, mean, own),
        lambda arms, mean: cells.bulk(arms, mean, own),
    ]
