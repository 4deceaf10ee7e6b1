"""Zero-shot miRNAs of a reference: fitted on all samples, judged by models and miRNAs that were left out.

python scripts/zero_shot.py --development FOLDER     # the folder that train_reference.py --development wrote
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from cell_pairs import CellData, mean_cpm, with_pairs
from dev_data import DATA, load_both_levels, load_pairs
from names import current_matures
from strangers import AVERAGES, DROPLET, HALVES, SINGLE_CELLS, Half
from train_reference import BUNDLED, HELD_OUT_CELLS, BothLevels, base_card

from midgd.bench.cells import Kind
from midgd.infer.uncertainty import TAIL_LEVELS, n_deviations, nearest_tail_level
from midgd.infer.units import in_units
from midgd.metrics import expressed, per_feature_correlation
from midgd.reference import Reference, load
from midgd.train import Mosaic
from midgd.train.queries import profiles_at
from midgd.zeroshot import SCHEMES, Descriptors, MirnaFacts, Rows, describe, fit_zero_shot, kin, left_out
from midgd.zeroshot.schemes import groups_of

# What a miRNA is predicted from, best first: the scheme that hides everything better, and the part it needs.
EVIDENCE = {
    "other arm": ("alone", "arm"),
    "cluster mate": ("stem-loop", "cluster"),
    "host gene": ("family and cluster", "host"),
    "family mate": ("cluster", "family"),
    "name and place": ("family and cluster", ""),
}
# Lowest expected Spearman correlation across tissue samples of what ships.
FLOOR = 0.25
# Errors that 90 % stay below, by the prediction; of all evidences together where one has fewer errors than these.
ERRORS = [f"error_90_at_{np.expm1(level):.3g}_cpm" for level in TAIL_LEVELS]
MIN_ERRORS = 200
CITATIONS = [
    "Frankish et al. 2023, NAR 51:D942 (GENCODE v44: places of genes)",
    "McGeary et al. 2019, Science 366:eaav1741 (TargetScan: families and mature sequences)",
]
log = logging.getLogger("zero_shot")


def load_facts(genes: dict) -> MirnaFacts:
    """Facts from ``knowledge/`` (miRBase v22, TargetScan) and ``gene_places.tsv.gz`` (GENCODE v44)."""
    folder = DATA / "knowledge"
    gff = pd.read_csv(folder / "hsa.gff3", sep="\t", comment="#", header=None)
    stems = gff[gff[2] == "miRNA_primary_transcript"]
    places = pd.DataFrame({"chrom": stems[0], "start": stems[3], "end": stems[4], "strand": stems[6]})
    places["mi"] = stems[8].str.extract(r"ID=(MI\d+)")[0]
    loci = pd.read_csv(folder / "mirbase_v22_precursor_to_mature.csv.gz").merge(places.drop_duplicates("mi"), on="mi")
    hosts = pd.read_csv(folder / "mirna_host_genes_grch38.csv.gz").rename(columns={"mirna_precursor": "precursor"})
    position = {name: i for part in ("ensembl", "symbol") for i, name in enumerate(genes[part]) if name}
    hosts["gene"] = hosts["host_symbol"].map(position).fillna(hosts["host_ensembl"].map(position))
    inside = hosts.dropna(subset="gene").astype({"gene": int})[["precursor", "gene"]]
    own = pd.read_csv(Path(__file__).with_name("gene_places.tsv.gz"), sep="\t").set_index("symbol")
    own = own.reindex(genes["symbol"]).fillna({"chrom": "", "start": -1, "end": -1})
    seeds = pd.read_csv(folder / "targetscan_miR_Family_Info_human.csv.gz").set_index("MiRBase Accession")
    return MirnaFacts(
        loci,
        inside,
        own,
        seeds["Mature sequence"].to_dict(),
        frozenset(set(loci["precursor"]) - set(hosts["precursor"])),
        seeds["Family Conservation?"].clip(0).to_dict(),
    )


def rows_of(model: Reference, mosaic: Mosaic, target: np.ndarray, weight: np.ndarray, depth: float | None) -> Rows:
    """What a model says of some samples, thinned to a depth."""
    prediction, profile = profiles_at(model, mosaic, depth, np.random.default_rng(1))
    outputs = in_units(prediction.share[:, model.outputs("mature")], "log1p_cpm")
    return Rows(profile, outputs, target.astype(np.float32), weight.astype(np.float32))


class Data:
    """Everything that is learned from or judges."""

    def __init__(self) -> None:
        self.pairs = load_pairs()
        self.levels = BothLevels.load(self.pairs.stem_loops)
        self.card = base_card(self.pairs, self.levels.card)
        self.mosaic = Mosaic(self.pairs.mosaic.modalities | {"mature": self.levels.of(self.pairs.obs.index)})
        self.cells = CellData.load(
            self.card["genes"], self.levels.card["name"], self.pairs, self.mosaic, self.levels.fit()
        )
        self.facts = load_facts(self.card["genes"])
        self.names = list(self.levels.card["name"])
        self.known = describe(self.names, self.names, self.facts)
        self.asked_names = sorted(set(self.facts.loci["mature"]) - set(self.names))
        self.kinship = kin(self.names, self.facts)
        counted = self.mosaic["mature"].present & self.pairs.split("train")
        #: above 1 CPM in more than 10 % of the training samples that counted mature miRNAs: these judge tissues
        self.expressed = expressed(self.mosaic["mature"].log_cpm[counted])

    def training(self, model: Reference, keep: np.ndarray, without: tuple[str, ...] = (), **allowed: object) -> Rows:
        """Samples and label pairs that a model was trained on."""
        held_out = set(self.pairs.obs["patient"][~keep])
        level, obs = self.levels.fit(held_out), self.pairs.obs[keep]
        joined, labels = with_pairs(self.mosaic.take(keep), obs, self.cells.pairs(without, **allowed), level.arms)
        own, completed = joined["mature"], level(joined["mirna"].log_cpm)
        target = np.where(own.measured, own.log_cpm, completed)
        return rows_of(model, joined, target, labels.weight, None)


def visible(rows: Rows) -> np.ndarray:
    """miRNAs above 1 CPM in more than 10 % of the training samples."""
    return (np.expm1(rows.target) > 1).mean(0) > 0.1


def tissues_judged(data: Data, folder: Path, split: str) -> dict[str, pd.DataFrame]:
    """By scheme, correlation and errors of every miRNA in held-out tissues whose mature miRNAs were counted."""
    model, seen = load(folder / "development"), data.pairs.split("train")
    rows = data.training(model, seen, HELD_OUT_CELLS)
    judge = data.mosaic.take(data.pairs.split(split) & data.mosaic["mature"].present)
    truth = judge["mature"].log_cpm
    queries = rows_of(model, judge, truth, np.ones(len(judge)), None)
    found = {scheme: _judged(data, rows, queries, truth, scheme) for scheme in SCHEMES}
    for scheme, table in found.items():
        log.info(
            "  tissues, left out: %-26s %.3f (%d miRNAs)", scheme, table["spearman"].mean(), table["spearman"].count()
        )
    baselines(data, rows, queries, truth, found["family and cluster"]["spearman"].dropna().index)
    return found


def _judged(data: Data, rows: Rows, queries: Rows, truth: np.ndarray, scheme: str) -> pd.DataFrame:
    groups, seen = groups_of(scheme, data.names, data.facts), visible(rows)
    answer = left_out(rows, queries, data.known, seen, data.kinship, groups)
    return _table(data, truth, answer, data.expressed, truth, answer)


def _table(
    data: Data, truth: np.ndarray, answer: np.ndarray, use: np.ndarray, single: np.ndarray, predicted: np.ndarray
) -> pd.DataFrame:
    """Correlations of the miRNAs that are used; absolute errors and predictions of single samples of all."""
    correlation = np.nan_to_num(per_feature_correlation(np.nan_to_num(truth), answer))
    table = pd.DataFrame({"spearman": np.where(use, correlation, np.nan)}, index=data.names)
    table["error"], table["predicted"] = list(np.abs(predicted - single).T), list(predicted.T)
    return table[np.isfinite(truth).all(0)]


def baselines(data: Data, rows: Rows, queries: Rows, truth: np.ndarray, names: pd.Index) -> None:
    """Mean Spearman of what is simpler: host gene alone, mates that were not left out, the trained readout."""
    use = np.isin(data.names, names)
    seen = visible(rows)
    parts = {"host gene alone": queries.profile @ data.known.genes["host"].toarray()}
    for name, weights in data.known.relatives.items():
        nearest = np.asarray((weights.toarray() * seen[:, None]).argmax(0))
        there = np.asarray((weights.toarray() * seen[:, None]).max(0)) > 0
        parts[f"nearest mate, {name} (not left out)"] = queries.outputs[:, nearest] * there
    parts["trained on the miRNA itself"] = queries.outputs
    for name, answer in parts.items():
        score = np.nan_to_num(per_feature_correlation(truth[:, use], answer[:, use].astype(np.float32)))
        log.info("  %-45s %.3f", name, score.mean())


def cells_judged(data: Data, folder: Path) -> dict[str, pd.DataFrame]:
    """The same over kinds of cells that the models have not seen, at 2,000 counts."""
    found: dict[str, list[pd.DataFrame]] = {
        name: [] for name in ("truth", "host gene alone", "trained on it", *SCHEMES)
    }
    mean = mean_cpm(data.mosaic.take(data.pairs.split("train")))
    for half in map(Half, HALVES):
        model = load(folder / f"half{half.number}")
        rows = data.training(
            model, data.pairs.split("train") & ~half.cohorts(data.pairs.obs), HELD_OUT_CELLS, allowed=half.allowed
        )

        def own(kind: Kind, half: Half = half) -> bool:
            return kind in half and kind.group == "cell"

        sources = [
            data.cells.single_cells((*SINGLE_CELLS, *AVERAGES), model.arms, mean, own),
            data.cells.bulk(model.arms, mean, own),
        ]
        kinds = np.concatenate([names for _, names in sources])
        truth = np.concatenate([np.where(m["mature"].measured, m["mature"].log_cpm, np.nan) for m, _ in sources])
        parts = [rows_of(model, m, m["mature"].counts, np.ones(len(m)), DROPLET) for m, _ in sources]
        queries = Rows(*(np.concatenate([getattr(p, f) for p in parts]) for f in Rows.__dataclass_fields__))
        answers = {"truth": truth, "host gene alone": queries.profile @ data.known.genes["host"].toarray()}
        answers["trained on it"] = queries.outputs
        for scheme in SCHEMES:
            groups = groups_of(scheme, data.names, data.facts)
            answers[scheme] = left_out(rows, queries, data.known, visible(rows), data.kinship, groups)
        for name, values in answers.items():
            found[name].append(pd.DataFrame(values, kinds))
    by_kind = {name: pd.concat(frames).groupby(level=0).mean().to_numpy() for name, frames in found.items()}
    truth = by_kind.pop("truth")
    use = (np.expm1(truth) > 1).mean(0) > 0.1
    # Errors of single cells; correlations over the means of kinds.
    raw = pd.concat(found["truth"]).to_numpy()
    result = {}
    for name, answer in by_kind.items():
        single = pd.concat(found[name]).to_numpy()
        result[name] = own = _table(data, truth, answer.astype(np.float32), use, raw, single)
        log.info("  cells, %-40s %.3f (%d miRNAs)", name, own["spearman"].mean(), own["spearman"].count())
    return result


def evidence_of(mirnas: Descriptors, seen: np.ndarray) -> np.ndarray:
    """The best of :data:`EVIDENCE` that every miRNA has."""
    has = {name: np.asarray(w.T @ seen.astype(float)).ravel() > 0 for name, w in mirnas.relatives.items()}
    has["host"] = np.asarray(mirnas.genes["host"].sum(0)).ravel() > 0
    found = np.full(len(mirnas.values), "name and place", dtype=object)
    for name, (_, part) in reversed(list(EVIDENCE.items())):
        if part:
            found[has[part]] = name
    return found


def accuracy_by_evidence(data: Data, judged: dict[str, pd.DataFrame], seen: np.ndarray) -> pd.DataFrame:
    """Mean correlation by what there is to predict from, and the error that 90 % stay below, by the prediction."""
    rows, errors = {}, {}
    for name, (scheme, part) in EVIDENCE.items():
        table = judged[scheme]
        index = np.flatnonzero(np.isin(data.names, table.index))
        own = data.known.take(index)
        if part in own.relatives:
            groups = groups_of(scheme, data.names, data.facts)
            same = groups[:, None] == groups[index]
            has = ((own.relatives[part].toarray() * seen[:, None] * ~same).sum(0)) > 0
        else:
            has = (np.asarray(own.genes["host"].sum(0)).ravel() > 0) == (part == "host")
        chosen = table[has]
        rows[name] = (chosen["spearman"].count(), chosen["spearman"].mean())
        errors[name] = _by_level(chosen)
    everything = _by_level(pd.concat([judged[scheme] for scheme, _ in EVIDENCE.values()]))
    table = pd.DataFrame.from_dict(rows, "index", columns=["n", "spearman"])
    for level, column in enumerate(ERRORS):
        own = {
            name: found[level] if len(found[level]) >= MIN_ERRORS else everything[level]
            for name, found in errors.items()
        }
        table[column] = pd.Series({name: np.quantile(values, 0.9) for name, values in own.items()})
    return table


def _by_level(table: pd.DataFrame) -> list[np.ndarray]:
    """Errors of the predictions that are nearest to each of the levels."""
    if not len(table):
        return [np.zeros(0)] * len(TAIL_LEVELS)
    error, predicted = (np.concatenate(list(table[name])) for name in ("error", "predicted"))
    level = nearest_tail_level(predicted)
    return [error[(level == i) & np.isfinite(error)] for i in range(len(TAIL_LEVELS))]


def never_measured(data: Data, folder: Path, split: str, tissue: pd.DataFrame) -> None:
    """Zero-shot miRNAs that the reference does not offer but TCGA counted: nothing of them was learned from."""
    model = load(folder / "development")
    rows, seen = data.training(model, data.pairs.split("train"), HELD_OUT_CELLS), data.expressed
    counts, _ = current_matures(load_both_levels()[1])
    counts = counts[[name for name in counts if name in data.asked_names]]
    total = load_both_levels()[1].sum(1)
    cpm = counts.div(total, axis=0) * 1e6
    train = data.pairs.obs.index[data.pairs.split("train")].intersection(cpm.index)
    cpm = cpm.loc[:, expressed(np.log1p(cpm.loc[train]))]
    judge = data.pairs.split(split) & data.pairs.obs.index.isin(cpm.index)
    truth = np.log1p(cpm.loc[data.pairs.obs.index[judge]]).to_numpy(np.float32)
    asked = describe(list(cpm), data.names, data.facts)
    maps = fit_zero_shot(rows, data.known, asked, seen, data.kinship)
    queries = rows_of(model, data.mosaic.take(judge), rows.target[:1], rows.weight[:1], None)
    answer = maps(torch.from_numpy(queries.profile), torch.from_numpy(queries.outputs)).numpy()
    score = pd.Series(np.nan_to_num(per_feature_correlation(truth, answer)), list(cpm))
    log.info("counted in TCGA, not offered: %.3f (%d miRNAs, %d samples)", score.mean(), len(score), len(truth))
    evidence = evidence_of(asked, seen)
    log.info("%s", score.groupby(evidence).agg(["mean", "size"]).round(3))
    half = [np.interp(answer[:, i], TAIL_LEVELS, tissue.loc[name, ERRORS]) for i, name in enumerate(evidence)]
    holds = np.abs(answer - truth) <= np.stack(half, 1)
    log.info("  intervals of 90 %% hold %.3f, width %.2f", holds.mean(), 2 * np.mean(half))
    host = queries.profile @ asked.genes["host"].toarray()
    log.info("  host gene alone %.3f", np.nan_to_num(per_feature_correlation(truth, host.astype(np.float32))).mean())


def words(data: Data, name: str, mirnas: Descriptors, column: int, evidence: str, seen: np.ndarray) -> str:
    """The evidence with the name of the gene or relative of the highest weight."""
    part = EVIDENCE[evidence][1]
    if not part:
        return evidence
    if part == "host":
        genes = data.card["genes"]["symbol"]
        return f"{evidence} {genes[int(mirnas.genes[part][:, [column]].toarray().argmax())]}"
    weight = mirnas.relatives[part][:, [column]].toarray()[:, 0] * seen
    return f"{evidence} {data.names[int(weight.argmax())]}"


def with_maps(data: Data, final: Reference, tissue: pd.DataFrame, cell: pd.DataFrame) -> Reference:
    """The reference with zero-shot maps of all miRNAs whose expected accuracy is above the floor."""
    rows, seen = data.training(final, np.ones(len(data.pairs.obs), bool)), data.expressed
    asked = describe(data.asked_names, data.names, data.facts)
    evidence = evidence_of(asked, seen)
    ship = np.flatnonzero(tissue["spearman"].reindex(evidence).to_numpy() >= FLOOR)
    maps = fit_zero_shot(rows, data.known, asked, seen, data.kinship).take(ship)
    levels = np.array(TAIL_LEVELS)
    deviations = [n_deviations(0.9, c and c.tails, levels) for c in (final.calibration, final.cell_calibration)]
    sd, cell_sd = (
        (table[ERRORS].reindex(evidence[ship]).to_numpy() / n).T.astype(np.float32)
        for table, n in zip((tissue, cell), deviations, strict=True)
    )
    accession = data.facts.loci.drop_duplicates("mature").set_index("mature")["mimat"]
    names = [data.asked_names[i] for i in ship]
    card = {
        "what": "mature miRNAs without training data; accuracies are means of measured miRNAs with the same evidence,"
        " left out with their arm, cluster or family so that no better evidence was left",
        "floor": FLOOR,
        "by_evidence": {
            name: {"tissues": tissue.loc[name].round(3).to_dict(), "cells": cell.loc[name].round(3).to_dict()}
            for name in EVIDENCE
        },
        "name": names,
        "accession": [str(accession[name]) for name in names],
        "evidence": [words(data, data.asked_names[i], asked, i, evidence[i], seen) for i in ship],
        "spearman_bulk": [round(float(tissue.loc[evidence[i], "spearman"]), 3) for i in ship],
        "spearman_cells_left_out": [round(float(cell.loc[evidence[i], "spearman"]), 3) for i in ship],
    }
    citations = [*final.card["citations"], *(c for c in CITATIONS if c not in final.card["citations"])]
    log.info("zero-shot miRNAs: %d of %d", len(ship), len(asked.values))
    log.info("%s", pd.Series(evidence).value_counts())
    own = {"zero_shot": card, "citations": citations}
    return replace(final, card=final.card | own, zero_shot=replace(maps, sd=sd, cell_sd=cell_sd))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, default=BUNDLED)
    parser.add_argument("--development", type=Path, required=True)
    parser.add_argument("--split", default="val", help="held-out patients that judge")
    parser.add_argument("--judge-only", action="store_true", help="write nothing")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    data = Data()
    judged = tissues_judged(data, args.development, args.split), cells_judged(data, args.development)
    tissue, cell = (accuracy_by_evidence(data, part, data.expressed) for part in judged)
    log.info("tissues\n%s\ncells\n%s", tissue.round(3), cell.round(3))
    never_measured(data, args.development, args.split, tissue)
    if not args.judge_only:
        with_maps(data, load(args.reference), tissue, cell).save(args.reference)


if __name__ == "__main__":
    main()
