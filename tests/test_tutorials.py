"""Tutorials run from the first to the last cell, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from midgd.bench.data import data_folder

NOTEBOOKS = sorted((Path(__file__).parents[1] / "tutorials").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    if any("import squidpy" in cell.source for cell in notebook.cells):
        pytest.importorskip("squidpy")
    if notebook.metadata.get("midgd", {}).get("needs_development_data"):
        try:
            monkeypatch.setenv("MIDGD_DEV_DATA", str(data_folder().resolve()))
        except FileNotFoundError as error:
            pytest.skip(str(error))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):  # whatever would download fails
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=1_200, kernel_name="python3", resources=resources).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_has_its_outputs_and_no_error(path: Path) -> None:
    import json

    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]]
    assert outputs
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert path.stat().st_size < 1_200_000
