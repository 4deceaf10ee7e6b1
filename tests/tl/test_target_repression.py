"""Targets that are repressed are found, random ones are not."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import midgd
from midgd.settings import settings

pytest.importorskip("decoupler")
N, GENES, TARGETS = 60, 400, 40


@pytest.fixture
def cells() -> ad.AnnData:
    """miRNA 0 represses genes 0 to 39, miRNA 1 represses nothing."""
    rng = np.random.default_rng(0)
    mirna = rng.normal(6, 1, (N, 3)).astype("f4")
    mirna[:, 2] = 0.0
    mean = np.exp(rng.normal(2, 1, GENES)) * np.ones((N, 1))
    mean[:, :TARGETS] *= np.exp(-0.4 * (mirna[:, :1] - 6))
    obs = pd.DataFrame(index=[f"c{i}" for i in range(N)])
    names = ["hsa-miR-1-3p", "hsa-miR-2-3p", "hsa-miR-3-3p"]
    return ad.AnnData(
        rng.poisson(mean).astype("f4"),
        obs=obs,
        var=pd.DataFrame(index=[f"G{i}" for i in range(GENES)]),
        obsm={"mirna": pd.DataFrame(mirna, obs.index, names)},
    )


@pytest.fixture
def net() -> pd.DataFrame:
    others = np.random.default_rng(1).choice(np.arange(TARGETS, GENES), TARGETS, replace=False)
    pairs = [("hsa-miR-1-3p", f"G{i}") for i in range(TARGETS)] + [("miR-2-3p", f"G{i}") for i in others]
    return pd.DataFrame(pairs, columns=["source", "target"])


def test_repression_is_seen_beyond_random_genes(cells, net):
    found = midgd.tl.target_repression(cells, net, n_random=20)
    assert found.index.tolist() == ["hsa-miR-1-3p", "hsa-miR-2-3p"]  # the third is absent
    assert found.loc["hsa-miR-1-3p", "spearman"] > 0.7 and found.loc["hsa-miR-1-3p", "z"] > 3
    assert abs(found.loc["hsa-miR-2-3p", "z"]) < 3
    assert (found["n_targets"] == TARGETS).all()


def test_scores_are_t_values_of_a_regression_on_the_targets(cells, net):
    midgd.tl.target_repression(cells, net, n_random=0)
    scores = cells.obsm["mirna_repression"]
    logs = np.log1p(1e6 * cells.X / cells.X.sum(1, keepdims=True))
    y = (logs - logs.mean(0))[7]
    x = -np.isin(np.arange(GENES), np.arange(TARGETS)).astype(float)
    slope, intercept = np.polyfit(x, y, 1)
    residual = y - slope * x - intercept
    error = np.sqrt((residual**2).sum() / (GENES - 2) / ((x - x.mean()) ** 2).sum())
    assert scores.loc["c7", "hsa-miR-1-3p"] == pytest.approx(slope / error, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: n.assign(target="X" + n["target"]), "no gene of the data"),
        (lambda n: n.assign(source="mmu-miR-9"), "no miRNA of the data"),
        (lambda n: n.rename(columns={"source": "mirna"}), "columns source"),
        (lambda n: n.assign(weight=1.0), "negative for repression"),
        (lambda n: n.groupby("source").head(5), "min_targets=10"),
    ],
)
def test_bad_nets_leave_the_cells_alone(cells, net, change, message):
    with pytest.raises(ValueError, match=message):
        midgd.tl.target_repression(cells, change(net))
    assert "mirna_repression" not in cells.obsm


def test_omnipath(cells, net, monkeypatch, tmp_path, httpserver):
    """Its table has accessions and symbols side by side."""
    monkeypatch.setattr(settings, "data_dir", tmp_path)
    monkeypatch.setattr("midgd.tl._targets.OMNIPATH", httpserver.url_for("/interactions"))
    own = net.rename(columns={"source": "source_genesymbol", "target": "target_genesymbol"})
    text = own.assign(source="MIMAT0", target="P0").to_csv(sep="\t", index=False)
    httpserver.expect_request("/interactions").respond_with_data(text)
    assert midgd.tl.target_repression(cells, n_random=0).loc["hsa-miR-1-3p", "spearman"] > 0.7
    httpserver.clear()
    assert len(midgd.tl.target_repression(cells, n_random=0)) == 2  # kept on disk


def test_offline_is_one_clear_error(cells, monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "data_dir", tmp_path)
    monkeypatch.setattr("midgd.tl._targets.OMNIPATH", "http://127.0.0.1:9/interactions")
    with pytest.raises(ConnectionError, match="give net=, a DataFrame"):
        midgd.tl.target_repression(cells)
