from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from midgd.counts import RowSource, read_counts

mudata = pytest.importorskip("mudata")

N, M = 12, 5


@pytest.fixture
def adata() -> ad.AnnData:
    counts = np.random.default_rng(0).poisson(1.0, (N, M + 2)).astype(np.float32)
    full = ad.AnnData(
        sp.csr_matrix(counts),
        obs=pd.DataFrame(index=[f"cell{i}" for i in range(N)]),
        var=pd.DataFrame({"name": [f"R{i}" for i in range(M + 2)]}, index=[f"g{i}" for i in range(M + 2)]),
    )
    adata = full[:, :M].copy()
    adata.raw = full
    adata.layers["counts"] = adata.X * 2
    adata.var["symbol"] = pd.Categorical(["A", None, "C", " D", "A"])
    adata.var["number"] = [1.0, 2.0, np.nan, 4.0, 5.0]
    return adata


def values(matrix: object) -> np.ndarray:
    chunks = [chunk for _, _, chunk in RowSource(matrix, batch_size=5)]
    return np.concatenate([c.toarray() if sp.issparse(c) else c for c in chunks])


def test_x_layer_and_raw(adata: ad.AnnData) -> None:
    x, layer, raw = read_counts(adata), read_counts(adata, layer="counts"), read_counts(adata, use_raw=True)
    np.testing.assert_array_equal(values(x.matrix), adata.X.toarray())
    np.testing.assert_array_equal(values(layer.matrix), 2 * adata.X.toarray())
    np.testing.assert_array_equal(values(raw.matrix), adata.raw.X.toarray())
    assert [v.where for v in (x, layer, raw)] == ["adata.X", "adata.layers['counts']", "adata.raw.X"]
    assert x.gene_names == [f"g{i}" for i in range(M)] and raw.gene_names == [f"g{i}" for i in range(M + 2)]
    assert list(x.obs_names) == list(adata.obs_names)
    assert "layer='counts', use_raw=True" in x.hint
    assert "layer" not in layer.hint and "use_raw" not in raw.hint


def test_gene_symbols(adata: ad.AnnData) -> None:
    assert read_counts(adata, gene_symbols="symbol").gene_names == ["A", "", "C", "D", "A"]
    assert read_counts(adata, gene_symbols="number").gene_names == ["1.0", "2.0", "", "4.0", "5.0"]
    assert read_counts(adata, gene_symbols="name", use_raw=True).gene_names == [f"R{i}" for i in range(M + 2)]


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix, lambda x: x.toarray()])
def test_backed_and_views(adata: ad.AnnData, form: Callable, tmp_path: Path) -> None:
    adata.X = form(adata.X)
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    dense = values(adata.X)
    assert not isinstance(read_counts(backed).matrix, np.ndarray | sp.spmatrix)
    np.testing.assert_array_equal(values(read_counts(backed).matrix), dense)
    np.testing.assert_array_equal(values(read_counts(backed, layer="counts").matrix), values(adata.layers["counts"]))
    np.testing.assert_array_equal(values(read_counts(backed, use_raw=True).matrix), adata.raw.X.toarray())
    for pick in ([1, 3, 4, 6, 7, 8, 11], [7, 2, 9, 0, 4, 11, 3]):
        for source in (adata, backed):
            view = read_counts(source[pick])
            np.testing.assert_array_equal(values(view.matrix), dense[pick])
            assert list(view.obs_names) == [f"cell{i}" for i in pick]
            np.testing.assert_array_equal(values(read_counts(source[pick, 1:4]).matrix), dense[pick][:, 1:4])


def test_data_frame() -> None:
    frame = pd.DataFrame(np.eye(3), index=[10, 11, 12], columns=["A", " B", "C"])
    view = read_counts(frame)
    np.testing.assert_array_equal(values(view.matrix), np.eye(3))
    assert view.gene_names == ["A", "B", "C"] and list(view.obs_names) == ["10", "11", "12"]
    assert view.where == "the DataFrame"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layer": "counts", "use_raw": True}, ValueError, "exclude each other"),
        ({"layer": "count"}, KeyError, "no layer 'count' in adata.layers; there is 'counts'"),
        ({"gene_symbols": "nam"}, KeyError, "no column of adata.var; there is 'name', 'symbol', 'number'"),
        ({"gene_symbols": "symbol", "use_raw": True}, KeyError, "no column of adata.raw.var; there is 'name'"),
    ],
)
def test_wrong_choices(adata: ad.AnnData, options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        read_counts(adata, **options)


def without_raw(adata: ad.AnnData) -> ad.AnnData:
    del adata.raw
    return adata


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (without_raw, {"use_raw": True}, "adata.raw is not set"),
        (lambda a: a[:0], {}, "adata is empty: 0 cells x 5 genes"),
        (lambda a: a[:, :0].copy(), {}, "12 cells x 0 genes"),
        (lambda a: a[:0].copy(), {"layer": "counts"}, "adata.layers['counts'] is empty"),
        (lambda a: ad.AnnData(obs=a.obs, var=a.var), {}, "adata.X is not set"),
        (lambda a: a[[0, 1, 1, 1, 2]], {}, "1 cell names occur more than once, 'cell1' for example"),
        (lambda a: a[[0, 1, 1]], {}, "adata.obs_names_make_unique()"),
        (lambda a: pd.DataFrame(np.ones((2, 2)), index=["a", "a"]), {}, "make its index unique"),
        (lambda a: pd.DataFrame(), {}, "the DataFrame is empty: 0 cells"),
        (lambda a: a.to_df(), {"layer": "counts"}, "layer= is for AnnData"),
        (lambda a: a.to_df(), {"gene_symbols": "name"}, "gene_symbols= is for AnnData"),
    ],
)
@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_unusable_data(adata: ad.AnnData, change: Callable, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_counts(change(adata), **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.to_df().assign(cell_type="B"), "1 columns that are not numbers ('cell_type'; "),
        (lambda a: a.X.toarray(), "ndarray has no gene names: wrap it in pandas.DataFrame"),
        (lambda a: a.X, "csr_matrix has no gene names"),
        (lambda a: "a.h5ad", "got str"),
        (
            lambda a: mudata.MuData({"rna": a, "prot": a.copy()}),
            "'rna', 'prot': pass the one with the mRNA, mdata['rna']",
        ),
        (lambda a: ad.AnnData(np.array([["x", "y"]])), "counts are numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_wrong_types(adata: ad.AnnData, change: Callable, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        read_counts(change(adata))
