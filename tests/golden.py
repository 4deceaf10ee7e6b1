"""Answers of the bundled reference that must not change unseen; ``python tests/golden.py`` writes them anew.

Run it after the bundled reference was trained again, or after a change of inference that was meant to change answers,
and say so in the changelog.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

TABLE = Path(__file__).with_name("golden.tsv")
MIRNAS = (
    *("hsa-miR-223-3p", "hsa-miR-150-5p", "hsa-miR-155-5p", "hsa-miR-142-3p", "hsa-miR-181a-5p", "hsa-miR-21-5p"),
    *("hsa-miR-143-3p", "hsa-miR-122-5p", "hsa-miR-146a-5p", "hsa-miR-16-5p", "hsa-miR-126-3p", "hsa-miR-125b-5p"),
    *("hsa-miR-200c-3p", "hsa-miR-10b-5p", "hsa-miR-29a-3p", "hsa-miR-221-3p", "hsa-miR-486-5p", "hsa-let-7a-5p"),
)
EVERY = 120  # of the 700 demo cells, from each 120th: six cells of several kinds, and the sum of all as a tissue


def answers() -> pd.DataFrame:
    """Log CPM of some miRNAs, their standard deviations and the out-of-domain score of some rows of the demo."""
    import midgd

    cells = midgd.datasets.pbmc68k_counts()
    few = cells[::EVERY].copy()
    total = few[:1].copy()
    total.X = cells.X.sum(0, keepdims=True) if isinstance(cells.X, np.ndarray) else np.asarray(cells.X.sum(0))
    total.obs_names = ["sum of all"]
    tables = []
    for rows, kind in ((few, "cell"), (total, "tissue")):
        midgd.tl.infer_mirna(rows, uncertainty=True, sample_kind=kind, device="cpu")
        names = [name for name in MIRNAS if name in rows.obsm["mirna"]]
        values, errors = rows.obsm["mirna"][names], rows.obsm["mirna_sd"][names].add_prefix("sd of ")
        tables.append(pd.concat([values, errors, rows.obs[["mirna_ood"]]], axis=1))
    return pd.concat(tables).T.rename_axis(midgd.reference.load().sha256)


def read() -> pd.DataFrame:
    """The answers that were written; the name of the index is the sha256 of the reference."""
    return pd.read_csv(TABLE, sep="\t", index_col=0)


if __name__ == "__main__":
    answers().to_csv(TABLE, sep="\t", float_format="%.6f")
    print(TABLE)
