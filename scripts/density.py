"""The density of the latents of a reference: fitted to the samples that it was trained on.

python scripts/density.py --development FOLDER     # the folder that train_reference.py --development wrote

The development model gets the density of the training split, the bundled reference that of all samples. Both get the
factor by which errors of the development model are larger on validation patients than on those it was trained on.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from cell_pairs import CellData, with_pairs
from dev_data import DATA, load_pairs
from train_reference import BUNDLED, HELD_OUT_CELLS, MODALITY_OF, BothLevels, base_card

from midgd.generate.fit import fit_density
from midgd.infer import Prediction
from midgd.infer.units import in_units
from midgd.reference import Reference, load
from midgd.train import Mosaic, SampleLabels
from midgd.train.calibrate import predict_held_out

log = logging.getLogger("density")


@dataclass(frozen=True)
class Samples:
    """Samples that a model was trained on, or new ones, and the table that each is from."""

    mosaic: Mosaic
    labels: SampleLabels
    table: np.ndarray

    def predicted(self, model: Reference) -> Prediction:
        """What the model says of the mRNA of every sample."""
        return predict_held_out(model, self.mosaic, None, np.random.default_rng())  # whole: nothing is drawn

    def missed(self, model: Reference, predicted: Prediction) -> np.ndarray:
        """Measured less inferred log1p CPM of all outputs; NaN where not measured or from another study."""
        found = in_units(predicted.share, "log1p_cpm")
        missed = np.full_like(found, np.nan)
        for level, name in MODALITY_OF.items():
            modality = self.mosaic[name]
            own = modality.measured & ~self.labels.from_pairs[:, None]
            outputs = model.outputs(level)
            missed[:, outputs] = np.where(own, modality.log_cpm - found[:, outputs], np.nan)
        return missed


class Data:
    """All that the models learn from."""

    def __init__(self) -> None:
        self.pairs = load_pairs()
        self.levels = BothLevels.load(self.pairs.stem_loops)
        card = base_card(self.pairs, self.levels.card)
        mature = self.levels.of(self.pairs.obs.index)
        self.mosaic = Mosaic(self.pairs.mosaic.modalities | {"mature": mature})
        self.cells = CellData.load(card["genes"], self.levels.card["name"], self.pairs, self.mosaic, self.levels.fit())

    def samples(self, rows: np.ndarray, without_tables: tuple[str, ...] = ()) -> Samples:
        """Some TCGA samples, and the label pairs behind them."""
        added = self.cells.pairs(without_tables)
        mosaic, labels = with_pairs(self.mosaic.take(rows), self.pairs.obs[rows], added, self.levels.fit().arms)
        table = np.r_[self.pairs.obs["table"][rows].to_numpy(str), np.repeat("label pairs", len(added.obs))]
        return Samples(mosaic, labels, table)

    def split(self, name: str) -> Samples:
        """TCGA samples of a split, without label pairs."""
        rows = self.pairs.split(name)
        both = self.samples(rows)
        own = np.arange(int(rows.sum()))
        return Samples(both.mosaic.take(own), both.labels.take(own), both.table[own])


def error(missed: np.ndarray) -> float:
    """Root mean square over what was measured."""
    return float(np.sqrt(np.nanmean(missed**2)))


def inflation(model: Reference, data: Data) -> float:
    """By what factor errors on validation patients exceed those on patients of the training."""
    found = {}
    for name in ("train", "val"):
        samples = data.split(name)
        found[name] = error(samples.missed(model, samples.predicted(model))[:, model.outputs("stem-loop")])
    log.info("root mean squared error of stem-loops: training %.3f, validation %.3f", found["train"], found["val"])
    return found["val"] / found["train"]


def with_density(model: Reference, samples: Samples, factor: float) -> Reference:
    """The model with the density of some samples."""
    predicted = samples.predicted(model)
    names = pd.Series(samples.labels.kind) + "|" + pd.Series(samples.table)
    components, found = pd.factorize(names, sort=True)
    kinds = np.array([model.kind_names.index(name.partition("|")[0]) for name in found])
    missed = samples.missed(model, predicted)
    mrna = samples.mosaic["mrna"]
    density = fit_density(
        model.decoder,
        predicted.latent,
        mrna,
        components,
        kinds,
        missed,
        matched=~samples.labels.from_pairs,
        inflation=factor,
    )
    log.info(
        "%d components, %d directions, median dispersion %.1f",
        len(found),
        len(density.direction),
        np.median(density.dispersion),
    )
    return replace(model, density=density)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, default=BUNDLED)
    parser.add_argument("--development", type=Path, required=True)
    parser.add_argument(
        "--output", type=Path, help="folder for the development model with its density; default: its own"
    )
    parser.add_argument("--development-only", action="store_true", help="leave the reference as it is")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not (DATA / "cells").is_dir():
        parser.error(f"no folder cells/ in {DATA}: kinds need it")
    data = Data()
    development = load(args.development / "development")
    factor = inflation(development, data)
    seen = data.samples(data.pairs.split("train"), HELD_OUT_CELLS)
    with_density(development, seen, factor).save(args.output or args.development / "development")
    if not args.development_only:
        everything = data.samples(np.ones(len(data.pairs.obs), bool))
        with_density(load(args.reference), everything, factor).save(args.reference)


if __name__ == "__main__":
    main()
