"""The comparison with sorted cells: right where all differences are right, whatever the scale of a miRNA."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from midgd.demo_sorted import SORTED, TYPES, against_sorted, plot_against_sorted


def cells(values: pd.DataFrame) -> tuple[AnnData, pd.Series]:
    """Three cells of each type with these log2 CPM."""
    labels = pd.Series([f"{TYPES[name]} something" for name in values.index for _ in range(3)])
    return AnnData(
        np.repeat(values.to_numpy() * np.log(2.0), 3, axis=0), var=pd.DataFrame(index=SORTED.columns)
    ), labels


def test_an_offset_of_a_mirna_is_no_error():
    table = against_sorted(*cells(SORTED + np.arange(SORTED.shape[1])))
    np.testing.assert_allclose(table["error"], 0.0, atol=1e-4)


def test_a_wrong_type_is_found():
    wrong = SORTED.copy()
    wrong.loc["B", "hsa-miR-21-5p"] += 5.0
    table = against_sorted(*cells(wrong))
    assert table["error"].idxmax() == ("B", "hsa-miR-21-5p")
    np.testing.assert_allclose(table["error"].max(), 4.0, atol=1e-4)


def test_the_figure_is_written(tmp_path):
    plot_against_sorted(against_sorted(*cells(SORTED))).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
