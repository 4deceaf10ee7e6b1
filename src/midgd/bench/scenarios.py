"""The questions of the benchmark: held-out patients, depth, missing genes, tissues and quantifications never seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np

from midgd.bench.cells.scenarios import cells
from midgd.bench.data import PairedData
from midgd.bench.mixtures import mixtures
from midgd.bench.panels import PANELS, landmark_genes, marker_genes
from midgd.bench.perturb import Order, downsample, genes_kept
from midgd.bench.study import Scenario, Study, align
from midgd.settings import logger

# Molecules of a sample, from a shallow cell to a shallow bulk sample.
DEPTHS = (500, 1_000, 3_000, 10_000, 100_000)
# Part of the genes that a query lacks.
MISSING = (0.1, 0.3, 0.5, 0.7, 0.9)
# Molecules of a cell on a spatial panel, of the panel's genes alone; a usual median, rounded.
PANEL_COUNTS = 300
# Part of the landmark genes that a table must have to be asked with them; chosen by hand.
MOST_LANDMARKS = 0.9
# Samples that a cohort needs to be asked as a tissue never seen; chosen by hand.
MIN_COHORT = 18


def make_scenarios(
    names: Iterable[str] | None = None, *, data_dir: str | Path | None = None, seed: int = 0, on: str = "test"
) -> Iterator[Scenario]:
    """Make scenarios one after the other.

    Parameters
    ----------
    names
        Families (``"depth"``) or single scenarios (``"depth/1000"``); None for all of :data:`FAMILIES`.
    data_dir, seed, on
        See :class:`midgd.bench.study.Study`.

    Returns
    -------
    Scenarios, each made when it is asked for.

    Raises
    ------
    KeyError
        For an unknown family, before anything is loaded, or a family without the named scenario.
    """
    wanted = list(FAMILIES) if names is None else list(names)
    unknown = [name for name in wanted if name.partition("/")[0] not in FAMILIES]
    if unknown:
        raise KeyError(
            f"unknown scenarios {unknown}; choose from {', '.join(FAMILIES)}, or one of them like 'depth/1000'."
        )
    study = Study(data_dir, seed, on)
    return _possible(wanted, study) if names is None else _chosen(wanted, study)


def _possible(families: list[str], study: Study) -> Iterator[Scenario]:
    """The families whose tables are there, and a warning for each of the others."""
    n_made = 0
    missing: list[FileNotFoundError] = []
    for family in families:
        try:
            for scenario in _chosen([family], study):
                n_made += 1
                yield scenario
        except FileNotFoundError as error:
            missing.append(error)
            logger.warning("%s is left out: %s", family, error)
    if n_made == 0:
        raise missing[0]


def _chosen(wanted: list[str], study: Study) -> Iterator[Scenario]:
    for family, make in FAMILIES.items():
        open_names = {name for name in wanted if name.partition("/")[0] == family}
        for scenario in make(study) if open_names else ():
            if family in wanted or scenario.name in open_names:
                open_names.discard(scenario.name)
                yield scenario
        if open_names - {family}:
            raise KeyError(f"no scenario {sorted(open_names - {family})} in the family {family!r} on this data.")


def bulk(study: Study) -> Iterator[Scenario]:
    """Held-out patients at full depth with all genes.

    Parameters
    ----------
    study
        Tables, splits and seed of the run.

    Returns
    -------
    One scenario.
    """
    yield _held_out(study, "bulk", "full")


def depth(study: Study) -> Iterator[Scenario]:
    """The same samples downsampled to few UMIs.

    Parameters
    ----------
    study
        Tables, splits and seed of the run.

    Returns
    -------
    One scenario a depth of :data:`DEPTHS`.
    """
    base = _held_out(study, "bulk", "full")
    for umis in DEPTHS:
        downsampled = downsample(base.test.x, umis, np.random.default_rng([study.seed, umis]))
        test = replace(base.test, x=downsampled)
        yield replace(base, name=f"depth/{umis}", family="depth", test=test, depth=umis)


def missing(study: Study) -> Iterator[Scenario]:
    """The same samples without a part of their genes.

    Parameters
    ----------
    study
        Tables, splits and seed of the run.

    Returns
    -------
    Scenarios for the fractions of :data:`MISSING`, genes at random and the most abundant ones.
    """
    base = _held_out(study, "bulk", "full")
    orders: tuple[Order, ...] = get_args(Order)
    for order in orders:
        for fraction in MISSING:
            rng = np.random.default_rng([study.seed, round(100 * fraction)])
            kept = genes_kept(base.train.x, fraction, order, rng)
            test = replace(base.test, x=base.test.x * kept)
            name = f"missing/{order}-{fraction:.0%}"
            yield replace(base, name=name, family="missing", test=test, genes_present=kept)


def panels(study: Study) -> Iterator[Scenario]:
    """The same samples with the genes of a panel alone, as sequenced and with as many molecules as a cell on it has.

    Parameters
    ----------
    study
        Tables, splits and seed of the run.

    Returns
    -------
    Two scenarios for every panel of :data:`midgd.bench.panels.PANELS` (markers of the training cohorts), and two for
    the landmark genes of L1000, unless the table lacks too many of these. A single cohort has no markers.
    """
    base = _held_out(study, "bulk", "full")
    landmarks, cohort = landmark_genes(), base.train.obs["cohort"].to_numpy()
    kept = {}
    if len(np.unique(cohort.astype(str))) > 1:
        kept = {name: marker_genes(base.train.x, cohort, size) for name, size in PANELS.items()}
    else:
        logger.warning("panels of marker genes are left out: the table has one cohort only, which nothing can mark")
    if landmarks.isin(base.train.genes).mean() >= MOST_LANDMARKS:
        kept = {"l1000": base.train.genes.isin(landmarks)} | kept
    else:
        logger.warning("panels/l1000 is left out: the table has too few of the landmark genes")
    for name, present in kept.items():
        on_panel = base.test.x * present
        shallow = downsample(on_panel, PANEL_COUNTS, np.random.default_rng([study.seed, int(present.sum())]))
        for ending, x, umis in (("", on_panel, None), (f"-{PANEL_COUNTS}", shallow, PANEL_COUNTS)):
            scenario = replace(base, name=f"panels/{name}{ending}", family="panels", genes_present=present)
            yield replace(scenario, test=replace(base.test, x=x), depth=umis)


def leave_one_cohort_out(table: str, umis: int | None = None) -> Callable[[Study], Iterator[Scenario]]:
    """Each large enough cohort as a tissue never seen, then the same downsampled, if asked for.

    Parameters
    ----------
    table
        A name in :data:`midgd.bench.data.TABLES`.
    umis
        Depth of the downsampled samples, in molecules; None for none.

    Returns
    -------
    A function that makes the scenarios of a study.
    """

    def make(study: Study) -> Iterator[Scenario]:
        data = study.table(table)
        cohort = data.obs["cohort"].astype(str)
        for name, size in cohort.value_counts().items():
            if size < MIN_COHORT:
                continue
            inside = (cohort == name).to_numpy()
            train, test = data.subset(~inside), data.subset(inside)
            family = f"loco-{table}"
            extra = partial(study.extra, test, without_cohorts=[str(name)])
            scenario = replace(_scenario(f"{family}/{name}", family, train, test, extra), pooled=True)
            yield scenario
            if umis is not None:
                shallow = downsample(scenario.test.x, umis, np.random.default_rng([study.seed, umis]))
                downsampled = f"{family}-{umis}"
                test = replace(scenario.test, x=shallow)
                yield replace(scenario, name=f"{downsampled}/{name}", family=downsampled, test=test, depth=umis)

    return make


def quantification(study: Study) -> Iterator[Scenario]:
    """Held-out patients whose genes were quantified by another program than the training data.

    Parameters
    ----------
    study
        Tables, splits and seed of the run.

    Returns
    -------
    Two scenarios, from each program to the other.
    """
    for source, target in (("full", "rsem"), ("rsem", "full")):
        train, test = (_other_than_raw_rsem(data) for data in (study.held_out(source)[0], study.held_out(target)[1]))
        # Only the quantification is to be new, not the tissue.
        seen = test.obs["cohort"].astype(str).isin(set(train.obs["cohort"].astype(str))).to_numpy()
        name = "quantification/htseq-to-rsem" if source == "full" else "quantification/rsem-to-htseq"
        test = test.subset(seen)
        yield _scenario(name, "quantification", train, test, partial(study.extra, test, tables=["mirna-only"]))


def tpm(study: Study) -> Iterator[Scenario]:
    """Liver in TPM: a tissue never seen ("full"), or one seen in other patients ("common").

    Parameters
    ----------
    study
        Tables, splits and seed of the run.

    Returns
    -------
    Two scenarios.
    """
    test = study.table("tpm")
    patients = set(test.obs["patient"].astype(str))
    for name, unseen in (("full", ["LIHC"]), ("common", [])):
        data = study.table(name)
        train = data.subset((~data.obs["patient"].astype(str).isin(patients)).to_numpy())
        extra = partial(study.extra, test, without_cohorts=unseen)
        yield _scenario(f"tpm/{name}", "tpm", train, test, extra)


def mature(study: Study) -> Iterator[Scenario]:
    """Held-out patients at the mature level.

    Parameters
    ----------
    study
        Tables, splits and seed of the run.

    Returns
    -------
    One scenario.
    """
    yield _held_out(study, "mature", "mature")


def mixture(study: Study) -> Iterator[Scenario]:
    """Mixtures of two held-out profiles at known fractions, as shallow as cells.

    Parameters
    ----------
    study
        Tables, splits and seed of the run.

    Returns
    -------
    One scenario at 1,000 and one at 10,000 molecules.
    """
    base = _held_out(study, "bulk", "full")
    for umis in (1_000, 10_000):
        test = mixtures(base.test, umis, np.random.default_rng([study.seed, umis]))
        yield replace(base, name=f"mixture/{umis}", family="mixture", test=test, depth=umis)


#: in an order in which neighbours share their training data
FAMILIES: dict[str, Callable[[Study], Iterator[Scenario]]] = {
    "bulk": bulk,
    "depth": depth,
    "missing": missing,
    "panels": panels,
    "mixture": mixture,
    "mature": mature,
    "quantification": quantification,
    "tpm": tpm,
    "cells": cells,
    "loco-full": leave_one_cohort_out("full", umis=5_000),
    "loco-common": leave_one_cohort_out("common"),
}


def _held_out(study: Study, name: str, table: str) -> Scenario:
    train, test = study.held_out(table)
    return _scenario(name, name, train, test, partial(study.extra, test))


def _scenario(
    name: str, family: str, train: PairedData, test: PairedData, extra: Callable[[], dict[str, PairedData]]
) -> Scenario:
    train, test = align(train, test)
    return Scenario(name, family, train, test, np.ones(len(train.genes), dtype=bool), extra=extra)


def _other_than_raw_rsem(data: PairedData) -> PairedData:
    """Counts of reads (HTSeq, STAR) of the "full" table, everything of the RSEM-normalised one."""
    return data.subset(data.obs["quant"].isin(["htseq_counts", "star_counts", "rsem_norm"]).to_numpy())
