"""The development pairs of ../shared/data (or MIDGD_DEV_DATA) as one mosaic: every sample once, in its widest table."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from midgd.bench.data import PAIRED, TABLES, each_once, has, load, load_splits
from midgd.train import Modality, Mosaic

DATA = Path(os.environ.get("MIDGD_DEV_DATA", Path(__file__).parents[2] / "shared" / "data"))
# Their miRNA annotation had 705 stem-loops; the others are stored as 0 but were not measured.
OLD_ANNOTATION = ("COAD", "READ", "OV", "LAML")


@dataclass(frozen=True)
class Pairs:
    """Samples with their counts and what was measured."""

    mosaic: Mosaic
    obs: pd.DataFrame
    genes: list[str]
    stem_loops: list[str]

    def split(self, name: str) -> NDArray[np.bool_]:
        """Samples of the patients of a split, (n,)."""
        return (self.obs["split"] == name).to_numpy()


def load_pairs(*, as_stored: bool = False) -> Pairs:
    """All paired samples of the tables that are there.

    ``as_stored``: stem-loops that a cohort did not annotate count as measured, with 0 reads.
    """
    tables = {TABLES[name][0]: load(name, DATA) for name in PAIRED if has(name, DATA)}
    genes = next(iter(tables.values())).genes
    stem_loops = pd.Index(sorted(set().union(*(table.mirnas for table in tables.values()))))
    fresh = dict(zip(tables, each_once(tables.values()), strict=True))
    frame = pd.concat([table.obs.assign(table=name) for name, table in fresh.items()])
    frame["split"] = frame["patient"].map(load_splits(DATA))
    mrna = Modality.stack([(table.x, table.genes) for table in fresh.values()], genes)
    mirna = Modality.stack([(table.y, table.mirnas) for table in fresh.values()], stem_loops)
    if not as_stored:
        measured = mirna.measured
        measured[np.ix_(frame["cohort"].isin(OLD_ANNOTATION), _unannotated(stem_loops))] = False
        mirna = Modality.from_mask(mirna.counts, measured)
    return Pairs(Mosaic({"mrna": mrna, "mirna": mirna}), frame, list(genes), list(stem_loops))


def load_both_levels() -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Stem-loop and mature counts of samples that have both (with or without mRNA), each once, and their cohorts."""
    stem, mature = load("mirna-only", DATA), load("mature-only", DATA)
    names = stem.obs.index.str[:15]
    once = ~names.duplicated()
    stem_loops = pd.DataFrame(stem.y[once], names[once], stem.mirnas)
    matures = pd.DataFrame(mature.y, mature.obs.index, mature.mirnas)
    both = [name for name in matures.index if name in set(stem_loops.index)]
    return stem_loops.loc[both], matures.loc[both], mature.obs["cohort"].astype(str).loc[both]


def load_unpaired(stem_loops: list[str]) -> tuple[Modality, NDArray[np.str_]]:
    """Stem-loop counts of samples with and without mRNA, but those of the old annotation, and their patients."""
    table = load("mirna-only", DATA)
    table = table.subset(~table.obs["cohort"].isin(OLD_ANNOTATION).to_numpy())
    counts = Modality.stack([(table.y, table.mirnas)], pd.Index(stem_loops))
    return counts, table.obs.index.str[:12].to_numpy(str)


def _unannotated(stem_loops: pd.Index) -> NDArray[np.int64]:
    """Stem-loops that no sample of the old annotation has a read of."""
    table = load("mirna-only", DATA)
    old = table.subset(table.obs["cohort"].isin(OLD_ANNOTATION).to_numpy())
    total = pd.Series(old.y.sum(0), index=old.mirnas).reindex(stem_loops)
    return np.flatnonzero(total.fillna(0).to_numpy() == 0)
