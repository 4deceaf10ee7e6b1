"""Do intervals of single blood cells hold what was measured in single donors? On ../shared/data, by depth.

    MIDGD_DEV_DATA=../shared/data python benchmarks/donors.py

The cells are from other studies than the donors (Juzenas 2017), whose means the bundled reference has seen. Protocols
count single miRNAs differently: "shifted" takes the mean difference of each miRNA over the populations from the donors.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

import midgd

DATA = Path(os.environ.get("MIDGD_DEV_DATA", "../shared/data"))
STUDY, PRESENT = 89, np.log1p(10.0)
DEPTHS = (None, 500, 100, 20, 5, 2)
# Type of cell, by a part of its label, and the sorted population of the donors.
TYPES = {"cd4": "CD4", "cd8": "CD8", "monocyte": "CD14", "nk cell": "CD56", "cd56": "CD56", "b cell": "CD19"}


def donors() -> dict[str, pd.DataFrame]:
    """Log1p CPM of mature miRNAs in each donor, by population."""
    table = ad.read_h5ad(DATA / "cells" / "mirna_microRNAome.h5ad")
    table = table[(table.obs["study_id"] == STUDY) & ~table.obs["flagged"].astype(bool)].to_memory()
    counts = sparse.csr_matrix(table.X).toarray().astype(float)
    cpm = np.log1p(counts / counts.sum(1, keepdims=True) * 1e6)
    frame = pd.DataFrame(cpm, table.obs["organ"].astype(str), table.var_names)
    return {name: frame.loc[[f"blood cell population {name}"]] for name in set(TYPES.values())}


def population(label: str) -> str:
    """The population of the donors that a label of a cell means, or nothing."""
    return next((name for part, name in TYPES.items() if part in label.lower().replace("b cells", "b cell")), "")


def cells() -> Iterator[tuple[str, ad.AnnData]]:
    """Counts of single cells, with their population in ``obs``."""
    citeseq = ad.read_h5ad(DATA / "single_cell" / "pbmc_10k_citeseq_200cells.h5ad")
    zanini = ad.read_h5ad(DATA / "cells" / "single_cells" / "Zanini_2018.h5ad")
    for name, table, column in (("CITE-seq", citeseq, None), ("Zanini", zanini, "cell_type")):
        plain = ad.AnnData(sparse.csr_matrix(np.rint(sparse.csr_matrix(table.X).toarray())), table.obs, table.var)
        if column is None:  # no labels: the nearest kind at full depth
            column = "mirna_nearest"
            midgd.tl.infer_mirna(plain)
        plain.obs["population"] = plain.obs[column].astype(str).map(population)
        yield name, ad.AnnData(plain.X, plain.obs[["population"]], plain.var[[]])
    pbmc = midgd.datasets.pbmc68k_counts()
    pbmc.obs["population"] = pbmc.obs["bulk_labels"].astype(str).map(population)
    yield "PBMC 68k", ad.AnnData(pbmc.X, pbmc.obs[["population"]], pbmc.var[[]])


def main() -> None:
    """Print how often intervals of 90 % hold, how wide they are, and the score."""
    logging.disable(logging.WARNING)
    truth, rng = donors(), np.random.default_rng(0)
    print("cells, counts | held, of all, shifted | held, above 10 CPM, shifted | width (log units) | score, median")
    for name, table in cells():
        whole = table.X.toarray().astype(int)
        for depth in DEPTHS:
            share = 1.0 if depth is None else np.minimum(1, depth / np.maximum(whole.sum(1, keepdims=True), 1))
            thinned = ad.AnnData(sparse.csr_matrix(rng.binomial(whole, share).astype("f4")), table.obs, table.var)
            midgd.tl.infer_mirna(thinned, uncertainty=True)
            lower, upper = midgd.get.interval(thinned)
            groups = {name: (thinned.obs["population"] == name).to_numpy() for name in truth}
            groups = {name: rows for name, rows in groups.items() if rows.any()}
            values, common = thinned.obsm["mirna"], lower.columns.intersection(truth["CD4"].columns)
            if depth is None:
                off = [truth[g][common].mean() - values.loc[rows, common].mean() for g, rows in groups.items()]
                shift = np.mean(off, axis=0)
            held: dict[str, list[np.ndarray]] = {"plain": [], "shifted": []}
            present: list[np.ndarray] = []
            for group, rows in groups.items():
                measured = truth[group][common].to_numpy()[None]
                ends = [end.loc[rows, common].to_numpy()[:, None] for end in (lower, upper)]
                for how, value in (("plain", measured), ("shifted", np.maximum(measured - shift, 0.0))):
                    held[how].append(((value >= ends[0]) & (value <= ends[1])).ravel())
                present.append(np.broadcast_to(measured > PRESENT, (rows.sum(), *measured.shape[1:])).ravel())
            there = np.concatenate(present)
            inside = [np.concatenate(values) for values in held.values()]
            parts = [f"{values.mean():.2f}" for values in (*inside, *(values[there] for values in inside))]
            counts = depth or int(np.median(whole.sum(1)))
            width = float((upper - lower).to_numpy().mean())
            score = thinned.obs["mirna_ood"].median()
            print(f"{name}, {counts:,} | {', '.join(parts[:2])} | {', '.join(parts[2:])} | {width:.2f} | {score:.2f}")


if __name__ == "__main__":
    main()
