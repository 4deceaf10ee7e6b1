"""Is a smoothed map nearer to what is there? Five breast sections of ../shared/data, which no model has seen.

    python benchmarks/spatial.py                                          # two minutes on one core
    python benchmarks/spatial.py --figure docs/figures/spatial_smoothed.png

Three questions, each of single spots, of means of a spot and its direct neighbours, and of ``midgd.tl.smooth_spatial``:

- ``half``: half of the molecules of every spot against what is inferred from the other half, correlation over spots;
- ``left_out``: every spot predicted from four fifths of the others;
- ``labels``: AUROC of known miRNAs against the labels of a pathologist, of all spots and of those at a border.

Neighbouring spots are not independent: the intervals are from drawing squares of three by three spots with replacement.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

import midgd
from midgd.metrics import auroc, bootstrap_values
from midgd.spatial.spots import spacing

Floats = NDArray[np.float64]

FOLDER = Path(os.environ.get("MIDGD_DEV_DATA", "../shared/data")) / "spatial"
STRUCTURES = {
    "immune": (("hsa-miR-150-5p", "hsa-miR-155-5p", "hsa-miR-142-3p"), "immune infiltrate", "invasive cancer"),
    "epithelial": (("hsa-miR-200c-3p", "hsa-miR-141-3p", "hsa-miR-200b-3p"), "invasive cancer", "connective tissue"),
    "stromal": (("hsa-miR-143-3p", "hsa-miR-145-5p", "hsa-miR-199a-3p"), "connective tissue", "invasive cancer"),
}
METHODS = ("one spot", "neighbours", "smoothed")
ABUNDANT = 10.0  # CPM, mean over spots
BESIDE = 1.3  # distances of neighbours: the four next to a spot of a grid, not those across


def inferred(section: ad.AnnData, counts: NDArray[np.integer] | None = None) -> ad.AnnData:
    """The section, with other counts if they are given, and its miRNAs."""
    found = section.copy()
    if counts is not None:
        found.X = counts.astype(np.float32)
    midgd.tl.infer_mirna(found, sample_kind="tissue")
    return found


def values(spots: ad.AnnData) -> dict[str, Floats]:
    """Log CPM by each method."""
    beside = cdist(spots.obsm["spatial"], spots.obsm["spatial"]) < BESIDE * spacing(spots.obsm["spatial"])
    alone = spots.obsm["mirna"].to_numpy(float)
    midgd.tl.smooth_spatial(spots)
    smoothed = spots.obsm["mirna_smoothed"].to_numpy(float)
    return dict(zip(METHODS, (alone, beside @ alone / beside.sum(1, keepdims=True), smoothed), strict=True))


def left_out(spots: ad.AnnData, parts: int = 5) -> dict[str, Floats]:
    """Each spot from the others; the nearest one stands for "one spot", the four nearest for "neighbours"."""
    alone, where = spots.obsm["mirna"].to_numpy(float), spots.obsm["spatial"]
    found = {method: np.empty_like(alone) for method in METHODS}
    part = np.random.default_rng(0).permutation(len(where)) % parts
    for i in range(parts):
        out = part == i
        near = KDTree(where[~out]).query(where[out], k=4)[1]
        found["one spot"][out] = alone[~out][near[:, 0]]
        found["neighbours"][out] = alone[~out][near].mean(1)
        found["smoothed"][out] = midgd.tl.smooth_spatial(spots[~out].copy(), at=where[out])
    return found


def agreement(value: Floats, rows: NDArray[np.int64], *, truth: Floats) -> float:
    """Correlation over spots, mean over miRNAs that vary."""
    a, b = (table[rows] - table[rows].mean(0) for table in (value, truth))
    size = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    return float(((a * b).sum(0)[size > 0] / size[size > 0]).mean())


def area(value: Floats, rows: NDArray[np.int64], *, columns: list[int], positive: NDArray[np.bool_]) -> float:
    """AUROC, mean of the miRNAs; NaN if all spots that were drawn have one label."""
    if len(set(positive[rows])) < 2:
        return np.nan
    return float(np.mean([auroc(value[rows, column], positive[rows]) for column in columns]))


def structures(spots: ad.AnnData) -> Iterator[tuple[str, list[int], NDArray[np.int64], NDArray[np.bool_]]]:
    """Name, miRNAs, spots and which of them have the label; of whole structures and of their borders."""
    label, names = spots.obs["label"].astype(str).to_numpy(), list(spots.obsm["mirna"].columns)
    where = spots.obsm["spatial"]
    near = KDTree(where).query_ball_point(where, BESIDE * spacing(where))
    border = np.array([(label[around] != label[i]).any() for i, around in enumerate(near)])
    for name, (mirnas, with_label, without) in STRUCTURES.items():
        for title, chosen in ((name, np.ones(len(label), bool)), (f"{name}, border", border)):
            rows = np.flatnonzero(np.isin(label, (with_label, without)) & chosen)
            if len(set(label[rows])) == 2 and (label == with_label).sum() > 1:
                yield title, [names.index(mirna) for mirna in mirnas], rows, label[rows] == with_label


def squares(where: Floats) -> NDArray[np.str_]:
    """Name of the square of three by three spots of each spot."""
    corner = ((where - where.min(0)) // (3 * spacing(where))).astype(int)
    return np.array([f"{x} {y}" for x, y in corner])


def row(found: dict[str, Floats], score: Callable[[Floats, NDArray[np.int64]], float], units: NDArray[np.str_]) -> dict:
    """Score of each method, and how far the smoothed map is above the two others, with 95 % intervals."""
    every = np.arange(len(units))
    result: dict = {method: score(value, every) for method, value in found.items()}
    drawn = bootstrap_values(lambda rows: [score(value, rows) for value in found.values()], units, n_boot=400)
    for i, method in enumerate(METHODS[:2]):
        low, high = np.nanquantile(drawn[:, 2] - drawn[:, i], (0.025, 0.975))
        gain = result["smoothed"] - result[method]
        result[f"above {method}"] = f"{gain:+.2f} ({low:+.2f} to {high:+.2f})"
    return result


def figure(path: Path) -> None:
    """Two miRNAs of section F1, spot by spot and smoothed."""
    import matplotlib.pyplot as plt

    spots = inferred(ad.read_h5ad(FOLDER / "her2st_F1.h5ad"))
    midgd.tl.smooth_spatial(spots)
    drawn, axes = plt.subplots(2, 2, figsize=(7.2, 6.2), dpi=100, layout="constrained")
    for pair, mirna in zip(axes, ("hsa-miR-143-3p", "hsa-miR-200c-3p"), strict=True):
        for ax, key, title in zip(pair, ("mirna", "mirna_smoothed"), ("spot by spot", "smoothed"), strict=True):
            midgd.pl.spatial(spots, mirna, key=key, ax=ax, show=False)
            ax.set_title(f"{mirna}, {title}")
    drawn.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path, help="draw section F1 into this file, and nothing else")
    wanted = parser.parse_args().figure
    if wanted is not None:
        figure(wanted)
        return
    rows = []
    for path in sorted(FOLDER.glob("her2st_*.h5ad")):
        name, section = path.stem.removeprefix("her2st_"), ad.read_h5ad(path)
        counts = np.asarray(section.X.toarray() if hasattr(section.X, "toarray") else section.X).astype(int)
        half = np.random.default_rng(0).binomial(counts, 0.5)
        spots, units = inferred(section), squares(section.obsm["spatial"])
        alone = spots.obsm["mirna"].to_numpy(float)
        kept = np.expm1(alone).mean(0) > ABUNDANT
        other = inferred(section, counts - half).obsm["mirna"].to_numpy(float)
        asked = {"half": (values(inferred(section, half)), other), "left_out": (left_out(spots), alone)}
        for question, (found, truth) in asked.items():
            abundant = {method: value[:, kept] for method, value in found.items()}
            scores = row(abundant, partial(agreement, truth=truth[:, kept]), units)
            rows.append({"question": question, "section": name, "spots": len(spots)} | scores)
        maps = values(spots)
        for title, columns, chosen, positive in structures(spots):
            here = {method: value[chosen] for method, value in maps.items()}
            scores = row(here, partial(area, columns=columns, positive=positive), units[chosen])
            size = int(min(positive.sum(), (~positive).sum()))
            rows.append({"question": title, "section": name, "spots": size} | scores)
    table = pd.DataFrame(rows).sort_values(["question", "section"], kind="stable")
    print(table.to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
