"""The questions of the benchmark: held-out patients, depth, missing genes, tissues and quantifications never seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np

from midgd.bench.cells.settings import cells
from midgd.bench.data import PairedData
from midgd.bench.mixtures import mixtures
from midgd.bench.perturb import Order, genes_kept, thin
from midgd.bench.study import Setting, Study, align
from midgd.settings import logger

DEPTHS = (500, 1_000, 3_000, 10_000, 100_000)
MISSING = (0.1, 0.3, 0.5, 0.7, 0.9)
MIN_COHORT = 18


def settings(
    names: Iterable[str] | None = None, *, data_dir: str | Path | None = None, seed: int = 0, on: str = "test"
) -> Iterator[Setting]:
    """Make settings one after the other.

    Parameters
    ----------
    names
        Families (``"depth"``) or single settings (``"depth/1000"``); None for all of :data:`FAMILIES`.
    data_dir, seed, on
        See :class:`midgd.bench.study.Study`.

    Raises
    ------
    KeyError
        For an unknown family, before anything is loaded, or a family without the named setting.
    """
    wanted = list(FAMILIES) if names is None else list(names)
    unknown = [name for name in wanted if name.partition("/")[0] not in FAMILIES]
    if unknown:
        raise KeyError(
            f"unknown settings {unknown}; choose from {', '.join(FAMILIES)}, or one of them like 'depth/1000'."
        )
    study = Study(data_dir, seed, on)
    return _possible(wanted, study) if names is None else _chosen(wanted, study)


def _possible(families: list[str], study: Study) -> Iterator[Setting]:
    """The families whose tables are there, and a warning for each of the others."""
    n_made = 0
    missing: list[FileNotFoundError] = []
    for family in families:
        try:
            for setting in _chosen([family], study):
                n_made += 1
                yield setting
        except FileNotFoundError as error:
            missing.append(error)
            logger.warning("%s is left out: %s", family, error)
    if n_made == 0:
        raise missing[0]


def _chosen(wanted: list[str], study: Study) -> Iterator[Setting]:
    for family, make in FAMILIES.items():
        open_names = {name for name in wanted if name.partition("/")[0] == family}
        for setting in make(study) if open_names else ():
            if family in wanted or setting.name in open_names:
                open_names.discard(setting.name)
                yield setting
        if open_names - {family}:
            raise KeyError(f"no setting {sorted(open_names - {family})} in the family {family!r} on this data.")


def bulk(study: Study) -> Iterator[Setting]:
    """Held-out patients at full depth with all genes."""
    yield _held_out(study, "bulk", "full")


def depth(study: Study) -> Iterator[Setting]:
    """The same samples thinned to few UMIs."""
    base = _held_out(study, "bulk", "full")
    for umis in DEPTHS:
        thinned = thin(base.test.x, umis, np.random.default_rng([study.seed, umis]))
        test = replace(base.test, x=thinned)
        yield replace(base, name=f"depth/{umis}", family="depth", test=test, depth=umis)


def missing(study: Study) -> Iterator[Setting]:
    """The same samples without a part of their genes."""
    base = _held_out(study, "bulk", "full")
    orders: tuple[Order, ...] = get_args(Order)
    for order in orders:
        for fraction in MISSING:
            rng = np.random.default_rng([study.seed, round(100 * fraction)])
            kept = genes_kept(base.train.x, fraction, order, rng)
            test = replace(base.test, x=base.test.x * kept)
            name = f"missing/{order}-{fraction:.0%}"
            yield replace(base, name=name, family="missing", test=test, genes_present=kept)


def leave_one_cohort_out(table: str, umis: int | None = None) -> Callable[[Study], Iterator[Setting]]:
    """Each large enough cohort as a tissue never seen, in the named table; then the same thinned, if asked for."""

    def make(study: Study) -> Iterator[Setting]:
        data = study.table(table)
        cohort = data.obs["cohort"].astype(str)
        for name, size in cohort.value_counts().items():
            if size < MIN_COHORT:
                continue
            inside = (cohort == name).to_numpy()
            train, test = data.subset(~inside), data.subset(inside)
            family = f"loco-{table}"
            extra = partial(study.extra, test, without_cohorts=[str(name)])
            setting = replace(_setting(f"{family}/{name}", family, train, test, extra), pooled=True)
            yield setting
            if umis is not None:
                shallow = thin(setting.test.x, umis, np.random.default_rng([study.seed, umis]))
                thinned = f"{family}-{umis}"
                test = replace(setting.test, x=shallow)
                yield replace(setting, name=f"{thinned}/{name}", family=thinned, test=test, depth=umis)

    return make


def quantification(study: Study) -> Iterator[Setting]:
    """Held-out patients whose genes were quantified by another program than the training data."""
    for source, target in (("full", "rsem"), ("rsem", "full")):
        train, test = (_other_than_raw_rsem(data) for data in (study.held_out(source)[0], study.held_out(target)[1]))
        # Only the quantification is to be new, not the tissue.
        seen = test.obs["cohort"].astype(str).isin(set(train.obs["cohort"].astype(str))).to_numpy()
        name = "quantification/htseq-to-rsem" if source == "full" else "quantification/rsem-to-htseq"
        test = test.subset(seen)
        yield _setting(name, "quantification", train, test, partial(study.extra, test, tables=["mirna-only"]))


def tpm(study: Study) -> Iterator[Setting]:
    """Liver in TPM: a tissue never seen ("full"), or one seen in other patients ("common")."""
    test = study.table("tpm")
    patients = set(test.obs["patient"].astype(str))
    for name, unseen in (("full", ["LIHC"]), ("common", [])):
        data = study.table(name)
        train = data.subset((~data.obs["patient"].astype(str).isin(patients)).to_numpy())
        extra = partial(study.extra, test, without_cohorts=unseen)
        yield _setting(f"tpm/{name}", "tpm", train, test, extra)


def mature(study: Study) -> Iterator[Setting]:
    """Held-out patients at the mature level."""
    yield _held_out(study, "mature", "mature")


def mixture(study: Study) -> Iterator[Setting]:
    """Mixtures of two held-out profiles at known fractions, as shallow as cells."""
    base = _held_out(study, "bulk", "full")
    for umis in (1_000, 10_000):
        test = mixtures(base.test, umis, np.random.default_rng([study.seed, umis]))
        yield replace(base, name=f"mixture/{umis}", family="mixture", test=test, depth=umis)


#: in an order in which neighbours share their training data
FAMILIES: dict[str, Callable[[Study], Iterator[Setting]]] = {
    "bulk": bulk,
    "depth": depth,
    "missing": missing,
    "mixture": mixture,
    "mature": mature,
    "quantification": quantification,
    "tpm": tpm,
    "cells": cells,
    "loco-full": leave_one_cohort_out("full", umis=5_000),
    "loco-common": leave_one_cohort_out("common"),
}


def _held_out(study: Study, name: str, table: str) -> Setting:
    train, test = study.held_out(table)
    return _setting(name, name, train, test, partial(study.extra, test))


def _setting(
    name: str, family: str, train: PairedData, test: PairedData, extra: Callable[[], dict[str, PairedData]]
) -> Setting:
    train, test = align(train, test)
    return Setting(name, family, train, test, np.ones(len(train.genes), dtype=bool), extra=extra)


def _other_than_raw_rsem(data: PairedData) -> PairedData:
    """Counts of reads (HTSeq, STAR) of the "full" table, everything of the RSEM-normalised one."""
    return data.subset(data.obs["quant"].isin(["htseq_counts", "star_counts", "rsem_norm"]).to_numpy())
