"""Files that people have, as the command line reads them."""

from __future__ import annotations

import gzip
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.io import mmwrite

from midgd.files import check_output, read_file, write_file

X = np.array([[0, 2, 5], [1, 0, 7]], np.float32)
PLAIN_GENES = ["CD3E", "LYZ", "B2M"]
CELLS, GENES = ["AAAC-1", "AAAG-1"], ["CD3E", "LYZ", "LYZ"]
IDS, KINDS = ["ENSG00000198851", "ENSG00000090382", "LYZ_TotalSeqB"], ["Gene Expression"] * 2 + ["Antibody Capture"]


@pytest.fixture
def adata() -> ad.AnnData:
    return ad.AnnData(
        sparse.csr_matrix(X), obs=pd.DataFrame(index=CELLS), var=pd.DataFrame(index=["CD3E", "LYZ", "B2M"])
    )


def h5ad(path: Path, adata: ad.AnnData) -> Path:
    adata.write_h5ad(path / "a.h5ad")
    return path / "a.h5ad"


def zarr(path: Path, adata: ad.AnnData) -> Path:
    adata.write_zarr(path / "a.zarr")
    return path / "a.zarr"


def multimodal(adata: ad.AnnData) -> mudata.MuData:
    return mudata.MuData({"atac": adata[:, :1].copy(), "GEX": adata})


def h5mu(path: Path, adata: ad.AnnData) -> Path:
    multimodal(adata).write(path / "a.h5mu")
    return path / "a.h5mu"


def mudata_zarr(path: Path, adata: ad.AnnData) -> Path:
    multimodal(adata).write_zarr(path / "m.zarr")
    return path / "m.zarr"


def tenx_h5(path: Path, adata: ad.AnnData) -> Path:
    """The layout of Cell Ranger 3."""
    x = sparse.csr_matrix(X)
    with h5py.File(path / "filtered_feature_bc_matrix.h5", "w") as file:
        group = file.create_group("matrix")
        group["data"], group["indices"], group["indptr"] = x.data.astype("i4"), x.indices, x.indptr
        group["shape"], group["barcodes"] = np.array(x.shape[::-1]), np.array(CELLS, "S")
        features = group.create_group("features")
        for name, values in {"id": IDS, "name": GENES, "feature_type": KINDS, "genome": ["GRCh38"] * 3}.items():
            features[name] = np.array(values, "S")
    return path / "filtered_feature_bc_matrix.h5"


def tenx_folder(path: Path, adata: ad.AnnData, prefix: str = "") -> Path:
    matrix = io.BytesIO()
    mmwrite(matrix, sparse.coo_matrix(X.T.astype(int)))
    features = "".join(f"{i}\t{name}\t{kind}\n" for i, name, kind in zip(IDS, GENES, KINDS, strict=True))
    files = {"matrix.mtx": matrix.getvalue(), "features.tsv": features.encode()}
    for name, content in (files | {"barcodes.tsv": "\n".join(CELLS).encode()}).items():
        (path / f"{prefix}{name}.gz").write_bytes(gzip.compress(content))
    return path


def sample_folder(path: Path, adata: ad.AnnData) -> Path:
    return tenx_folder(path, adata, "GSM1_")


def table(name: str) -> Callable[[Path, ad.AnnData], Path]:
    def write(path: Path, adata: ad.AnnData) -> Path:
        adata.to_df().to_csv(path / name, sep="," if "csv" in name else "\t")
        return path / name

    return write


PLAIN = [h5ad, zarr, h5mu, mudata_zarr, table("a.csv"), table("a.tsv"), table("a.txt"), table("a.csv.gz")]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("write", [*PLAIN, tenx_h5, tenx_folder, sample_folder])
def test_files_that_people_have(write: Callable, adata: ad.AnnData, tmp_path: Path) -> None:
    read = read_file(write(tmp_path, adata))
    assert list(read.obs_names) == CELLS
    np.testing.assert_array_equal(read.to_df().to_numpy(), X)
    if write in PLAIN:
        assert list(read.var_names) == PLAIN_GENES
    else:
        # Names are as in the file, and var says which of them are genes.
        assert list(read.var_names) == GENES and list(read.var["gene_ids"]) == IDS
        assert list(read.var["feature_types"]) == KINDS


def test_a_table_with_genes_as_rows(adata: ad.AnnData, tmp_path: Path) -> None:
    adata.to_df().T.to_csv(tmp_path / "a.csv")
    read = read_file(tmp_path / "a.csv", transpose=True)
    assert list(read.obs_names) == CELLS and np.array_equal(read.X.toarray(), X)


@pytest.mark.filterwarnings("ignore")
def test_a_modality_by_name(adata: ad.AnnData, tmp_path: Path) -> None:
    path = h5mu(tmp_path, adata)
    assert read_file(path, modality="atac").n_vars == 1
    with pytest.raises(ValueError, match="there is no 'prot'; name it with --modality"):
        read_file(path, modality="prot")
    mudata.MuData({"a": adata, "b": adata.copy()}).write(path)
    with pytest.raises(ValueError, match=r"\['a', 'b'\]: which one holds the mRNA is unclear"):
        read_file(path)


def uncompressed(path: Path) -> Path:
    for name in ("matrix.mtx", "features.tsv", "barcodes.tsv"):
        (path / name).write_text("")
    return path


def text_column(path: Path) -> Path:
    (path / "a.csv").write_text("cell,CD3E,label\na,1,B\n")
    return path / "a.csv"


def named(path: Path, name: str) -> Path:
    (path / name).write_text("")
    return path / name


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda path: path / "a.h5ad", FileNotFoundError, "does not exist"),
        (lambda path: path, ValueError, "has neither a zarr store nor matrix.mtx.gz; midgd reads .h5ad"),
        (uncompressed, ValueError, "run gzip on matrix.mtx, features.tsv and barcodes.tsv"),
        (text_column, ValueError, "a.csv: 1 columns are not numbers, 'label' for example"),
        (lambda path: named(path, "a.rds"), ValueError, "a.rds is of no kind that midgd reads: .h5ad, .h5 (10x)"),
    ],
)
def test_other_files_are_one_clear_error(make: Callable, error: type, message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=re.escape(message)):
        read_file(make(tmp_path))


def test_options_of_other_files(adata: ad.AnnData, tmp_path: Path) -> None:
    path = h5ad(tmp_path, adata)
    with pytest.raises(ValueError, match="--transpose is for tables"):
        read_file(path, transpose=True)
    with pytest.raises(ValueError, match="--modality is for MuData"):
        read_file(path, modality="rna")


def test_loom_needs_loompy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "loompy", None)
    with pytest.raises(ImportError, match="needs the package loompy: install it, or convert"):
        read_file(named(tmp_path, "a.loom"))


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_what_was_there_stays_when_writing_fails(
    suffix: str, adata: ad.AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{suffix}"
    write_file(adata, path)
    check_output(path, overwrite=True)
    bad = adata.copy()
    bad.uns["x"] = object()  # no file can hold it
    with pytest.raises(Exception, match="object"):
        write_file(bad, path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    np.testing.assert_array_equal(read_file(path).X.toarray(), X)
