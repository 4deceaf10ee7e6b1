"""Markers in real single cells: midgd's bundled reference beside ridge regressions on the same pairs.

    python benchmarks/cells.py

Thinned tissues are a poor guide to single cells, so this is looked at before a change of the readout is kept. AUROC of
miR-223, miR-150 and miR-155, in the direction known from sorted cells: 700 PBMCs that ship with scanpy (722 genes;
CD14+ monocytes against T and B cells), and 200 PBMCs with surface proteins from ../shared/data (the fifth with most
CD14 against those with more than the median of CD3 or among the highest tenth of CD19).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from dev_data import DATA, widen

import midgd
from midgd.bench.arms import make_arms
from midgd.bench.data import load
from midgd.metrics import auroc

# Stem-loop, and whether monocytes have more of it than lymphocytes.
MARKERS = {"hsa-mir-223": True, "hsa-mir-150": False, "hsa-mir-155": False}
ARMS = ("ridge", "ridge-matched", "ridge-matched-x4")


@dataclass(frozen=True)
class Cells:
    """Counts of cells, and which of them are monocytes or lymphocytes."""

    adata: ad.AnnData
    monocyte: np.ndarray
    lymphocyte: np.ndarray

    def score(self, values: np.ndarray, names: list[str]) -> list[float]:
        """AUROC of every marker from inferred miRNA (n, n_mirnas)."""
        chosen = self.monocyte | self.lymphocyte
        found = [float(auroc(values[chosen, names.index(m)], self.monocyte[chosen])) for m in MARKERS]
        return [value if up else 1.0 - value for value, up in zip(found, MARKERS.values(), strict=True)]


def main() -> None:
    midgd.settings.progress = False
    data = {"pbmc": pbmc(), "cite-seq": cite_seq()}
    rows = {"midgd": [v for cells in data.values() for v in cells.score(*bundled(cells.adata))]}
    train = load("full", DATA)
    for arm in make_arms(ARMS):
        arm.fit(train, seed=0)
        answers = (
            cells.score(arm.predict(*widen(cells.adata, train.genes)), list(train.mirnas)) for cells in data.values()
        )
        rows[arm.name] = [value for answer in answers for value in answer]
    columns = pd.MultiIndex.from_product([data, MARKERS])
    print(pd.DataFrame(rows, index=columns).T.round(3).to_string())


def pbmc() -> Cells:
    adata = midgd.datasets.pbmc68k_counts()
    label = adata.obs["bulk_labels"].astype(str)
    lymphocyte = label.str.startswith(("CD4+", "CD8+", "CD19+"))
    return Cells(adata, label.str.startswith("CD14").to_numpy(), lymphocyte.to_numpy())


def cite_seq() -> Cells:
    adata = ad.read_h5ad(DATA / "single_cell" / "pbmc_10k_citeseq_200cells.h5ad")
    protein = pd.DataFrame(np.asarray(adata.obsm["protein_expression"]), columns=list(adata.uns["protein_names"]))
    cd14, cd3, cd19 = (protein[f"{name}_TotalSeqB"].to_numpy() for name in ("CD14", "CD3", "CD19"))
    monocyte = cd14 > np.quantile(cd14, 0.8)
    return Cells(adata, monocyte, ((cd3 > np.median(cd3)) | (cd19 > np.quantile(cd19, 0.9))) & ~monocyte)


def bundled(adata: ad.AnnData) -> tuple[np.ndarray, list[str]]:
    adata = adata.copy()
    midgd.tl.infer_mirna(adata, level="stem-loop")
    mirna = midgd.get.mirna(adata)
    return np.asarray(mirna.X), list(mirna.var_names)


if __name__ == "__main__":
    main()
