"""The demonstration's check: inferred miRNA of blood cells against sorted ones.

Median log2 CPM of 26 to 39 donors per type (Juzenas et al. 2017, Nucleic Acids Research 45:9290, as counted by the
microRNAome, McCall et al. 2017, Genome Research 27:1769). The two scales differ by a constant for each miRNA, which the
platforms see better or worse, so what can be compared is a miRNA between types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from midgd.pl.figure import BLUE, VERMILION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TYPES = {"CD4+ T": "CD4+", "CD8+ T": "CD8+", "B": "CD19+", "NK": "CD56+", "monocyte": "CD14+"}
SORTED = pd.DataFrame(
    {
        "hsa-miR-223-3p": (7.3, 7.3, 10.1, 8.9, 14.0),
        "hsa-miR-150-5p": (16.6, 16.7, 15.9, 15.0, 8.2),
        "hsa-miR-155-5p": (11.3, 11.4, 12.2, 10.0, 9.8),
        "hsa-miR-146a-5p": (13.0, 13.3, 12.1, 11.8, 10.2),
        "hsa-miR-29a-3p": (14.1, 13.9, 14.0, 12.3, 9.7),
        "hsa-miR-342-3p": (13.1, 13.5, 11.5, 12.7, 9.6),
        "hsa-miR-21-5p": (15.5, 14.5, 13.8, 13.6, 17.0),
        "hsa-miR-181a-5p": (15.7, 16.3, 16.2, 18.3, 16.0),
        "hsa-miR-143-3p": (3.8, 3.9, 3.3, 4.7, 9.7),
    },
    index=list(TYPES),
)


def against_sorted(mirna: AnnData, labels: pd.Series) -> pd.DataFrame:
    """Inferred and sorted log2 CPM of every type and miRNA, and by how much the inferred difference is off.

    ``error`` is inferred less sorted, each less its mean over the types: 0 where all differences are right.
    """
    chosen = {name: labels.astype(str).str.startswith(start).to_numpy() for name, start in TYPES.items()}
    values = mirna[:, list(SORTED)].to_df() / np.log(2.0)
    inferred = pd.DataFrame({name: values[rows].median() for name, rows in chosen.items()}).T
    table = pd.DataFrame({"inferred": inferred.stack(), "sorted": SORTED.stack()})
    table.index.names = ["type", "miRNA"]
    centred = table - table.groupby("miRNA").transform("mean")
    return table.assign(error=centred["inferred"] - centred["sorted"])


def plot_against_sorted(table: pd.DataFrame) -> Figure:
    """A figure with one panel a miRNA: sorted and inferred values by type, each less its mean."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(3, 3, figsize=(9, 7), sharex=True, layout="constrained")
    for axis, name in zip(axes.flat, SORTED, strict=True):
        part = table.xs(name, level="miRNA").loc[list(TYPES)]
        for column, colour, marker in (("sorted", BLUE, "o"), ("inferred", VERMILION, "s")):
            values = part[column] - part[column].mean()
            axis.plot(values.to_numpy(), color=colour, marker=marker, label=column, linewidth=1.2)
        axis.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        axis.set_title(name, fontsize=10)
        axis.set_xticks(range(len(TYPES)), list(TYPES), rotation=30)
    axes[1, 0].set_ylabel("log2 CPM, less the mean of the five types")
    axes[0, 0].legend(frameon=False, fontsize=9)
    return figure
