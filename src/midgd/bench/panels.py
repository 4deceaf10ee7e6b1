"""Lists of genes as assays measure them: the landmark genes of L1000, and panels as large as those of spatial assays.

The gene lists of commercial panels are chosen anew for every tissue, and most are not free to ship. The panels of this
module are therefore of their size only: markers of the training cohorts, as such panels hold markers of cell types.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from midgd.metrics import log1p_cpm

#: Genes of a panel. Xenium: 377 (human multi-tissue, 10x Genomics); MERSCOPE: 500 (PanCancer, Vizgen); CosMx: 1,000
#: (human universal cell characterization, NanoString). Rounded.
PANELS = {"xenium": 380, "merscope": 500, "cosmx": 1_000}
# Added to the deviation of a gene in log1p CPM, so that a silent gene is no marker because of one molecule; by hand.
LEAST_DEVIATION = 0.5


def landmark_genes() -> pd.Index:
    """Symbols of the 978 landmark genes of L1000 (Subramanian et al. 2017, Cell 171:1437).

    Returns
    -------
    Current symbols, sorted.
    """
    text = (resources.files(__package__) / "l1000.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return pd.Index(" ".join(lines).split())


def marker_genes(x: NDArray[Any], groups: NDArray[Any], n: int) -> NDArray[np.bool_]:
    """Genes that mark groups of samples, the same number for each group.

    A gene marks a group by the difference of its mean log1p CPM there and elsewhere, over its deviation within groups.

    Parameters
    ----------
    x
        ``(n_samples, n_genes)`` training counts.
    groups
        ``(n_samples,)`` name of each sample's group, two different ones at least.
    n
        Number of genes; all if there are not so many.

    Returns
    -------
    ``(n_genes,)`` True for ``n`` genes. Groups take turns, each with its best gene that is not taken.

    Raises
    ------
    ValueError
        If there is one group only.
    """
    names, group = np.unique(groups.astype(str), return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"marker_genes: all samples are of the group '{names[0]}'; markers need another one.")
    profile = log1p_cpm(x)
    member = np.eye(len(names))[group]
    size = member.sum(axis=0)[:, None]
    total = member.T @ profile
    inside, outside = total / size, (total.sum(axis=0) - total) / (len(x) - size)
    deviation = np.sqrt(np.mean((profile - inside[group]) ** 2, axis=0)) + LEAST_DEVIATION
    ranked = np.argsort(-(inside - outside) / deviation, axis=1, kind="stable")
    # By turns: the best gene of every group, then the second best. A gene counts where it stands first.
    order = pd.unique(ranked.T.ravel())
    chosen = np.zeros(x.shape[1], dtype=bool)
    chosen[order[:n]] = True
    return chosen
