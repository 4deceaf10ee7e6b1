"""Kinds, names and scores of the scenario of real cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from midgd.bench.cells import load_kinds
from midgd.bench.cells.mirnas import mean_of_studies, members
from midgd.bench.cells.profiles import SINGLE_CELL, TABLES, cell_types_by_protein
from midgd.bench.cells.scoring import OTHERS, STROMAL, CellScoring
from midgd.bench.scoring import Answered


def test_kinds_name_tables_that_there_are():
    kinds = load_kinds()
    assert len(kinds) > 80 and {kind.group for kind in kinds.values()} == {"cell", "line", "tissue"}
    named = {source.partition(":")[0] for kind in kinds.values() for source in kind.mrna}
    assert named <= {*TABLES, "erythroid"} and set(SINGLE_CELL) <= set(TABLES)
    assert all(0 < kind.weight <= 1 and kind.mirna for kind in kinds.values())
    assert kinds["monocyte"].sources(("citeseq",)) == tuple(s for s in kinds["monocyte"].mrna if "citeseq" not in s)


@pytest.mark.parametrize(
    ("merged", "expected"),
    [
        ("hsa-miR-21-5p", ["hsa-miR-21-5p"]),
        ("hsa-let-7a-5p/7c-5p", ["hsa-let-7a-5p", "hsa-let-7c-5p"]),
        ("hsa-miR-107/103a-3p/103b", ["hsa-miR-107", "hsa-miR-103a-3p", "hsa-miR-103b"]),
    ],
)
def test_merged_names_are_all_of_their_members(merged, expected):
    assert members(merged) == expected


def test_studies_count_by_the_root_of_their_samples():
    studies = {1: (4, np.float32([1.0, 2.0])), 2: (1, np.float32([4.0, np.nan]))}
    np.testing.assert_allclose(mean_of_studies(studies), [2.0, np.nan])


def test_cell_types_follow_their_proteins():
    names = ["CD3", "CD4", "CD8a", "CD14", "CD16", "CD56", "CD19"]
    rows = [
        *([900, 800, 10, 5, 5, 5, 5], [900, 10, 800, 5, 5, 5, 5], [20, 5, 5, 900, 5, 5, 5]),
        *([20, 5, 5, 5, 5, 5, 400], [20, 5, 5, 5, 400, 400, 5], [900, 300, 300, 5, 5, 5, 5]),
    ]
    data = AnnData(np.zeros((6, 1)), obsm={"protein_expression": np.array(rows, float)})
    data.uns["protein_names"] = np.array([f"{name}_TotalSeqB" for name in names])
    assert cell_types_by_protein(data) == ["CD4 T cell", "CD8 T cell", "monocyte", "B cell", "NK cell", "unknown"]


@pytest.fixture
def sorted_cells() -> tuple[np.ndarray, pd.Index, pd.DataFrame]:
    """Three kinds of two cells each, of one study, with what was measured of each."""
    rng = np.random.default_rng(0)
    names = pd.Index([*STROMAL, *OTHERS, *(f"hsa-mir-{i}" for i in range(1000, 1040))])
    kinds = rng.uniform(5, 12, (3, len(names)))
    kinds[:, : len(STROMAL) + len(OTHERS)] = 1.0
    obs = pd.DataFrame({"cohort": np.repeat(["B cell", "CD4 T cell", "monocyte"], 2), "query": "study"})
    return np.repeat(kinds, 2, axis=0), names, obs


def test_the_truth_is_perfect(sorted_cells):
    truth, names, obs = sorted_cells
    outcome = CellScoring()(Answered(truth, truth + 0.0, obs, 0.0, 0.0), names, 20, 0)
    np.testing.assert_allclose(outcome.value, [1.0, 1.0, 0.0, 0.0], atol=1e-9)
    assert outcome.draws.shape == (20, 4)


def test_leak_is_in_log2_units_and_of_lymphocytes_alone(sorted_cells):
    truth, names, obs = sorted_cells
    leaking = truth.copy()
    leaking[:, : len(STROMAL)] += np.where(obs["cohort"] == "monocyte", 9.0, 2.0 * np.log(2.0))[:, None]
    outcome = CellScoring()(Answered(truth, leaking, obs, 0.0, 0.0), names, 0, 0)
    assert outcome.value["leak"] == pytest.approx(2.0) and outcome.value["leak_others"] == 0.0


def test_only_pairs_with_a_compared_kind_are_scored(sorted_cells):
    truth, names, obs = sorted_cells
    wrong = truth.copy()
    monocyte = (obs["cohort"] == "monocyte").to_numpy()
    wrong[monocyte] = wrong[monocyte][:, ::-1]
    value = {
        kind: CellScoring((kind,))(Answered(truth, wrong, obs, 0.0, 0.0), names, 0, 0).value["fold_difference"]
        for kind in ("monocyte", "B cell")
    }
    assert value["monocyte"] < value["B cell"] < 1.0
