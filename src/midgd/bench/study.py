"""The tables of one benchmark run, divided so that nothing held out reaches a method."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from midgd.bench.data import PairedData, has, load, load_splits, split
from midgd.bench.scoring import Answered, Outcome

EXTRA = ("full", "common", "rsem", "mature", "mature-common", "mirna-only", "mature-only")


@dataclass(frozen=True, eq=False)
class Scenario:
    """One question to all methods.

    Parameters
    ----------
    name, family
        ``"depth/1000"`` of ``"depth"``.
    train, test
        Pairs with the same genes and miRNAs in the same order; ``test.x`` is already downsampled, and zero
        where genes are missing.
    genes_present
        ``(n_genes,)`` False where the query lacks a gene.
    depth
        Expected UMIs per query, None at full depth.
    extra
        Makes the further training samples (table name to pairs) for methods that ask for them.
    pooled
        Also score all scenarios of the family together, as ``"<family>/all"``.
    score
        Scores the answers in a way of its own: answers, names of the miRNAs, resamples and seed to an outcome. None
        scores them like all others.
    """

    name: str
    family: str
    train: PairedData
    test: PairedData
    genes_present: NDArray[np.bool_]
    depth: float | None = None
    extra: Callable[[], dict[str, PairedData]] = dict
    pooled: bool = False
    score: Callable[[Answered, pd.Index, int, int], Outcome] | None = None


@dataclass(frozen=True, eq=False)
class Study:
    """Tables, splits and seed of a run.

    Parameters
    ----------
    data_dir
        Development folder; None for ``MIDGD_DEV_DATA`` or ``../shared/data``.
    seed
        Of downsampling, missing genes and mixtures.
    on
        Split that is scored: ``"test"``, or ``"val"`` while choosing a model.
    """

    data_dir: str | Path | None = None
    seed: int = 0
    on: str = "test"
    _held_out: dict[str, tuple[PairedData, PairedData]] = field(default_factory=dict, repr=False)

    def table(self, name: str) -> PairedData:
        """One table, whole.

        Parameters
        ----------
        name
            A name in :data:`midgd.bench.data.TABLES`.

        Returns
        -------
        All its pairs.
        """
        return load(name, self.data_dir)

    @property
    def splits(self) -> pd.Series:
        """Patient to split."""
        return load_splits(self.data_dir)

    def held_out(self, name: str) -> tuple[PairedData, PairedData]:
        """Training and scored pairs of a table by patient; the same objects each time, so that methods train once.

        Parameters
        ----------
        name
            A name in :data:`midgd.bench.data.TABLES`.

        Returns
        -------
        Training pairs and scored pairs.
        """
        if name not in self._held_out:
            data, splits = self.table(name), self.splits
            self._held_out[name] = split(data, splits, "train"), split(data, splits, self.on)
        return self._held_out[name]

    def extra(
        self, test: PairedData, *, without_cohorts: Iterable[str] = (), tables: Iterable[str] = EXTRA
    ) -> dict[str, PairedData]:
        """All other samples a method may train on.

        Left out are the patients of ``test``, and either the cohorts that count as never seen or, where
        there are none, every patient of another split than "train". Tables overlap in samples. Tables that the
        folder lacks are passed over.

        Parameters
        ----------
        test
            Samples that are scored.
        without_cohorts
            Cohorts that count as never seen.
        tables
            Names in :data:`midgd.bench.data.TABLES`.

        Returns
        -------
        Name of a table to its pairs.
        """
        splits, patients, cohorts = self.splits, set(test.obs["patient"].astype(str)), set(without_cohorts)
        allowed = {}
        for name in (name for name in tables if has(name, self.data_dir)):
            data = self.table(name)
            patient = data.obs["patient"].astype(str)
            keep = ~patient.isin(patients) & ~data.obs["cohort"].astype(str).isin(cohorts)
            if not cohorts:
                keep &= patient.map(splits).fillna("train") == "train"
            allowed[name] = data.subset(keep.to_numpy())
        return allowed


def align(train: PairedData, test: PairedData) -> tuple[PairedData, PairedData]:
    """Both tables on the genes and miRNAs they share, in the order of ``train``.

    Parameters
    ----------
    train, test
        Two tables.

    Returns
    -------
    The two tables with the same columns.
    """
    genes = train.genes.intersection(test.genes, sort=False)
    mirnas = train.mirnas.intersection(test.mirnas, sort=False)
    return train.select(genes, mirnas), test.select(genes, mirnas)
