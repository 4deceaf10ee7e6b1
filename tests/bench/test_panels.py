from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from midgd.bench import PairedData
from midgd.bench.panels import LEAST_DEVIATION, PANELS, landmark_genes, marker_genes
from midgd.bench.scenarios import PANEL_COUNTS, panels
from midgd.bench.study import Study


def test_landmark_genes_are_all_there_under_current_names() -> None:
    genes = landmark_genes()
    assert len(genes) == genes.nunique() == 978 and genes.is_monotonic_increasing
    assert {"GAPDH", "TP53", "ZW10", "HLA-DRA", "AARS1", "SQOR"} <= set(genes)
    assert not {"AARS", "SQRDL", "HIST1H2BK"} & set(genes)


def by_hand(x: np.ndarray, groups: list[str], n: int) -> set[int]:
    """One gene after the other, with loops."""
    profile = np.log1p(1e6 * x / x.sum(1, keepdims=True))
    names, score = sorted(set(groups)), {}
    inside = {g: [i for i, name in enumerate(groups) if name == g] for g in names}
    for gene in range(x.shape[1]):
        left = [profile[i, gene] - np.mean([profile[j, gene] for j in inside[g]]) for g in names for i in inside[g]]
        deviation = np.mean(np.square(left)) ** 0.5 + LEAST_DEVIATION
        for g in names:
            others = [i for i in range(len(x)) if i not in inside[g]]
            score[g, gene] = (profile[inside[g], gene].mean() - profile[others, gene].mean()) / deviation
    taken: list[int] = []
    for turn in range(x.shape[1]):
        for g in names:
            gene = sorted(range(x.shape[1]), key=lambda k: -score[g, k])[turn]
            if gene not in taken:
                taken.append(gene)
    return set(taken[:n])


def test_markers_are_those_of_a_slow_search() -> None:
    rng = np.random.default_rng(0)
    groups = [str(name) for name in rng.permutation(np.repeat(["a", "b", "c"], [7, 4, 9]))]
    x = rng.poisson(20, (20, 30))
    x[np.array(groups) == "b", 3] += 200
    for n in (1, 5, 12):
        assert set(np.flatnonzero(marker_genes(x, np.array(groups), n))) == by_hand(x, groups, n)
    assert marker_genes(x, np.array(groups), 4)[3]
    assert marker_genes(x, np.array(groups), 99).all()


def test_markers_need_two_groups() -> None:
    with pytest.raises(ValueError, match="all samples are of the group 'a'"):
        marker_genes(np.ones((3, 4)), np.array(["a"] * 3), 2)


def table(genes: list[str], seed: int) -> PairedData:
    rng = np.random.default_rng(seed)
    obs = pd.DataFrame({"cohort": ["A", "B"] * 4, "patient": [f"P{seed}{i}" for i in range(8)]})
    return PairedData(
        rng.poisson(30, (8, len(genes))), rng.poisson(5, (8, 3)), pd.Index(genes), pd.Index(["m1", "m2", "m3"]), obs
    )


def test_the_scenarios_leave_the_genes_of_a_panel() -> None:
    landmarks = landmark_genes()
    genes = [*[f"G{i}" for i in range(700)], *landmarks[20:], *[f"H{i}" for i in range(100)]]
    study = Study(_held_out={"full": (table(genes, 1), table(genes, 2))})
    found = {scenario.name: scenario for scenario in panels(study)}
    assert list(found) == [f"panels/{name}{end}" for name in ("l1000", *PANELS) for end in ("", f"-{PANEL_COUNTS}")]
    for name, size in (PANELS | {"l1000": 958}).items():
        deep, shallow = found[f"panels/{name}"], found[f"panels/{name}-{PANEL_COUNTS}"]
        assert deep.genes_present.sum() == size and deep.depth is None and shallow.depth == PANEL_COUNTS
        assert not deep.test.x[:, ~deep.genes_present].any()
        np.testing.assert_array_equal(deep.test.x[:, deep.genes_present], table(genes, 2).x[:, deep.genes_present])
        assert shallow.test.x.sum(1).mean() == pytest.approx(PANEL_COUNTS, rel=0.1)
        assert (shallow.test.x <= deep.test.x).all()
    assert set(deep.train.genes[found["panels/l1000"].genes_present]) == set(landmarks[20:])


def test_a_table_without_the_landmark_genes_is_not_asked_with_them(caplog: pytest.LogCaptureFixture) -> None:
    genes = [*landmark_genes()[:800], *[f"G{i}" for i in range(300)]]
    study = Study(_held_out={"full": (table(genes, 1), table(genes, 2))})
    assert not [s.name for s in panels(study) if "l1000" in s.name]
    assert "panels/l1000 is left out" in caplog.text


def test_a_single_cohort_has_no_markers(caplog: pytest.LogCaptureFixture) -> None:
    tables = [table([*landmark_genes(), "G1"], seed) for seed in (1, 2)]
    for own in tables:
        own.obs["cohort"] = "A"
    names = [scenario.name for scenario in panels(Study(_held_out={"full": (tables[0], tables[1])}))]
    assert names == ["panels/l1000", f"panels/l1000-{PANEL_COUNTS}"]
    assert "panels of marker genes are left out" in caplog.text
