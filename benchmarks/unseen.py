"""Tissues never seen, with label pairs in the training as in the bundled reference.

    python benchmarks/unseen.py unseen

The families `loco-full` and `loco-full-5000` of `midgd bench` (stem-loops), with midgd trained on the label pairs of
cells, lines and normal tissues too, but for the kinds of the organ that is left out (:data:`KINDS_OF`).
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from cell_pairs import stacked

from midgd.bench import run
from midgd.bench.cells import load_kinds
from midgd.bench.cells.pairs import label_pairs
from midgd.bench.cells.profiles import Profiles
from midgd.bench.cells.scenarios import BLOOD, StemLoops
from midgd.bench.data import PairedData
from midgd.bench.methods import Midgd
from midgd.bench.study import Study
from midgd.features import GeneVocabulary
from midgd.train import Modality, Mosaic, remove_offset

#: Kinds (names) and lineages that show what a cohort of TCGA is, and may not train where it is left out.
KINDS_OF = {
    "BRCA": {"mammary epithelial cell", "breast fibroblast", "breast cancer line MCF7"},
    "UVM": {"melanocyte", "retina", "retinal pigment epithelial cell"},
    "ACC": {"adrenal"},
    "KICH": {"kidney", "renal epithelial cell"},
    "PRAD": {"male tract"},
    "DLBC": {*BLOOD, "line"},
    "CHOL": {"liver", "cholangiocyte", "hepatic stellate cell", "liver sinusoidal endothelial cell", "line"},
    "PAAD": {"pancreas"},
    "LAML": {*BLOOD, "line"},
    "LGG": {"neural", "line"},
}


class MidgdWithPairs(Midgd):
    """midgd as a method of the benchmark, with label pairs."""

    def __init__(self, study: Study) -> None:
        super().__init__("midgd-pairs")
        self.study = study

    def _samples(self, tables: list[PairedData], mirnas: pd.Index) -> tuple[Mosaic, pd.DataFrame]:
        mosaic, obs = super()._samples(tables, mirnas)
        unseen = set(KINDS_OF) - set(obs["cohort"].astype(str))
        hidden = set().union(*(KINDS_OF[cohort] for cohort in unseen))
        source = StemLoops(self.study, mirnas)
        pairs = label_pairs(
            [kind for kind in load_kinds().values() if not {kind.name, kind.lineage} & hidden],
            Profiles(GeneVocabulary(tuple(self.genes_), ("",) * len(self.genes_), {}), self.study.data_dir),
            source,
            on_standard=partial(remove_offset, offset=source.offset),
        )
        known = np.isfinite(pairs.log_cpm)
        cpm = np.expm1(np.where(known, pairs.log_cpm, 0.0))
        added = {"mrna": (pairs.mrna, pairs.measured), "mirna": (cpm, known)}
        joined = {
            name: stacked(mosaic[name], Modality.from_mask(values.astype(np.float32), measured))
            for name, (values, measured) in added.items()
        }
        labels = pairs.obs.assign(cohort=pairs.obs["kind"], sample_type="label pair")
        return Mosaic(joined), pd.concat([obs, labels])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", help="name of the .csv")
    args = parser.parse_args()
    methods = ["ridge-wide", "ridge-wide-matched", "ridge", "ridge-matched-x4", MidgdWithPairs(Study())]
    run(methods, ["loco-full"], output=args.output, n_boot=100, downstream=False)


if __name__ == "__main__":
    main()
