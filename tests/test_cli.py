import anndata as ad
import pandas as pd
import pytest

import midgd
from midgd.cli import main


@pytest.fixture(scope="module")
def counts_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "in.h5ad"
    midgd.datasets.pbmc68k_counts()[:20].copy().write_h5ad(path)
    return path


def test_infer_writes_results(counts_file, tmp_path):
    output = tmp_path / "out.h5ad"
    assert main(["infer", str(counts_file), str(output), "--level", "stem-loop", "--uncertainty"]) == 0
    result = ad.read_h5ad(output)
    assert "hsa-mir-21" in result.obsm["mirna"] and "mirna_sd" in result.obsm
    assert [p.name for p in tmp_path.iterdir()] == ["out.h5ad"]


def test_errors_are_one_line(counts_file, tmp_path, capsys):
    assert main(["infer", str(counts_file), str(tmp_path / "out.h5ad"), "--level", "gene"]) == 1
    assert main(["infer", str(tmp_path / "nothing.h5ad"), str(tmp_path / "out.h5ad")]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2 and all(line.startswith("midgd: ") for line in lines)
    assert not list(tmp_path.iterdir())


def test_references(capsys):
    assert main(["references"]) == 0
    assert "default" in capsys.readouterr().out


def test_demo_writes_figures(tmp_path):
    assert main(["demo", "--output", str(tmp_path / "figures")]) == 0
    sizes = {p.name: p.stat().st_size for p in (tmp_path / "figures").iterdir()}
    assert set(sizes) == {"pbmc_umap.png", "pbmc_dotplot.png", "pbmc_mirna_by_cell_type.csv"}
    assert min(sizes.values()) > 10_000


def test_bench_writes_a_table(tmp_path, capsys, monkeypatch):
    asked = {}

    def run(arms, settings, **options):
        asked.update(options, arms=arms, settings=settings)
        rows = [{"setting": "bulk", "arm": arm, "metric": "spearman", "value": 0.5} for arm in arms]
        return pd.DataFrame(rows)

    monkeypatch.setattr("midgd.bench.run", run)
    arguments = ["bench", "--arms", "ridge", "midgd", "--settings", "bulk", "--on", "val", "--output", str(tmp_path)]
    assert main(arguments) == 0
    assert asked["arms"] == ["ridge", "midgd"] and asked["settings"] == ["bulk"] and asked["on"] == "val"
    assert asked["output"] == tmp_path and "midgd" in capsys.readouterr().out


def test_bench_says_what_is_missing(tmp_path, capsys):
    assert main(["bench", "--data", str(tmp_path / "nothing")]) == 1
    assert "nothing" in capsys.readouterr().err


def test_encoder_alone(counts_file, tmp_path):
    assert main(["infer", str(counts_file), str(tmp_path / "out.h5ad"), "--refine", "0"]) == 0
    assert ad.read_h5ad(tmp_path / "out.h5ad").uns["mirna"]["params"]["refine"] == 0
