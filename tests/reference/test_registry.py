"""References by name, by path, by themselves."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from midgd.reference import available, load
from midgd.settings import logger, settings


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "data_dir", tmp_path / "cache")
    return settings.data_dir


def test_a_loaded_reference_is_returned_as_it_is(toy_reference):
    assert load(toy_reference) is toy_reference


def test_by_path_and_text(toy_reference_path, toy_reference):
    for path in (toy_reference_path, str(toy_reference_path)):
        assert load(path).sha256 == toy_reference.sha256


def test_by_name_from_the_data_folder(data_dir, toy_reference_path, toy_reference, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(toy_reference_path, data_dir / "references" / "mine")
    assert load("mine").sha256 == toy_reference.sha256
    row = available().loc["mine"]
    assert (row["n_genes"], row["n_stem_loops"], row["n_mature"], row["n_samples"]) == (600, 40, 70, 96)
    assert toy_reference.sha256.startswith(row["sha256"]) and row["path"] == str(data_dir / "references" / "mine")


def test_an_unknown_name_lists_what_there_is(data_dir, toy_reference_path):
    shutil.copytree(toy_reference_path, data_dir / "references" / "mine")
    with pytest.raises(FileNotFoundError, match=r"'liver'.*'default', 'mine'"):
        load("liver")
    with pytest.raises(FileNotFoundError, match="default"):
        load(data_dir / "elsewhere" / "mine")


def test_a_folder_that_is_no_reference(tmp_path):
    with pytest.raises(FileNotFoundError, match="not a midgd reference"):
        load(tmp_path)


def test_the_bundled_reference_is_read_once(data_dir):
    reference = load()
    assert reference is load("default") and list(available().index) == ["default"]
    assert reference.levels == ("mature", "stem-loop")
    assert {reference.readout is None, reference.arms is None, reference.calibration is None} == {False}


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_folder_does_not_hide_the_others(data_dir, toy_reference_path, content):
    shutil.copytree(toy_reference_path, data_dir / "references" / "mine")
    shutil.copytree(toy_reference_path, data_dir / "references" / "broken")
    (data_dir / "references" / "broken" / "card.json").write_text(content)
    assert set(available().index) >= {"default", "mine"}
    with pytest.raises(FileNotFoundError, match="liver"):
        load("liver")


def test_names_of_both_levels(toy_reference, toy_pairs):
    assert toy_reference.levels == ("mature", "stem-loop")
    assert toy_reference.mirna_table("stem-loop")["name"] == toy_pairs.stem_loops
    assert toy_reference.mirna_table("mature")["name"] == toy_pairs.matures
    assert toy_reference.mirnas("mature").match(["hsa-miR-21"])[0] == toy_pairs.matures.index("hsa-miR-21-5p")
    assert toy_reference.genes.match(["HER2", toy_pairs.ensembl[3], "nothing"]).tolist() == [
        toy_pairs.genes.index("ERBB2"),
        3,
        -1,
    ]
    with pytest.raises(ValueError, match=r"gene.*mature.*stem-loop"):
        toy_reference.mirna_table("gene")


def test_it_says_what_it_is(toy_reference):
    assert repr(toy_reference) == "Reference('toy', 600 genes, 40 miRNAs, levels mature, stem-loop)"


@pytest.mark.parametrize("level", ["mature", "stem-loop"])
def test_the_bundled_reference_knows_how_well_it_predicts_each_mirna(data_dir, level):
    reference = load()
    accuracy = reference.accuracy(level)
    assert set(accuracy) == {"bulk", "umi_1000", "cells_left_out"}
    for values in accuracy.values():
        assert len(values) == len(reference.mirna_table(level)["name"]) and np.isnan(values).any()
    assert all(0.5 < np.nanmean(accuracy[name]) < 0.8 for name in ("bulk", "umi_1000"))
    assert 0.2 < np.nanmean(accuracy["cells_left_out"]) < 0.6
    assert reference.accuracy("no such level") == {}


def test_a_folder_here_does_not_stand_for_a_name(
    data_dir, toy_reference_path, toy_reference, tmp_path, monkeypatch, caplog
):
    """A name is the bundled reference, then one in the data folder; a folder in the working directory is the last."""
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.chdir(tmp_path)
    other = replace(toy_reference, card=toy_reference.card | {"name": "other"}).save(tmp_path / "mine")
    assert load("mine").name == "other"
    shutil.copytree(other, tmp_path / "default")
    assert load("default") is load() and load("./default").name == load(Path("default")).name == "other"
    shutil.copytree(toy_reference_path, data_dir / "references" / "mine")
    assert load("mine").name == "toy" and "'./mine'" in caplog.text
    assert load("./mine").name == "other"


def test_nobody_takes_the_name_of_a_bundled_reference(data_dir, toy_reference_path, caplog, monkeypatch):
    monkeypatch.setattr(logger, "propagate", True)
    shutil.copytree(toy_reference_path, data_dir / "references" / "default")
    assert str(data_dir) not in available().loc["default", "path"] and "rename the folder" in caplog.text


def test_the_list_does_not_trust_cards(data_dir, toy_reference_path, caplog, monkeypatch):
    """A card that was changed, or is as large as a disk, is not listed."""
    monkeypatch.setattr(logger, "propagate", True)
    for name in ("changed", "large", "hidden"):
        shutil.copytree(toy_reference_path, data_dir / "references" / ("." * (name == "hidden") + name))
    card = data_dir / "references" / "changed" / "card.json"
    card.write_text(card.read_text().replace("hsa-miR-21-5p", "hsa-miR-9999-5p"))
    with (data_dir / "references" / "large" / "card.json").open("r+b") as file:
        file.truncate(1 << 40)
    assert list(available().index) == ["default"]
    assert "it was changed" in caplog.text and "more than" in caplog.text
