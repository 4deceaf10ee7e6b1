"""The table of parts: tiny models on the invented folder, and what is written of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from midgd.bench import ablation, write_ablation
from midgd.bench.study import Study
from midgd.bench.variants import BEGIN, END, GRID, Variant, _scenarios
from midgd.cli import main
from midgd.train import Parts
from midgd.train.parts import CHOICES


@pytest.fixture(scope="module")
def table(dev_data: Path) -> pd.DataFrame:
    with pytest.MonkeyPatch.context() as patch:
        from midgd.train import recipe

        quick = {"max_epochs": 3}
        patch.setattr(recipe, "OPTIONS", recipe.TrainOptions(**quick))
        patch.setattr(recipe, "READOUT", recipe.ReadoutOptions(draws=(300.0,)))
        grid = {"readout": ("none", "ridge"), "prior": ("gaussian",)}
        return ablation(dev_data, n_boot=20, n_genes=40, grid=grid)


def test_one_row_a_choice_with_differences_from_the_default(table: pd.DataFrame) -> None:
    rows = [("", "default"), ("readout", "none"), ("readout", "ridge"), ("prior", "gaussian")]
    assert list(zip(table["part"], table["choice"], strict=True)) == rows
    for name in ("as sequenced", "10,000 counts", "1,000 counts"):
        assert table[name].nunique() == 4 and table[name].abs().le(1).all(), "each is another model"
        gain = table[name] - table[name][0]
        assert (table[f"{name}_low"] <= gain + 1e-9).all() and (gain <= table[f"{name}_high"] + 1e-9).all()
        assert gain[0] == table[f"{name}_low"][0] == table[f"{name}_high"][0] == 0
    assert (table["seconds_fit"] > 0).all() and (table["seconds_asked"] > 0).all()
    assert table["n"].nunique() == 1


def test_every_name_of_every_part_is_in_the_grid_or_the_default() -> None:
    assert GRID.keys() == Parts().card.keys() and {"zinb", "poisson"} <= set(GRID["likelihood"])
    assert {part: {*names, Parts().card[part]} for part, names in GRID.items()} == {
        part: set(names) for part, names in CHOICES.items()
    }
    for part, names in GRID.items():
        for name in names:
            assert Variant("x", **{part: name}).parts == {part: name}


def test_only_validation_patients_and_the_most_variable_genes(dev_data: Path) -> None:
    study = Study(dev_data, 0, "val")
    scenarios = _scenarios(study, 10)
    _, held_out = study.held_out("full")
    for scenario, total in zip(scenarios, (None, 10_000, 1_000), strict=True):
        assert set(scenario.test.obs["patient"]) == set(held_out.obs["patient"])
        assert scenario.train is scenarios[0].train and len(scenario.train.genes) == 10
        if total is not None:
            assert scenario.test.x.sum(1).max() <= total * 1.2
    variance = np.log1p(1e6 * (x := study.held_out("full")[0].x) / x.sum(1, keepdims=True)).var(0)
    assert set(scenarios[0].train.genes) == set(study.held_out("full")[0].genes[np.argsort(variance)[-10:]])


def test_a_page_keeps_its_own_text(table: pd.DataFrame, tmp_path: Path) -> None:
    page = write_ablation(table, tmp_path / "docs" / "ablation.md", n_genes=40)
    assert page.read_text().startswith("# Parts of the model") and page.read_text().count("| readout |") == 2
    page.write_text(f"Own words.\n\n{BEGIN}\nold\n{END}\n\nMore words.\n")
    text = write_ablation(table, page).read_text()
    assert text.startswith("Own words.") and text.endswith("More words.\n") and "old" not in text
    assert f"{table['1,000 counts'][1]:.3f} ({table['1,000 counts'][1] - table['1,000 counts'][0]:+.3f}" in text
    page.write_text("No marks.")
    with pytest.raises(ValueError, match=r"ablation\.md lacks the lines"):
        write_ablation(table, page)
    assert page.read_text() == "No marks."


def test_command(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    asked = {}
    monkeypatch.setattr("midgd.bench.ablation", lambda data, **options: asked.update(options) or table)
    assert main(["bench", "--ablation", str(tmp_path / "page.md"), "--boot", "7"]) == 0
    assert asked == {"on": "val", "seed": 0, "n_boot": 7}
    assert "| prior | `gaussian` |" in (tmp_path / "page.md").read_text() and "gaussian" in capsys.readouterr().out
    assert main(["bench", "--ablation", str(tmp_path / "page.md"), "--arms", "ridge"]) == 1
    assert "leave out --arms" in capsys.readouterr().err
