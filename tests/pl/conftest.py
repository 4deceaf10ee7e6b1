"""Cells with results that are known to the last digit, and a way to see whether a figure can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import anndata as ad
import matplotlib
import numpy as np
import pandas as pd
import pytest

matplotlib.use("Agg")
NAMES = ["hsa-miR-1-3p", "hsa-miR-2-5p", "hsa-miR-3-3p", "hsa-miR-4-5p", "hsa-miR-5-3p"]
ACCURACY = [0.9, 0.5, -0.2, np.nan, 0.7]
GROUPS = ["one $x^2$", "two", "three $"]
N = 60


@pytest.fixture
def cells() -> ad.AnnData:
    """60 cells in three groups; miRNA j of group g has mean 3 + g in one group of its own, cells 0-9 are outside."""
    rng = np.random.default_rng(3)
    group = np.arange(N) % 3
    values = 6.0 + rng.normal(0, 0.1, (N, len(NAMES))) + 3.0 * (group[:, None] == np.arange(len(NAMES)) % 3)
    counts = rng.poisson(2.0, (N, 4)).astype(np.float32)
    obs = pd.DataFrame(index=[f"c{i}" for i in range(N)])
    obs["group"] = pd.Categorical([GROUPS[g] for g in group], categories=[*GROUPS, "nobody"])
    obs["mirna_ood"] = np.where(np.arange(N) < 10, 0.8, 0.1).astype(np.float32)
    obs["mirna_nearest"] = pd.Categorical(np.where(group == 0, "B cell", "T cell"))
    obs["mirna_nearest_probability"] = np.linspace(0.2, 1.0, N).astype(np.float32)
    adata = ad.AnnData(counts, obs=obs, var=pd.DataFrame({"symbol": list("ABCC")}, index=["g1", "g2", "g3", "g4"]))
    adata.layers["log"] = np.log1p(counts)
    adata.obsm["mirna"] = pd.DataFrame(values.astype(np.float32), obs.index, NAMES)
    adata.obsm["X_umap"] = rng.normal(size=(N, 2))
    adata.obsm["X_midgd"] = rng.normal(size=(N, 6)).astype(np.float32)
    adata.obsm["spatial"] = np.stack([np.arange(N) % 10, np.arange(N) // 10], 1) * 100.0
    adata.uns["mirna"] = {
        "params": {"units": "log1p_cpm", "level": "mature"},
        "midgd_version": "0",
        "sample_kind": "cell",
        "mirnas": pd.DataFrame({"accession": "MIMAT0", "spearman_bulk": 0.25, "spearman_umi_1000": ACCURACY}, NAMES),
    }
    return adata


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No figure and no setting stays for the next test."""
    import matplotlib.pyplot as plt

    yield
    plt.close("all")
    matplotlib.rcdefaults()
    matplotlib.use("Agg")


@pytest.fixture
def unreadable() -> Callable[[Any], list[str]]:
    """Function that lists what of a figure is too small, cut off, or lies on its neighbour."""
    return _unreadable


def _undrawn(axis: Any) -> Iterator[Any]:
    """Texts of axes that are off, and names of ticks beyond the limits."""
    for part, limits in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim())):
        if not axis.axison:
            yield part.label
        for tick in [*part.get_major_ticks(), *part.get_minor_ticks()]:
            if not axis.axison or not min(limits) <= tick.get_loc() <= max(limits):
                yield from (tick.label1, tick.label2)


def _unreadable(figure: Any) -> list[str]:
    from matplotlib.text import Text

    figure.canvas.draw()
    page = figure.bbox.expanded(1.005, 1.005)
    faults = []
    undrawn = {id(text) for axis in figure.axes for text in _undrawn(axis)}
    for text in figure.findobj(lambda a: isinstance(a, Text) and a.get_visible() and a.get_text().strip()):
        if id(text) in undrawn:
            continue
        box = text.get_window_extent()
        if text.get_fontsize() < 6.0 - 1e-6:
            faults.append(f"{text.get_text()!r} has {text.get_fontsize():.1f} pt")
        if not (
            page.containsx(box.x0) and page.containsx(box.x1) and page.containsy(box.y0) and page.containsy(box.y1)
        ):
            faults.append(f"{text.get_text()!r} is cut off")
    for axis in figure.axes:
        for ticks in (axis.get_xticklabels(), axis.get_yticklabels()) if axis.axison else ():
            boxes = [t.get_window_extent() for t in ticks if id(t) not in undrawn and t.get_text()]
            if any(a.overlaps(b) for a, b in pairwise(boxes)):
                faults.append(f"names of ticks lie on each other in {axis.get_title() or axis.get_xlabel()!r}")
    return faults
