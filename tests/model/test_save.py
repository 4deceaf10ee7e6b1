"""Saving: no data, no latents, no pickle; loading on other rows or without data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from midgd.model import MIDGD


@pytest.fixture
def saved(model: MIDGD, tmp_path: Path) -> Path:
    model.save(tmp_path / "model")
    return tmp_path / "model"


def test_files_hold_neither_rows_nor_code(model: MIDGD, saved: Path) -> None:
    assert sorted(p.name for p in saved.iterdir()) == ["card.json", "weights.safetensors"]
    n_train, n_all = len(model.train_indices_), model.adata.n_obs
    shapes = {name: value.shape for name, value in load_file(saved / "weights.safetensors").items()}
    assert not [name for name, shape in shapes.items() if n_train in shape or n_all in shape]
    assert "S000" not in (saved / "card.json").read_text(encoding="utf-8")
    json.loads((saved / "card.json").read_text(encoding="utf-8"))


def test_without_data(model: MIDGD, saved: Path, toy_query: Any, capsys: Any) -> None:
    loaded = MIDGD.load(saved)
    assert loaded.is_trained_ and loaded.adata is None
    for name, frame in model.history_.items():
        pd.testing.assert_frame_equal(loaded.history_[name], frame)
    for one, other in zip(
        loaded.infer_mirna(toy_query, uncertainty=True), model.infer_mirna(toy_query, uncertainty=True), strict=True
    ):
        pd.testing.assert_frame_equal(one, other)
    pd.testing.assert_frame_equal(loaded.sample_prior(3).mrna, model.sample_prior(3).mrna)
    for method in (loaded.infer_mirna, loaded.get_latent_representation, loaded.train):
        with pytest.raises(ValueError, match="loaded without data"):
            method()
    repr(loaded)
    assert "Trained" in (shown := capsys.readouterr().out) and "n_latent: 6" in shown
    MIDGD.view_setup_args(saved)
    assert "labels_key" in capsys.readouterr().out


def test_on_other_row_numbers(model: MIDGD, saved: Path, make_mudata: Any) -> None:
    everything = model.infer_mirna()
    for rows in (range(7), [*range(120), *range(50)]):
        data = make_mudata()[list(dict.fromkeys(rows))].copy()
        loaded = MIDGD.load(saved, data)
        pd.testing.assert_frame_equal(loaded.infer_mirna(), everything.loc[data.obs_names], rtol=1e-4, atol=1e-4)
        assert loaded.adata is data


def test_loaded_model_can_be_trained_again(saved: Path, make_mudata: Any) -> None:
    loaded = MIDGD.load(saved, make_mudata())
    loaded.train(1, "cpu")
    assert len(loaded.history_["objective_train"]) == 1


def test_data_can_be_attached_later(model: MIDGD, saved: Path, mdata: Any) -> None:
    loaded = MIDGD.load(saved)
    loaded.adata = mdata
    np.testing.assert_allclose(loaded.get_latent_representation(), model.get_latent_representation(), atol=1e-5)


def test_masks_of_sources_are_kept(make_model: Any, mdata: Any, toy_pairs: Any, tmp_path: Path) -> None:
    mdata["rna"].X[np.ix_(toy_pairs.obs["cohort"] == "AAA", range(200, 450))] = 0
    model = make_model(mdata, source_key="cohort")
    model.train(2, "cpu")
    model.save(tmp_path / "m")
    pd.testing.assert_frame_equal(MIDGD.load(tmp_path / "m").infer_mirna(mdata), model.infer_mirna())


def test_overwriting(model: MIDGD, saved: Path) -> None:
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(saved)
    model.save(saved, overwrite=True)
    MIDGD.load(saved)


def test_wrong_folders(model: MIDGD, make_model: Any, mdata: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        MIDGD.load(tmp_path / "nothing")
    with pytest.raises(ValueError, match="not a saved MIDGD"):
        MIDGD.load(model.to_reference(tmp_path / "reference"))
    with pytest.raises(RuntimeError, match="not trained"):
        make_model(mdata).save(tmp_path / "untrained")
    assert not (tmp_path / "untrained").exists()


def test_reference_is_named_and_may_be_small(model: MIDGD, tmp_path: Path) -> None:
    import midgd

    path = model.to_reference(tmp_path / "folder", name="liver")
    assert midgd.reference.load(path).name == "liver"
    assert midgd.reference.load(model.to_reference(tmp_path / "liver2")).name == "liver2"
    assert model.reference.name == "MIDGD", "the model itself is unchanged"


@pytest.mark.parametrize(
    "setup", [("train", {}), ("setup_mudata", {"surprise": 1}), ("save", {"dir_path": "elsewhere"})]
)
def test_the_card_does_not_choose_what_is_called(saved: Path, mdata: Any, setup: tuple[str, dict[str, Any]]) -> None:
    from midgd.model._midgd import _set_up

    with pytest.raises(ValueError, match="unknown way to set data up"):
        _set_up(MIDGD, mdata, *setup)
