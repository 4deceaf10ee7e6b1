"""What holds for every picture: conventions of scanpy, and nothing of the user's is changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata as ad
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import midgd

TABLE = pd.DataFrame(
    [(a, s, "spearman", v, v - 0.02, v + 0.02) for s in ("bulk", "depth") for a, v in (("x", 0.5), ("y", 0.7))],
    columns=["arm", "setting", "metric", "value", "low", "high"],
)
CALLS = {
    "embedding": lambda a, **k: midgd.pl.embedding(a, "hsa-miR-1-3p", **k),
    "dotplot": lambda a, **k: midgd.pl.dotplot(a, ["hsa-miR-1-3p", "hsa-miR-2-5p"], "group", **k),
    "matrix": lambda a, **k: midgd.pl.matrix(a, "group", **k),
    "pair": lambda a, **k: midgd.pl.pair(a, "hsa-miR-1-3p", "g1", groupby="group", **k),
    "spatial": lambda a, **k: midgd.pl.spatial(a, "hsa-miR-1-3p", **k),
    "benchmark": lambda a, **k: midgd.pl.benchmark(TABLE, **k),
}
ALL = CALLS | {"trust": lambda a, **k: midgd.pl.trust(a, ["hsa-miR-1-3p"], **k)}


@pytest.mark.parametrize("name", ALL)
def test_a_text_is_added_to_the_name_and_a_path_is_the_file(name, cells, tmp_path, request):
    import scanpy as sc

    before = sc.settings.figdir
    request.addfinalizer(lambda: setattr(sc.settings, "figdir", before))
    sc.settings.figdir = tmp_path / "figures"
    ALL[name](cells, show=False, save="_mine.svg")
    ALL[name](cells, show=False, save=tmp_path / "new" / "own.png")
    assert (tmp_path / "figures" / f"{name}_mine.svg").read_bytes().startswith(b"<?xml")
    assert (tmp_path / "new" / "own.png").read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in (tmp_path / "figures").iterdir()] == [f"{name}_mine.svg"]
    assert not plt.get_fignums()  # saved figures are closed


@pytest.mark.parametrize("name", ALL)
def test_shown_by_default_and_nothing_returned(name, cells, monkeypatch):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(1))
    assert ALL[name](cells) is None and shown == [1]
    assert ALL[name](cells, show=False) is not None and shown == [1]


@pytest.mark.parametrize("name", ALL)
def test_the_users_cells_and_settings_stay_as_they_are(name, cells):
    before, settings = cells.copy(), dict(matplotlib.rcParams)
    ALL[name](cells, show=False)
    pd.testing.assert_frame_equal(cells.obs, before.obs)
    assert cells.uns.keys() == before.uns.keys() and cells.obsm.keys() == before.obsm.keys()
    assert all(np.array_equal(cells.obsm[key], before.obsm[key]) for key in before.obsm)
    pd.testing.assert_frame_equal(cells.uns["mirna"]["mirnas"], before.uns["mirna"]["mirnas"])
    assert np.array_equal(cells.X, before.X)
    assert dict(matplotlib.rcParams) == settings


@pytest.mark.parametrize("name", CALLS)
def test_own_axes(name, cells):
    figure, (left, _) = plt.subplots(1, 2)
    assert CALLS[name](cells, ax=left, show=False) is left
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("font", [7.0, 12.0])
@pytest.mark.parametrize("name", ALL)
def test_legible_at_the_width_of_a_journal(name, font, cells, unreadable):
    with plt.rc_context({"font.size": font}):
        drawn: Any = ALL[name](cells, show=False)
        figure = drawn[0].figure if isinstance(drawn, list) else drawn.figure
        assert unreadable(figure) == []
        assert figure.get_figwidth() * 25.4 <= 170.1 * font / 7


@pytest.mark.parametrize("name", sorted(set(ALL) - {"benchmark"}))
def test_without_results_the_next_step_is_named(name, cells):
    with pytest.raises(KeyError, match="infer_mirna"):
        ALL[name](cells, key="other", show=False)


@pytest.mark.parametrize("name", sorted(set(ALL) - {"benchmark", "pair"}))
def test_what_get_mirna_made_is_drawn_too(name, cells):
    ALL[name](midgd.get.mirna(cells), show=False)


def test_an_ending_that_no_file_has(cells, tmp_path):
    with pytest.raises(ValueError, match=r"must be one of .*\.png"):
        midgd.pl.embedding(cells, "hsa-miR-1-3p", show=False, save=Path(tmp_path / "figure.xyz"))
    assert not list(tmp_path.iterdir())


def test_unknown_mirnas_are_named_with_those_that_were_meant(cells):
    with pytest.raises(KeyError, match=r"'hsa-miR-1' is not among the 5 inferred miRNAs. Did you mean 'hsa-miR-1-3p'"):
        midgd.pl.embedding(cells, "hsa-miR-1", show=False)


@pytest.mark.parametrize(("units", "factor"), [("cpm", 1.0), ("share", 1e-6)])
def test_all_units_are_drawn_as_log_cpm(units, factor, cells):
    expected = cells.obsm["mirna"]["hsa-miR-1-3p"].to_numpy()
    cells.obsm["mirna"] = np.expm1(cells.obsm["mirna"].astype(float)) * factor
    cells.uns["mirna"]["params"]["units"] = units
    axis = midgd.pl.pair(cells, "hsa-miR-1-3p", "g1", show=False)
    drawn = np.concatenate([part.get_offsets()[:, 1] for part in axis.collections])
    np.testing.assert_allclose(np.sort(drawn), np.sort(expected), rtol=1e-5)


def test_matplotlib_waits_for_the_first_picture():
    code = "import sys, midgd; midgd.pl; print([m for m in ('matplotlib', 'scanpy') if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_every_picture_is_here():
    assert {*ALL, "reference_map"} == set(midgd.pl.__all__)
    assert isinstance(midgd.pl, type(ad))
