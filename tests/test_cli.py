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


def test_an_output_is_checked_before_the_work(counts_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("midgd.tl.infer_mirna", lambda *_, **__: pytest.fail("the work has begun"))
    there = tmp_path / "there.h5ad"
    there.write_text("mine")
    for output, message in {
        tmp_path / "nowhere" / "out.h5ad": "nowhere of the output does not exist",
        tmp_path / "out.csv": "out.csv must end in .h5ad or .zarr",
        there: "exists already; choose a new name or replace it with --overwrite",
    }.items():
        assert main(["infer", str(counts_file), str(output)]) == 1
        assert message in capsys.readouterr().err
    assert there.read_text() == "mine"


@pytest.mark.parametrize("suffix", [".h5ad", pytest.param(".zarr", marks=pytest.mark.slow)])  # an array for each miRNA
def test_an_output_is_replaced_when_asked(counts_file, tmp_path, suffix):
    output = tmp_path / f"out{suffix}"
    for level in ("stem-loop", "mature"):
        assert main(["infer", str(counts_file), str(output), "--level", level, "--overwrite", "--refine", "0"]) == 0
    result = ad.read_zarr(output) if suffix == ".zarr" else ad.read_h5ad(output)
    assert "hsa-miR-21-5p" in result.obsm["mirna"] and output.is_dir() == (suffix == ".zarr")
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


def test_version_and_progress(counts_file, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0 and capsys.readouterr().out == f"midgd {midgd.__version__}\n"
    assert main(["infer", str(counts_file), str(tmp_path / "out.h5ad"), "--refine", "0", "--counts", "trust"]) == 0
    assert ad.read_h5ad(tmp_path / "out.h5ad").uns["mirna"]["params"]["counts"] == "trust"


def test_references(capsys):
    assert main(["references"]) == 0
    assert "default" in capsys.readouterr().out


def test_demo_writes_figures(tmp_path):
    assert main(["demo", "--output", str(tmp_path / "figures")]) == 0
    sizes = {p.name: p.stat().st_size for p in (tmp_path / "figures").iterdir()}
    figures = {f"pbmc_{name}.png" for name in ("umap", "dotplot", "against_sorted")}
    assert set(sizes) == figures | {"pbmc_mirna_by_cell_type.csv", "pbmc_against_sorted.csv"}
    assert min(sizes[name] for name in figures) > 10_000


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
