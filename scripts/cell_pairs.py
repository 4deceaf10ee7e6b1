"""Label pairs of cells, lines and normal tissues beside the TCGA samples: mosaic, labels, table of kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from dev_data import Pairs

from midgd.bench.cells import Kind, LabelPairs, MicroRnaome, Profiles, label_pairs, load_kinds
from midgd.bench.cells.mirnas import TIED, mean_of_studies
from midgd.bench.cells.pairs import sample_labels
from midgd.bench.cells.profiles import SINGLE_CELL
from midgd.features import GeneVocabulary
from midgd.reference.arms import Arms
from midgd.train import MatureLevel, Modality, Mosaic, SampleLabels, remove_offset, stem_loops_of

TUMOURS = {
    "ACC": "adrenocortical carcinoma",
    "BLCA": "bladder carcinoma",
    "BRCA": "breast carcinoma",
    "CHOL": "cholangiocarcinoma",
    "COAD": "colon carcinoma",
    "DLBC": "diffuse large B-cell lymphoma",
    "ESCA": "oesophageal carcinoma",
    "HNSC": "head and neck carcinoma",
    "KICH": "chromophobe kidney carcinoma",
    "KIRC": "clear cell kidney carcinoma",
    "KIRP": "papillary kidney carcinoma",
    "LAML": "acute myeloid leukaemia",
    "LGG": "lower grade glioma",
    "LIHC": "hepatocellular carcinoma",
    "LUAD": "lung adenocarcinoma",
    "LUSC": "lung squamous cell carcinoma",
    "PAAD": "pancreatic adenocarcinoma",
    "PRAD": "prostate adenocarcinoma",
    "STAD": "stomach adenocarcinoma",
    "THCA": "thyroid carcinoma",
    "UVM": "uveal melanoma",
}
NORMAL_OF = {
    "BRCA": "breast",
    "CHOL": "bile duct",
    "ESCA": "oesophagus",
    "HNSC": "head and neck mucosa",
    "KIRC": "kidney",
    "KIRP": "kidney",
    "LIHC": "liver",
    "LUAD": "lung",
    "LUSC": "lung",
    "PRAD": "prostate",
    "STAD": "stomach",
    "THCA": "thyroid",
}


# Single samples that a profile of a kind is compared with.
N_SAMPLES = 3


@dataclass(frozen=True)
class CellData:
    """Kinds, their profiles and miRNA, and the offset (n_mature,) of the microRNAome from TCGA."""

    kinds: dict[str, Kind]
    profiles: Profiles
    mirnas: MicroRnaome
    offset: np.ndarray

    @classmethod
    def load(cls, genes: dict, matures: list[str], pairs: Pairs, mosaic: Mosaic, level: MatureLevel) -> CellData:
        vocabulary = GeneVocabulary(tuple(genes["symbol"]), tuple(genes["ensembl"]), genes["aliases"])
        mirnas = MicroRnaome(matures)
        cohort = pairs.obs["cohort"].astype(str)
        normal = (pairs.obs["sample_type"] == "normal_adjacent").to_numpy()
        rows = [mosaic.take(normal & cohort.isin(cohorts).to_numpy()) for cohorts in TIED.values()]
        own = np.stack([_mature_profile(part, level).mean(0) for part in rows])
        return cls(load_kinds(), Profiles(vocabulary), mirnas, mirnas.offset_from(own))

    def on_standard(self, profile: np.ndarray) -> np.ndarray:
        return remove_offset(profile, self.offset)

    def pairs(
        self,
        without_tables: tuple[str, ...] = (),
        allowed: Callable[[Kind, int], bool] = lambda kind, study: True,
    ) -> LabelPairs:
        return label_pairs(
            self.kinds.values(),
            self.profiles,
            self.mirnas,
            on_standard=self.on_standard,
            without_tables=without_tables,
            allowed=allowed,
        )

    def in_one_sample(self, kinds: Iterable[str], rng: np.random.Generator) -> np.ndarray:
        """Log1p CPM (n, n_mature) of every kind in one sample of any of its studies, as that study measured it."""
        found = []
        for name in kinds:
            studies = list(self.mirnas.samples(self.kinds[name].mirna).values())
            found.append(rng.choice(studies[rng.integers(len(studies))]))
        return np.stack(found)

    def bulk(
        self, arms: Arms, mean: np.ndarray, of: Callable[[Kind], bool], samples: np.random.Generator | None = None
    ) -> tuple[Mosaic, np.ndarray]:
        """Bulk profiles of some kinds, with the miRNA of the same kinds, and the kinds.

        The miRNA is the mean of the studies on the standard of TCGA. With ``samples`` every profile comes
        :data:`N_SAMPLES` times, with the miRNA of single samples as measured.
        """
        pairs = self.pairs(tuple(SINGLE_CELL), lambda kind, study: of(kind))
        names = pairs.obs["kind"].to_numpy(str)
        mrna = Modality.from_mask(pairs.mrna, pairs.measured)
        return self._with_mirna(mrna, pairs.log_cpm, names, arms, mean, samples)

    def single_cells(
        self,
        tables: tuple[str, ...],
        arms: Arms,
        mean: np.ndarray,
        of: Callable[[Kind], bool] = lambda kind: True,
        samples: np.random.Generator | None = None,
    ) -> tuple[Mosaic, np.ndarray]:
        """Cells of known types of some tables, with the miRNA of the sorted type as in :meth:`bulk`, and the kinds."""
        mrna, measured, log_cpm, names = [], [], [], []
        for kind in filter(of, self.kinds.values()):
            for source in kind.mrna:
                table, _, row = source.partition(":")
                if table in tables:
                    names += [kind.name] * int((self.profiles.table(table)[2] == row).sum())
                    values, known, labels = self.profiles.table(table)
                    own = labels == row
                    target = self.on_standard(mean_of_studies(self.mirnas.by_study(kind.mirna)))
                    mrna.append(values[own])
                    measured.append(known[own])
                    log_cpm.append(np.repeat(target[None], own.sum(), 0))
        cells = Modality.from_mask(np.concatenate(mrna), np.concatenate(measured))
        return self._with_mirna(cells, np.concatenate(log_cpm), np.array(names, str), arms, mean, samples)

    def _with_mirna(
        self,
        mrna: Modality,
        log_cpm: np.ndarray,
        kinds: np.ndarray,
        arms: Arms,
        mean: np.ndarray,
        samples: np.random.Generator | None,
    ) -> tuple[Mosaic, np.ndarray]:
        """Profiles with the miRNA given, or with that of :data:`N_SAMPLES` single samples each."""
        if samples is not None:
            rows = np.repeat(np.arange(len(kinds)), N_SAMPLES)
            mrna, kinds = mrna.take(rows), kinds[rows]
            log_cpm = self.in_one_sample(kinds, samples)
        mirna = {name: Modality.from_mask(*both) for name, both in _both_levels(log_cpm, arms, mean).items()}
        return Mosaic({"mrna": mrna} | mirna), kinds


def _both_levels(log_cpm: np.ndarray, arms: Arms, mean: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """CPM of stem-loops and mature miRNAs, and what is known of them, from log1p CPM of mature miRNAs (NaN: unknown).

    ``mean`` is the mean CPM of the stem-loops.
    """
    known = np.isfinite(log_cpm)
    cpm = np.expm1(np.where(known, log_cpm, 0.0)).astype(np.float32)
    cpm *= 1e6 / cpm.sum(1, keepdims=True)
    stem_known = stem_loops_of(arms, np.ones_like(mean), known.astype(np.float32)) > 0
    return {"mirna": (stem_loops_of(arms, mean, cpm), stem_known), "mature": (cpm, known)}


def mean_cpm(mosaic: Mosaic) -> np.ndarray:
    """Mean CPM of the stem-loops, (n_stem_loops,)."""
    return np.expm1(mosaic["mirna"].log_cpm).mean(0)


def _mature_profile(mosaic: Mosaic, level: MatureLevel) -> np.ndarray:
    return np.where(mosaic["mature"].measured, mosaic["mature"].log_cpm, level(mosaic["mirna"].log_cpm))


def with_pairs(mosaic: Mosaic, obs: pd.DataFrame, added: LabelPairs, arms: Arms) -> tuple[Mosaic, SampleLabels]:
    """The mosaic with the pairs behind its samples, and the labels of all."""
    parts = {"mrna": (added.mrna, added.measured)} | _both_levels(added.log_cpm, arms, mean_cpm(mosaic))
    joined = {name: stacked(mosaic[name], Modality.from_mask(*values)) for name, values in parts.items()}
    kind = np.concatenate([tcga_kinds(obs), added.obs["kind"].to_numpy(str)])
    return Mosaic(joined), sample_labels(kind, pd.concat([obs.astype(object), added.obs]))


def stacked(first: Modality, second: Modality) -> Modality:
    """The samples of one below those of the other."""
    n = len(first.patterns)
    return Modality(
        np.concatenate([first.counts, second.counts]),
        np.concatenate([first.patterns, second.patterns]),
        np.concatenate([first.pattern, second.pattern + n]),
    )


def tcga_kinds(obs: pd.DataFrame) -> np.ndarray:
    """Kinds of TCGA samples: the tumour, or the normal tissue beside it."""
    cohort = obs["cohort"].astype(str)
    normal = obs["sample_type"].astype(str) == "normal_adjacent"
    tumour = cohort.map(TUMOURS) + " (TCGA-" + cohort + ")"
    beside = cohort.map(NORMAL_OF) + " beside a tumour (TCGA)"
    return np.where(normal, beside, tumour).astype(str)


def kinds_table(labels: SampleLabels, cells: CellData) -> dict[str, list]:
    """What the card says of every kind, in the order of :attr:`SampleLabels.kinds`."""
    table: dict[str, list] = {"name": [], "group": [], "n_mrna": [], "n_mirna": [], "sources": []}
    for name in labels.kinds:
        n = int((labels.kind == name).sum())
        kind = cells.kinds.get(name)
        studies = {} if kind is None else cells.mirnas.by_study(kind.mirna)
        table["name"].append(name)
        table["group"].append("tissue" if kind is None else kind.group)
        table["n_mrna"].append(n)
        table["n_mirna"].append(n if kind is None else sum(size for size, _ in studies.values()))
        table["sources"].append("TCGA" if kind is None else ", ".join(sorted({s.partition(":")[0] for s in kind.mrna})))
    return table
