"""The development pairs of ../shared/data (or MIDGD_DEV_DATA) as one mosaic: every sample once, in its widest table."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import issparse

from midgd.train import Modality, Mosaic

DATA = Path(os.environ.get("MIDGD_DEV_DATA", Path(__file__).parents[2] / "shared" / "data"))
# Widest first: a sample is taken from the first table that has it.
TABLES = ("tcga_counts_full", "tcga_rsem_full", "tcga_unified_common")
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
    there = [name for name in TABLES if (DATA / name).is_dir()]
    tables = {name: [_read(name, part) for part in ("mrna", "mirna_stemloop")] for name in there}
    genes = list(tables[TABLES[0]][0].var_names)
    stem_loops = sorted(set().union(*(mirna.var_names for _, mirna in tables.values())))
    unseen = _unannotated(stem_loops)
    counts, seen, taken, obs = {"mrna": [], "mirna": []}, {"mrna": [], "mirna": []}, set(), []
    for name, (mrna, mirna) in tables.items():
        fresh = ~mrna.obs_names.isin(taken)
        taken |= set(mrna.obs_names)
        old = mrna.obs["cohort"][fresh].isin(OLD_ANNOTATION).to_numpy()
        for modality, table, features in (("mrna", mrna, genes), ("mirna", mirna, stem_loops)):
            x, measured = widen(table[fresh], features)
            mask = np.repeat(measured[None], len(x), 0)
            if modality == "mirna" and not as_stored:
                mask[np.ix_(old, unseen)] = False
            counts[modality].append(x)
            seen[modality].append(mask)
        obs.append(mrna.obs[fresh].assign(table=name))
    frame = pd.concat(obs)
    splits = pd.read_csv(DATA / "patient_splits.csv").set_index("patient")["split"]
    frame["split"] = frame["patient"].map(splits)
    mosaic = Mosaic({m: Modality.from_mask(np.concatenate(counts[m]), np.concatenate(seen[m])) for m in counts})
    return Pairs(mosaic, frame, genes, stem_loops)


def load_both_levels() -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Stem-loop and mature counts of samples that have both (with or without mRNA), each once, and their cohorts."""
    stem, mature = _read("tcga_mirna_only", "mirna_stemloop"), _read("tcga_mirna_only", "mirna_mature")
    stem.obs_names = [name[:15] for name in stem.obs_names]
    stem = stem[~stem.obs_names.duplicated()]
    both = [name for name in mature.obs_names if name in set(stem.obs_names)]
    return stem[both].to_df(), mature[both].to_df(), mature[both].obs["cohort"].astype(str)


def load_unpaired(stem_loops: list[str]) -> tuple[Modality, NDArray[np.str_]]:
    """Stem-loop counts of samples with and without mRNA, but those of the old annotation, and their patients."""
    table = _read("tcga_mirna_only", "mirna_stemloop")
    table = table[~table.obs["cohort"].isin(OLD_ANNOTATION)]
    counts, known = widen(table, stem_loops)
    patients = np.array([name[:12] for name in table.obs_names])
    return Modality.from_mask(counts, np.repeat(known[None], len(counts), 0)), patients


def _read(folder: str, part: str) -> ad.AnnData:
    return ad.read_h5ad(DATA / folder / f"{part}.h5ad")


def widen(table: ad.AnnData, features: list[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Counts in the order of `features`, and which of them the table has."""
    position = table.var_names.get_indexer(features)
    known = position >= 0
    counts = np.zeros((table.n_obs, len(features)), np.float32)
    values = table.X.toarray() if issparse(table.X) else np.asarray(table.X)
    counts[:, known] = values[:, position[known]]
    return counts, known


def _unannotated(stem_loops: list[str]) -> NDArray[np.int64]:
    """Stem-loops that no sample of the old annotation has a read of."""
    table = _read("tcga_mirna_only", "mirna_stemloop")
    old = table[table.obs["cohort"].isin(OLD_ANNOTATION)]
    total = pd.Series(np.asarray(old.X).sum(0), index=old.var_names).reindex(stem_loops)
    return np.flatnonzero(total.fillna(0).to_numpy() == 0)
