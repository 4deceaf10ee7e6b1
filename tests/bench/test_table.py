from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import midgd.bench
from midgd.bench import PairedData
from midgd.bench.report import COLUMNS
from midgd.metrics import per_feature_correlation


class Known:
    """Knows the truth up to noise, and how large the noise is."""

    name, uses_extra = "known", True

    def __init__(self, data: PairedData, sd: float = 0.2) -> None:
        self.data, self.sd, self.fits, self.extra = data, sd, 0, {}

    def fit(self, train: PairedData, *, seed: int = 0, extra: dict[str, PairedData]) -> None:
        self.fits, self.extra = self.fits + 1, extra

    def predict(self, x: np.ndarray, genes_present: np.ndarray, *, cohorts: Any = None) -> np.ndarray:
        rows = [np.flatnonzero((self.data.x == row).all(1))[0] for row in x]
        truth = self.data.log_cpm[rows]
        return truth + self.sd * np.random.default_rng(0).normal(size=truth.shape)

    def predict_interval(self, x: np.ndarray, genes_present: np.ndarray, level: float) -> tuple[Any, Any]:
        half = self.sd * {0.5: 0.6745, 0.9: 1.645}[level]
        middle = self.predict(x, genes_present)
        return middle - half, middle + half


def value(table: pd.DataFrame, method: str, scenario: str, metric: str, column: str = "value") -> float:
    (row,) = table[(table["arm"] == method) & (table["setting"] == scenario) & (table["metric"] == metric)][column]
    return float(row)


def test_end_to_end_with_files(dev_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "table"
    names = ["bulk", "depth/1000", "missing/random-50%", "mixture/1000", "loco-full", "quantification", "tpm", "mature"]
    table = midgd.bench.run(["mean", "ridge", "ridge-matched"], names, data_dir=dev_data, n_boot=10, output=out)
    assert tuple(table.columns) == COLUMNS
    assert not table.duplicated(["arm", "setting", "metric"]).any()
    assert table["value"].notna().all()
    assert (table["low"].dropna() <= table["high"].dropna()).all()
    assert {"loco-full/AAA", "loco-full/BBB", "loco-full/all", "tpm/common"} <= set(table["setting"])
    assert value(table, "ridge", "bulk", "spearman") > 0.5
    assert value(table, "mean", "bulk", "spearman") == 0
    assert value(table, "ridge", "bulk", "spearman", "n") == 24
    assert "fold_difference" in set(table[table["setting"] == "loco-full/all"]["metric"])
    assert not any(m.startswith("downstream/") for m in table[table["setting"] == "loco-full/all"]["metric"])
    assert "downstream/ordering" in set(table[table["setting"] == "mixture/1000"]["metric"])
    pd.testing.assert_frame_equal(pd.read_csv(out.with_suffix(".csv")), table, check_dtype=False)
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in out.parent.iterdir()) == ["table.csv", "table.png"]


def test_own_method_gain_and_calibration(dev_data: Path) -> None:
    method = Known(midgd.bench.load("full", dev_data))
    table = midgd.bench.run(["mean", "ridge", method], ["bulk"], data_dir=dev_data, n_boot=30, downstream=False)
    (scenario,) = midgd.bench.make_scenarios(["bulk"], data_dir=dev_data)
    scored = midgd.bench.scored_mirnas(scenario.train)
    predicted = method.predict(scenario.test.x, scenario.genes_present)
    expected = per_feature_correlation(scenario.test.log_cpm[:, scored], predicted[:, scored]).mean()
    assert value(table, "known", "bulk", "spearman") == pytest.approx(expected)
    for metric in ("spearman", "rmse"):
        gain = abs(value(table, "known", "bulk", metric) - value(table, "ridge", "bulk", metric))
        assert value(table, "known", "bulk", metric, "gain") == pytest.approx(gain)
        assert value(table, "known", "bulk", metric, "gain_low") > 0
    assert value(table, "ridge", "bulk", "spearman", "gain") == 0
    assert value(table, "known", "bulk", "coverage_90") == pytest.approx(0.9, abs=0.05)
    assert value(table, "known", "bulk", "coverage_50") == pytest.approx(0.5, abs=0.06)
    assert set(method.extra) == {"full", "common", "rsem", "mature", "mature-common", "mirna-only", "mature-only"}


def test_methods_train_once_per_training_set(dev_data: Path) -> None:
    method = Known(midgd.bench.load("full", dev_data))
    method.predict = lambda x, present, cohorts=None: np.ones((len(x), 24))  # type: ignore[method-assign]
    method.predict_interval = lambda x, present, level: (np.zeros((len(x), 24)),) * 2  # type: ignore[method-assign]
    midgd.bench.run([method], ["bulk", "depth", "loco-full"], data_dir=dev_data, n_boot=0, downstream=False)
    assert method.fits == 1 + 2


def test_own_settings_are_run(dev_data: Path) -> None:
    (scenario,) = midgd.bench.make_scenarios(["depth/500"], data_dir=dev_data)
    table = midgd.bench.run(["mean"], [scenario], n_boot=0)
    assert set(table["setting"]) == {"depth/500"}
    assert table["low"].isna().all()


def test_bad_predictions_are_named(dev_data: Path) -> None:
    method = Known(midgd.bench.load("full", dev_data), sd=np.nan)
    with pytest.raises(ValueError, match="method 'known' on 'bulk'"):
        midgd.bench.run([method], ["bulk"], data_dir=dev_data)


def test_without_data(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="MIDGD_DEV_DATA"):
        midgd.bench.run(["mean"], ["bulk"], data_dir=tmp_path / "nowhere")
