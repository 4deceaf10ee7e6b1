"""Do intervals hold what they say, and does the score tell strangers? On ../shared/data, none of it seen in training.

    python scripts/train_reference.py --development models   # most of an hour on one core
    python benchmarks/trust.py models

Intervals are calibrated on one half of the held-out samples and of the kinds and cohorts that no model has seen, and
judged on the other half; then the halves change places. A section of both tables is one of known kinds or of strangers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from cell_pairs import N_SAMPLES, CellData, mean_cpm
from dev_data import load_pairs
from strangers import HALVES, THINNED, Half, strangers
from train_reference import BothLevels, base_card

from midgd.infer.domain import out_of_domain
from midgd.infer.uncertainty import TAIL_PARTS, expected_sd, n_deviations
from midgd.metrics import auroc
from midgd.reference import Calibration, load
from midgd.train import HeldOut, Modality, Mosaic, calibrate
from midgd.train.calibrate import answered

PRESENT = np.log1p(10.0)
JUDGED = {"tissue": (None, 10_000.0, 1_000.0, 100.0, 10.0), "cell": (None, 3_000.0, 1_000.0, 300.0, 100.0, 10.0)}


class Sets:
    """Held-out sets of known kinds and of strangers, by kind of sample and half."""

    def __init__(self, folder: Path) -> None:
        pairs = load_pairs()
        levels = BothLevels.load(pairs.stem_loops)
        card = base_card(pairs, levels.card)
        self.mosaic = Mosaic(pairs.mosaic.modalities | {"mature": levels.of(pairs.obs.index)})
        cells = CellData.load(card["genes"], levels.card["name"], pairs, self.mosaic, levels.fit())
        held_out, seen = pairs.split("val") | pairs.split("test"), self.mosaic.take(pairs.split("train"))
        development = load(folder / "development")
        most_genes = self.mosaic["mrna"].measured.mean(1) > 0.5
        tissues = [HeldOut(development, self.mosaic.take(held_out & part)) for part in (most_genes, ~most_genes)]
        single, samples = [], np.random.default_rng(2)
        for tables, depths, reads in ((("citeseq",), (None, *THINNED), False), (("zanini",), (None,), True)):
            found, _ = cells.single_cells(tables, development.arms, mean_cpm(seen), samples=samples)
            single.append(HeldOut(development, found, depths, all_molecules=reads))
        self.known = {"tissue": tissues, "cell": single}
        self.strangers = {}
        for half in map(Half, HALVES):
            tissue = self.mosaic.take(held_out & half.cohorts(pairs.obs))
            self.strangers[half.number] = strangers(load(folder / f"half{half.number}"), half, cells, seen, tissue)

    def of(self, kind: str, half: int) -> list[HeldOut]:
        """Every second known sample, and the strangers of one half."""
        repeated = N_SAMPLES if kind == "cell" else 1  # all rows of a cell are in one half
        own = [
            replace(s, mosaic=s.mosaic.take(np.arange(len(s.mosaic)) // repeated % 2 == half)) for s in self.known[kind]
        ]
        return [*own, *self.strangers[half][kind]]


def coverage(sets: Sets, kind: str) -> Iterator[dict]:
    for half in HALVES:
        calibration = calibrate(*sets.of(kind, half))
        for held_out in sets.of(kind, 1 - half):
            for depth in (d for d in JUDGED[kind] if d in held_out.depths):
                found = answered(held_out, depth, np.random.default_rng(2))
                deviations = np.abs(found.error) / expected_sd(calibration, *found.known)
                which = "strangers" if held_out.strangers else "known"
                row = {"kind": kind, "which": which, "counts": depth or np.inf}
                groups = {"all": np.isfinite(deviations)}
                groups["predicted"] = groups["all"] & (found.log_cpm > PRESENT)
                groups["measured"] = groups["all"] & (found.log_cpm - found.error > PRESENT)
                for level in TAIL_PARTS:
                    holds = deviations <= n_deviations(level, calibration.tails, found.log_cpm)
                    yield row | {"level": level} | {name: float(holds[own].mean()) for name, own in groups.items()}


def permuted(mosaic: Mosaic, rng: np.random.Generator) -> Mosaic:
    """The genes of every sample in another order."""
    mrna = mosaic["mrna"]
    counts = mrna.counts.copy()
    for row, measured in zip(counts, mrna.measured, strict=True):
        row[measured] = rng.permutation(row[measured])
    return Mosaic(mosaic.modalities | {"mrna": Modality(counts, mrna.patterns, mrna.pattern)})


def noise(mosaic: Mosaic, rng: np.random.Generator) -> Mosaic:
    """As many molecules, of any gene alike."""
    mrna = mosaic["mrna"]
    counts = np.zeros_like(mrna.counts)
    for row, own, measured in zip(counts, mrna.counts, mrna.measured, strict=True):
        row[measured] = rng.poisson(own[measured].mean(), measured.sum())
    return Mosaic(mosaic.modalities | {"mrna": Modality(counts, mrna.patterns, mrna.pattern)})


def alarms(sets: Sets, kind: str, calibration: Calibration) -> Iterator[dict]:
    known = sets.known[kind][0]
    for depth in (None, 1_000.0, 300.0):

        def score(held_out: HeldOut, depth: float | None = depth) -> np.ndarray:
            found = answered(held_out, depth, np.random.default_rng(2))
            return out_of_domain(calibration, *found.known)

        usual, rng = score(known), np.random.default_rng(3)
        others = {
            f"{change.__name__}": score(replace(known, mosaic=change(known.mosaic, rng)))
            for change in (permuted, noise)
        }
        left_out = [s for half in HALVES for s in sets.strangers[half][kind] if depth in s.depths]
        others["strangers"] = np.concatenate([score(s) for s in left_out])
        for name, values in others.items():
            both = np.r_[np.zeros(len(usual)), np.ones(len(values))].astype(bool)
            area = float(auroc(np.r_[usual, values], both))
            rates = {"false_alarms": (usual > 0.5).mean(), "found": (values > 0.5).mean()}
            yield {"kind": kind, "counts": depth or np.inf, "against": name, "auroc": area, **rates}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path)
    sets = Sets(parser.parse_args().models)
    development = load(parser.parse_args().models / "development")
    calibrations = {"tissue": development.calibration, "cell": development.cell_calibration}
    inside = pd.DataFrame([row for kind in JUDGED for row in coverage(sets, kind)])
    for name in ("all", "predicted", "measured"):
        print(f"miRNAs: {name}" + (" above 10 CPM" if name != "all" else ""))
        print(inside.pivot_table(index=["kind", "which", "counts"], columns="level", values=name).round(3).to_string())
    table = pd.DataFrame([row for kind, own in calibrations.items() for row in alarms(sets, kind, own)])
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
