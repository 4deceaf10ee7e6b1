from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from midgd.bench.data import PairedData, each_once, load, load_splits, scored_mirnas, split


def test_missing_folder_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDGD_DEV_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="MIDGD_DEV_DATA"):
        load("full")
    with pytest.raises(FileNotFoundError, match="MIDGD_DEV_DATA"):
        load("full", tmp_path)  # there, but empty
    with pytest.raises(FileNotFoundError, match="MIDGD_DEV_DATA"):
        load_splits(tmp_path)


def test_variable_is_used(dev_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDGD_DEV_DATA", str(dev_data))
    assert load("full").x.shape == (96, 60)


def test_mature_rows_are_matched_by_name(dev_data: Path) -> None:
    full, mature = load("full", dev_data), load("mature", dev_data)
    assert 0 < len(mature) < len(full)
    rows = full.obs.index.get_indexer(mature.obs.index)
    np.testing.assert_array_equal(mature.x, full.x[rows])
    np.testing.assert_array_equal(mature.y, full.y[rows])  # the test data says so


def test_mirna_alone_has_no_genes_but_patients(dev_data: Path) -> None:
    alone = load("mature-only", dev_data)
    assert alone.x.shape == (96, 0)
    assert alone.obs["patient"].str.fullmatch(r"TCGA-\w\w-\d{4}").all()


def test_tables_cannot_be_changed_by_one_method_for_the_next(dev_data: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        load("full", dev_data).x[0, 0] = 1


def test_splits_share_no_patient(dev_data: Path) -> None:
    data, splits = load("full", dev_data), load_splits(dev_data)
    parts = [set(split(data, splits, name).obs["patient"]) for name in ("train", "val", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 48
    with pytest.raises(KeyError, match="no split 'dev'"):
        split(data, splits, "dev")


def test_subset_and_select_keep_rows_and_names_together(dev_data: Path) -> None:
    data = load("full", dev_data)
    part = data.subset(np.arange(len(data)) % 2 == 1).select(data.genes[[3, 1]], data.mirnas[[5]])
    np.testing.assert_array_equal(part.x, data.x[1::2][:, [3, 1]])
    np.testing.assert_array_equal(part.y, data.y[1::2][:, [5]])
    assert list(part.obs.index) == list(data.obs.index[1::2])
    with pytest.raises(KeyError, match="1 of 1 genes are not in the table"):
        data.select(pd.Index(["nope"]))


def test_shapes_must_fit_names(dev_data: Path) -> None:
    data = load("full", dev_data)
    with pytest.raises(ValueError, match="x has shape"):
        PairedData(data.x[:, :5], data.y, data.genes, data.mirnas, data.obs)


def test_evaluated_counts_reads_per_million() -> None:
    y = np.full((20, 3), 1_000_000)
    y[:, 1] = 0
    y[:2, 1] = 100  # present in exactly 10 %: not more
    y[:, 2] = np.where(np.arange(20) < 3, 10, 1)
    data = PairedData(np.zeros((20, 0)), y, pd.Index([]), pd.Index(["a", "b", "c"]), pd.DataFrame(index=range(20)))
    assert scored_mirnas(data).tolist() == [True, False, True]


def test_unknown_table(dev_data: Path) -> None:
    with pytest.raises(KeyError, match="unknown table 'x'"):
        load("x", dev_data)


def test_every_sample_comes_from_its_first_table(dev_data: Path) -> None:
    full = load("full", dev_data)
    first, second = each_once([full.subset(np.arange(60)), full])
    assert len(first) == 60 and second.obs.index.equals(full.obs.index[60:])
