"""Real single cells against sorted ones: which label pairs train, and which cells and which study judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from midgd.bench.cells.kinds import Kind, load_kinds
from midgd.bench.cells.mirnas import FANTOM5, JUZENAS, TIED, MicroRnaome
from midgd.bench.cells.pairs import label_pairs
from midgd.bench.cells.profiles import Profiles
from midgd.bench.cells.scoring import CellScoring
from midgd.bench.data import PairedData, data_folder
from midgd.bench.study import Scenario, Study
from midgd.features import GeneVocabulary
from midgd.settings import logger
from midgd.train.platforms import remove_offset

#: tables whose cells are the queries; their profiles never train here
QUERIES = {
    "citeseq": {name: name for name in ("CD4 T cell", "CD8 T cell", "B cell", "NK cell", "monocyte")},
    "zanini": {
        "T cell": "CD4 T cell",
        "NK cell": "NK cell",
        "B cell": "B cell",
        "classical monocyte": "monocyte",
    },
}
BLOOD = ("T cell", "NK cell", "B cell", "myeloid", "mast cell", "platelet", "red cell", "blood")
#: measured too few genes to share them with all others
NARROW = ("croote",)


@dataclass(frozen=True)
class Protocol:
    """Which studies and kinds train, which study judges, and which kinds are compared (all that are asked if empty)."""

    allowed: Callable[[Kind, int], bool]
    judge: int
    compared: tuple[str, ...] = ()


def _all(kind: Kind, study: int) -> bool:
    return True


def _not_of(study: int) -> Callable[[Kind, int], bool]:
    return lambda kind, own: own != study or kind.lineage not in BLOOD


def _without(*kinds: str) -> Callable[[Kind, int], bool]:
    return lambda kind, own: kind.name not in kinds


PROTOCOLS = {
    "known": Protocol(_all, JUZENAS),
    "fantom5-to-juzenas": Protocol(_not_of(JUZENAS), JUZENAS),
    "juzenas-to-fantom5": Protocol(_not_of(FANTOM5), FANTOM5),
    "nk-left-out": Protocol(_without("NK cell", "T or NK cell"), JUZENAS, ("NK cell",)),
    "b-left-out": Protocol(_without("B cell", "germinal centre B cell", "plasma cell"), JUZENAS, ("B cell",)),
    "blood-left-out": Protocol(lambda kind, own: kind.lineage not in BLOOD, JUZENAS),
}


def cells(study: Study) -> Iterator[Scenario]:
    """Blood cells of two single-cell studies against sorted cells, with label pairs in the training.

    Parameters
    ----------
    study
        Tables, splits and seed of the run.

    Returns
    -------
    One scenario a protocol of :data:`PROTOCOLS`; none without the folder ``cells/``.
    """
    if not (data_folder(study.data_dir) / "cells").is_dir():
        logger.warning("no folder cells/ in the development data: the scenario 'cells' is left out")
        return
    tcga = study.table("full")
    vocabulary = GeneVocabulary(tuple(tcga.genes), ("",) * len(tcga.genes), {})
    profiles, source = Profiles(vocabulary, study.data_dir), StemLoops(study, tcga.mirnas)
    kinds = load_kinds()
    for name, protocol in PROTOCOLS.items():
        pairs = label_pairs(
            kinds.values(),
            profiles,
            source,
            on_standard=partial(remove_offset, offset=source.offset),
            without_tables=(*QUERIES, *NARROW),
            allowed=protocol.allowed,
        )
        test = _queries(profiles, source, kinds, protocol, tcga.mirnas)
        shared = np.asarray(pairs.measured.all(0))
        for table in QUERIES:
            shared &= profiles.table(table)[1].all(0)
        genes = tcga.genes[shared]
        obs = pairs.obs.assign(cohort=pairs.obs["kind"], patient=pairs.obs.index, sample_type="label pair")
        y = np.expm1(np.nan_to_num(pairs.log_cpm))
        added = PairedData(np.rint(pairs.mrna[:, shared]), y, genes, tcga.mirnas, obs)
        train = _stacked(tcga.select(genes=genes), added)
        scoring = CellScoring(tuple(protocol.compared))
        extra = partial(study.extra, test, tables=("full", "common", "rsem", "mirna-only"))
        yield Scenario(
            f"cells/{name}",
            "cells",
            train,
            test.select(genes=genes),
            np.ones(len(genes), bool),
            extra=extra,
            score=scoring,
        )


class StemLoops(MicroRnaome):
    """The microRNAome at the level of stem-loops: the sum of their arms.

    Parameters
    ----------
    study
        The run.
    stem_loops
        Names, in the order of all results.
    """

    def __init__(self, study: Study, stem_loops: pd.Index) -> None:
        table = pd.read_csv(data_folder(study.data_dir) / "knowledge/mirbase_v22_precursor_to_mature.csv.gz")
        arms = table[table["precursor"].isin(stem_loops)]
        names = sorted(set(arms["mature"]))
        super().__init__(names, study.data_dir)
        position = {name: i for i, name in enumerate(names)}
        mature = np.expm1(self.log_cpm)
        total = np.full((len(mature), len(stem_loops)), np.nan, np.float32)
        for stem, group in arms.groupby("precursor"):
            own = mature[:, [position[name] for name in group["mature"]]]
            if not np.isnan(own).all():
                total[:, stem_loops.get_loc(stem)] = np.log1p(np.nansum(own, axis=1))
        self.log_cpm = total
        self.offset = self.offset_from(_tied_profiles(study.table("common"), stem_loops))


def _tied_profiles(data: PairedData, stem_loops: pd.Index) -> NDArray[np.float32]:
    """Mean log1p CPM of normal tissues that the microRNAome measured too, (n_tied, n_stem_loops); NaN if unknown."""
    normal = (data.obs["sample_type"] == "normal_adjacent").to_numpy()
    column = data.mirnas.get_indexer(stem_loops)
    known = np.where(column >= 0, data.log_cpm[:, column], np.nan)
    rows = (normal & data.obs["cohort"].isin(cohorts).to_numpy() for cohorts in TIED.values())
    return np.stack([known[own].mean(0) for own in rows]).astype(np.float32)


def _queries(
    profiles: Profiles, source: MicroRnaome, kinds: dict[str, Kind], protocol: Protocol, mirnas: pd.Index
) -> PairedData:
    """Cells of the known types, with the miRNA that the judging study measured of the sorted type."""
    x, y, rows = [], [], []
    for table, types in QUERIES.items():
        values, _, labels = profiles.table(table)
        for label, kind in types.items():
            chosen = np.flatnonzero(labels == label)
            truth = source.by_study(kinds[kind].mirna, lambda own: own == protocol.judge)[protocol.judge][1]
            x.append(values[chosen])
            y.append(np.repeat(np.expm1(np.nan_to_num(truth))[None], len(chosen), 0))
            rows += [(kind, table, f"{table} {i}", "cell") for i in chosen]
    obs = pd.DataFrame(rows, columns=["cohort", "query", "patient", "sample_type"])
    obs.index = pd.Index(obs["patient"], name=None)
    return PairedData(np.concatenate(x), np.concatenate(y), pd.Index(profiles.genes.symbols), mirnas, obs)


def _stacked(first: PairedData, second: PairedData) -> PairedData:
    obs = pd.concat([first.obs.astype({"cohort": str, "patient": str, "sample_type": str}), second.obs])
    return PairedData(
        np.concatenate([first.x, second.x]), np.concatenate([first.y, second.y]), first.genes, first.mirnas, obs
    )
