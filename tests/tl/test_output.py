"""Results in a file: the same values, going on after an interruption, nothing lost."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest

import midgd
from midgd.tl import _output


@pytest.fixture
def expected(toy_query, toy_reference) -> ad.AnnData:
    done = midgd.tl.infer_mirna(toy_query, toy_reference, uncertainty=True, copy=True)
    assert isinstance(done, ad.AnnData)
    return done


# Of the score, which is steep: a millionth in the latent of the toy's six dimensions is 2e-5 in it.
SCORE = 1e-4


def close(found: np.ndarray, wanted: np.ndarray, atol: float = 1e-5) -> None:
    np.testing.assert_allclose(found, wanted, rtol=0, atol=atol)


def read(path: Path) -> ad.AnnData:
    return ad.read_zarr(path) if path.suffix == ".zarr" else ad.read_h5ad(path)


@pytest.mark.parametrize("name", ["cells.zarr", "cells.h5ad"])
@pytest.mark.parametrize("batch_size", [None, 7])
def test_file_holds_what_memory_would(toy_query, toy_reference, expected, tmp_path, name, batch_size):
    path = tmp_path / "new" / name
    before = toy_query.copy()
    answer = midgd.tl.infer_mirna(toy_query, toy_reference, uncertainty=True, batch_size=batch_size, output=path)
    assert answer is None and [p.name for p in path.parent.iterdir()] == [name]
    found = read(path)
    close(found.X, expected.obsm["mirna"].to_numpy())
    close(found.layers["sd"], expected.obsm["mirna_sd"].to_numpy())
    close(found.obsm["X_midgd"], expected.obsm["X_midgd"])
    close(found.obsm["mirna_weights"], expected.obsm["mirna_weights"].to_numpy())
    assert list(found.uns["mirna"]["weights"]) == list(expected.obsm["mirna_weights"].columns)
    close(found.obs["mirna_ood"], expected.obs["mirna_ood"], SCORE)
    assert found.obs_names.equals(expected.obs_names)
    assert found.var_names.tolist() == expected.obsm["mirna"].columns.tolist()
    assert found.uns["mirna"]["reference"] == expected.uns["mirna"]["reference"]
    assert toy_query.obsm.keys() == before.obsm.keys() and toy_query.obs.equals(before.obs)


class Stopped(Exception):
    pass


def interrupt_after(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the n-th chunk be written, and fail at the next."""
    calls, append = [], _output.PartialOutput.append

    def stopping(self, arrays):
        if len(calls) == n:
            raise Stopped
        calls.append(arrays)
        append(self, arrays)

    monkeypatch.setattr(_output.PartialOutput, "append", stopping)


@pytest.mark.parametrize("second_batch", [10, 7])
def test_goes_on_after_an_interruption(toy_query, toy_reference, expected, tmp_path, monkeypatch, second_batch):
    path = tmp_path / "cells.zarr"
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        interrupt_after(2, patch)
        midgd.tl.infer_mirna(toy_query, toy_reference, batch_size=10, output=path)
    assert not path.exists()
    asked = []
    monkeypatch.setattr(
        "midgd.infer.Predictor._predict",
        lambda self, counts, call=midgd.infer.Predictor._predict: asked.append(counts.shape[0]) or call(self, counts),
    )
    midgd.tl.infer_mirna(toy_query, toy_reference, batch_size=second_batch, output=path)
    assert sum(asked) == toy_query.n_obs - 20
    close(read(path).X, expected.obsm["mirna"].to_numpy())
    close(read(path).obs["mirna_ood"], expected.obs["mirna_ood"], SCORE)


def test_an_unfinished_file_of_another_run_is_refused(toy_query, toy_reference, tmp_path, monkeypatch):
    path = tmp_path / "cells.zarr"
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        interrupt_after(1, patch)
        midgd.tl.infer_mirna(toy_query, toy_reference, batch_size=10, output=path)
    with pytest.raises(ValueError, match=r"begun with other cells.*delete it"):
        midgd.tl.infer_mirna(toy_query[::-1].copy(), toy_reference, output=path)
    with pytest.raises(ValueError, match="begun with other"):
        midgd.tl.infer_mirna(toy_query, toy_reference, units="cpm", output=path)


def test_files_that_exist_or_cannot_be_are_refused(toy_query, toy_reference, tmp_path):
    there = tmp_path / "there.h5ad"
    there.write_text("mine")
    with pytest.raises(FileExistsError, match=r"there\.h5ad' exists"):
        midgd.tl.infer_mirna(toy_query, toy_reference, output=there)
    assert there.read_text() == "mine"
    with pytest.raises(ValueError, match=r"must end in \.zarr or \.h5ad"):
        midgd.tl.infer_mirna(toy_query, toy_reference, output=tmp_path / "cells.csv")
    with pytest.raises(ValueError, match="groups are few"):
        midgd.tl.infer_mirna(toy_query, toy_reference, output=tmp_path / "a.zarr", groupby="group")
    with pytest.raises(ValueError, match="choose one"):
        midgd.tl.infer_mirna(toy_query, toy_reference, output=tmp_path / "a.zarr", copy=True)
    (tmp_path / "b.zarr.partial").mkdir()
    (tmp_path / "b.zarr.partial" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="not an unfinished output"):
        midgd.tl.infer_mirna(toy_query, toy_reference, output=tmp_path / "b.zarr")


def test_dataframe_and_backed_input(toy_query, toy_reference, expected, tmp_path):
    midgd.tl.infer_mirna(toy_query.to_df(), toy_reference, output=tmp_path / "frame.zarr")
    toy_query.write_h5ad(tmp_path / "query.h5ad")
    backed = ad.read_h5ad(tmp_path / "query.h5ad", backed="r")
    midgd.tl.infer_mirna(backed, toy_reference, output=tmp_path / "backed.zarr")
    for name in ("frame.zarr", "backed.zarr"):
        close(read(tmp_path / name).X, expected.obsm["mirna"].to_numpy())
