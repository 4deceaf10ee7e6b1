"""Containers and types that hold the same counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import mudata
import numpy as np
import pandas as pd
from anndata.experimental import AnnCollection
from scipy import sparse

from .table import REFUSED, WARNED, Given, Input, with_x


def stored(convert: Callable[[Any], Any]) -> Callable[[ad.AnnData, Path], ad.AnnData]:
    return lambda few, _: with_x(few, convert(few.X))


def typed(dtype: str) -> Callable[[ad.AnnData, Path], ad.AnnData]:
    return lambda few, _: with_x(few, few.X.toarray().astype(dtype))


def framed(change: Callable[[pd.DataFrame], Any]) -> Callable[[ad.AnnData, Path], Any]:
    return lambda few, _: change(few.to_df())


def sparse_typed(few: ad.AnnData, dtype: str) -> ad.AnnData:
    adata = few.copy()
    adata.X.data = adata.X.data.astype(dtype)
    return adata


def masked(few: ad.AnnData, *, hidden: bool) -> ad.AnnData:
    x = np.ma.masked_array(few.X.toarray())
    if hidden:
        x[3, 4] = np.ma.masked
    adata = few.copy()
    adata.layers["counts"] = x
    return adata


def of_columns(few: ad.AnnData, dtype: str) -> ad.AnnData:
    adata = with_x(few, few.X.tocsc())
    adata.X.data = adata.X.data.astype(dtype)
    return adata


def plain(x: Any) -> Any:
    return x


def backed(few: ad.AnnData, folder: Path, convert: Callable[[Any], Any] = sparse.csr_matrix) -> ad.AnnData:
    with_x(few, convert(few.X)).write_h5ad(folder / "a.h5ad")
    return ad.read_h5ad(folder / "a.h5ad", backed="r")


def dask_array(few: ad.AnnData, convert: Callable[[Any], Any]) -> ad.AnnData:
    import dask.array as da

    blocks = [da.from_array(convert(few.X[a : a + 20]), chunks=(20, -1), asarray=False) for a in (0, 20, 40)]
    return with_x(few, da.concatenate(blocks).rechunk((20, -1)))


def in_layer(few: ad.AnnData) -> ad.AnnData:
    adata = few.copy()
    adata.layers["counts"], adata.X = adata.X, None
    return adata


def in_raw(few: ad.AnnData) -> ad.AnnData:
    adata = few.copy()
    adata.raw = few
    adata.X = np.log1p(few.X)
    return adata


def missing(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.astype("Int64")
    frame.iloc[2, 3] = pd.NA
    return frame


def two_levels(names: pd.Index) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([["p"] * len(names), names], names=["patient", "cell"])


def h5_dataset(few: ad.AnnData, folder: Path) -> h5py.Dataset:
    return h5py.File(folder / "x.h5", "w").create_dataset("x", data=few.X.toarray())


def multimodal(few: ad.AnnData, name: str) -> mudata.MuData:
    peaks = ad.AnnData(np.ones((few.n_obs, 2), "f4"), obs=few.obs[[]], var=pd.DataFrame(index=["chr1:1-5", "chr1:6-9"]))
    return mudata.MuData({"atac": peaks, name: few})


INPUTS = [
    Input("X: CSR matrix", stored(sparse.csr_matrix)),
    Input("X: CSC matrix", stored(sparse.csc_matrix)),
    Input("X: CSR array", stored(sparse.csr_array)),
    Input("X: CSC array", stored(sparse.csc_array)),
    Input("layer: dense", lambda few, _: Given(layer_of(few, few.X.toarray()), {"layer": "counts"})),
    Input("X: dense array", stored(lambda x: x.toarray())),
    Input("X: dense array in Fortran order", stored(lambda x: np.asfortranarray(x.toarray()))),
    Input("X: float64", typed("float64")),
    Input("X: float16, dense", typed("float16")),
    Input("X: float16, sparse", lambda few, _: sparse_typed(few, "float16")),
    Input(
        "X: float16, sparse, with copy=True",
        lambda few, _: Given(sparse_typed(few, "float16"), {"copy": True}),
    ),
    Input(
        "subset of sparse float16",
        lambda few, _: sparse_typed(few, "float16")[:20],
        REFUSED,
        "before taking the subset, call adata.X = adata.X.astype('float32')",
    ),
    Input("X: long double", typed("longdouble")),
    Input("X: big-endian float32 (HDF5 of Java or R)", typed(">f4")),
    Input("X: big-endian int32", typed(">i4")),
    Input("X: big-endian float32, sparse", lambda few, _: sparse_typed(few, ">f4")),
    Input("X: int8", typed("int8")),
    Input("X: uint8", typed("uint8")),
    Input("X: int64", typed("int64")),
    Input("X: uint64", typed("uint64")),
    Input("X: stored zeros", lambda few, _: with_x(few, stored_zeros(few.X))),
    Input("X: bool", typed("bool"), WARNED, "zeros and ones only"),
    Input("X: Python objects", typed("object"), REFUSED, "counts are numbers; if they are, call .astype('float32')"),
    Input("X: complex numbers", typed("complex64"), REFUSED, "values of type complex64, counts are numbers"),
    Input("X: text", typed("str"), REFUSED, "counts are numbers"),
    Input("masked array without a masked value", lambda few, _: Given(masked(few, hidden=False), {"layer": "counts"})),
    Input(
        "masked array",
        lambda few, _: Given(masked(few, hidden=True), {"layer": "counts"}),
        REFUSED,
        "1 masked values, which count as missing",
    ),
    Input("backed .h5ad, CSR", backed),
    Input("backed .h5ad, CSC", lambda few, folder: backed(few, folder, sparse.csc_matrix)),
    Input("backed .h5ad, dense", lambda few, folder: backed(few, folder, lambda x: x.toarray())),
    Input(
        "backed .h5ad with copy=True",
        lambda few, folder: Given(backed(few, folder), {"copy": True}),
        REFUSED,
        "copy=True cannot copy a backed AnnData: call its to_memory() first",
    ),
    Input("backed .h5ad, CSR of float16", lambda few, folder: backed(sparse_typed(few, "float16"), folder, plain)),
    Input("backed .h5ad, CSC, big-endian", lambda few, folder: backed(of_columns(few, ">f4"), folder, plain)),
    Input(
        "subset of a backed .h5ad",
        lambda few, folder: backed(few, folder)[:20],
        REFUSED,
        "a subset of a backed AnnData cannot take results: call its to_memory() first",
    ),
    Input("dask array of dense blocks", lambda few, _: dask_array(few, lambda x: x.toarray())),
    Input("dask array of float16 blocks", lambda few, _: dask_array(few, lambda x: x.toarray().astype("f2"))),
    Input("dask array of sparse blocks", lambda few, _: dask_array(few, sparse.csr_matrix)),
    Input("view of an AnnData", lambda few, _: few[:]),
    Input("view of a dask array", lambda few, _: dask_array(few, lambda x: x.toarray())[:]),
    Input("counts in a layer, X not set", lambda few, _: Given(in_layer(few), {"layer": "counts"})),
    Input("X not set", lambda few, _: in_layer(few), REFUSED, "adata.X is not set: name a layer with layer=...;"),
    Input("counts in raw, logarithms in X", lambda few, _: Given(in_raw(few), {"use_raw": True})),
    Input("logarithms in X, counts in raw", lambda few, _: in_raw(few), REFUSED, "say where: use_raw=True"),
    Input("DataFrame, cells x genes", framed(lambda frame: frame)),
    Input("DataFrame of Int64", framed(lambda frame: frame.astype("Int64"))),
    Input("DataFrame of Int64 with a missing value", framed(missing), REFUSED, "has NaN or infinite values"),
    Input("DataFrame of float16", framed(lambda frame: frame.astype("float16"))),
    Input("DataFrame of sparse columns", framed(lambda frame: frame.astype(pd.SparseDtype("float32", 0.0)))),
    Input("DataFrame of int and float columns", framed(lambda frame: frame.astype({frame.columns[3]: "int16"}))),
    Input("DataFrame with numbers as cell names", framed(lambda frame: frame.set_axis(range(len(frame))))),
    Input(
        "DataFrame of Python objects",
        framed(lambda frame: frame.astype(object)),
        REFUSED,
        "if they hold numbers, call df.astype('float32') first",
    ),
    Input(
        "DataFrame with a column of labels",
        framed(lambda frame: frame.assign(label="B cell")),
        REFUSED,
        "keep the genes only, cells as rows and cell names as index",
    ),
    Input(
        "DataFrame with cell names twice",
        framed(lambda frame: frame.set_axis(["cell"] * len(frame))),
        REFUSED,
        "make its index unique",
    ),
    Input("DataFrame, genes x cells", framed(lambda frame: frame.T), REFUSED, "pass df.T if they are the rows"),
    Input(
        "DataFrame with two levels of cell names",
        framed(lambda frame: frame.set_axis(two_levels(frame.index))),
        REFUSED,
        "have 2 levels ('patient', 'cell'): one name each is needed",
    ),
    Input(
        "DataFrame with two levels of gene names",
        framed(lambda frame: frame.set_axis(two_levels(frame.columns), axis=1)),
        REFUSED,
        "the columns (genes) of the DataFrame have 2 levels",
    ),
    Input("Series, one sample", framed(lambda frame: frame.iloc[0]), REFUSED, "series.to_frame().T"),
    Input("array without names", framed(lambda frame: frame.to_numpy()), REFUSED, "ndarray has no gene names"),
    Input("sparse matrix without names", lambda few, _: few.X, REFUSED, "csr_matrix has no gene names"),
    Input("h5py dataset", h5_dataset, REFUSED, "Dataset has no gene names"),
    Input("MuData, mRNA called rna", lambda few, _: multimodal(few, "rna")),
    Input("MuData, mRNA called gex", lambda few, _: multimodal(few, "gex")),
    Input("MuData, mRNA called RNA", lambda few, _: multimodal(few, "RNA")),
    Input("MuData, mRNA called x", lambda few, _: multimodal(few, "x"), REFUSED, "name one with modality="),
    Input("AnnCollection", lambda few, _: AnnCollection([few]), REFUSED, "AnnCollection is not AnnData"),
    Input("path of a file", lambda few, _: "cells.h5ad", REFUSED, "read the file first, for instance with anndata"),
    Input("AnnData without cells", lambda few, _: few[:0].copy(), REFUSED, "0 cells x 765 genes"),
    Input("AnnData with cell names twice", lambda few, _: few[[0, 0, 1]].copy(), REFUSED, "obs_names_make_unique()"),
]


def layer_of(few: ad.AnnData, x: Any) -> ad.AnnData:
    adata = few.copy()
    adata.layers["counts"] = x
    return adata


def stored_zeros(x: sparse.csr_matrix) -> sparse.csr_matrix:
    dense = x.toarray()
    rows, columns = np.indices(dense.shape)
    return sparse.csr_matrix((dense.ravel(), (rows.ravel(), columns.ravel())), shape=dense.shape)
