"""Where an AnnData or a DataFrame has its counts, and the names of rows and columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from midgd.counts.rows import is_computable
from midgd.features import ColumnAnnotation, is_gene_expression, read_annotation
from midgd.features.genes import clean_names

#: How to insist on counts, for messages about their scale.
OVERRIDE = "If these are counts, insist with counts='trust'"
_RNA_NAMES = ("rna", "gex", "mrna", "geneexpression", "scrna", "snrna", "transcriptome", "genes", "rnaseq")


@dataclass(frozen=True, eq=False)
class CountView:
    """Counts as the user gave them; a matrix in a file is not read yet.

    Parameters
    ----------
    matrix
        Cells x genes, whatever :class:`midgd.counts.RowSource` reads.
    gene_names
        Name of each column as given; ``""`` where it has none.
    obs_names
        Unique name of each row.
    where
        What the matrix is, for messages: ``"adata.layers['counts']"``.
    hint
        What to advise if it does not hold counts.
    annotation
        What ``var`` says about the columns besides their names; None for a DataFrame.
    trusted
        Take the values for counts whatever their scale.
    """

    matrix: Any
    gene_names: list[str]
    obs_names: pd.Index
    where: str
    hint: str
    annotation: ColumnAnnotation | None = None
    trusted: bool = False


def read_counts(
    data: AnnData | pd.DataFrame,
    *,
    layer: str | None = None,
    use_raw: bool = False,
    gene_symbols: str | None = None,
    counts: str = "check",
) -> CountView:
    """Find the counts, the gene names and the cell names in AnnData or a DataFrame.

    Parameters
    ----------
    data
        AnnData (in memory, backed or a view) or a DataFrame of counts, cells x genes.
    layer
        Layer that holds the counts, instead of ``X``.
    use_raw
        Take ``adata.raw``.
    gene_symbols
        Column of ``var`` (of ``raw.var`` with ``use_raw``) with symbols or Ensembl ids; default ``var_names``.
    counts
        ``"check"``: the scale of the values will be judged. ``"trust"``: it will not.

    Returns
    -------
    The view; values are not checked. The matrix of a backed AnnData stays in its file, but a subset of a backed
    AnnData loads the rows it has (anndata offers no way to read them in part).

    Raises
    ------
    TypeError
        If ``data`` is something else, or its values are not numbers.
    KeyError
        If there is no such layer or column.
    ValueError
        If arguments exclude each other, there is no ``raw`` or no ``X``, names of cells are duplicated, or there are
        no cells, no genes or no gene expression.
    """
    if counts not in ("check", "trust"):
        raise ValueError(f"counts={counts!r} must be 'check' or 'trust'")
    if isinstance(data, pd.DataFrame):
        given = {"layer": layer, "use_raw": use_raw or None, "gene_symbols": gene_symbols}
        if used := [name for name, value in given.items() if value is not None]:
            raise ValueError(f"{used[0]}= is for AnnData; in a DataFrame the columns are the genes")
        view = _from_frame(data)
    elif isinstance(data, AnnData):
        view = _from_anndata(data, layer, use_raw, gene_symbols)
    else:
        raise TypeError(_wrong_type(data))
    _check_rows(view)
    return replace(view, trusted=counts == "trust")


def _from_frame(frame: pd.DataFrame) -> CountView:
    for names, axis in ((frame.index, "index (cells)"), (frame.columns, "columns (genes)")):
        if isinstance(names, pd.MultiIndex):
            raise TypeError(
                f"the {axis} of the DataFrame have {names.nlevels} levels ({_list(names.names)}): one name each is "
                "needed. Join them, for instance df.index = df.index.map('_'.join), or keep one with droplevel()"
            )
    wrong = [(str(name), dtype) for name, dtype in zip(frame.columns, frame.dtypes, strict=True) if not _is_real(dtype)]
    if wrong:
        as_object = all(dtype.kind == "O" for _, dtype in wrong) and len(wrong) == frame.shape[1]
        raise TypeError(
            f"the DataFrame has {len(wrong):,} columns that are not numbers ({_list(name for name, _ in wrong[:3])}; "
            f"{wrong[0][1]}): keep the genes only, cells as rows and cell names as index"
            + ("; if they hold numbers, call df.astype('float32') first" if as_object else "")
        )
    hint = "Pass a DataFrame of raw counts"
    return CountView(frame, clean_names(frame.columns), frame.index.astype(str), "the DataFrame", hint)


def _is_real(dtype: Any) -> bool:
    return pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype)


def _from_anndata(adata: AnnData, layer: str | None, use_raw: bool, gene_symbols: str | None) -> CountView:
    if layer is not None and use_raw:
        raise ValueError(f"layer={layer!r} and use_raw=True exclude each other: adata.raw has no layers; give one")
    _check_subset(adata)
    matrix, var, where = _choose(adata, layer, use_raw)
    dtypes = set(matrix.dtypes) if isinstance(matrix, pd.DataFrame) else {matrix.dtype}
    if wrong := [dtype for dtype in dtypes if not _is_real(dtype)]:
        fix = "; if they are, call .astype('float32') on it first" if wrong[0].kind == "O" else ""
        raise TypeError(f"{where} has values of type {wrong[0]}, counts are numbers{fix}")
    owner = "adata.raw.var" if use_raw else "adata.var"
    names = _gene_names(var, gene_symbols, owner)
    hint = _hint(adata, layer, use_raw)
    return CountView(matrix, names, adata.obs_names, where, hint, read_annotation(var))


def _choose(adata: AnnData, layer: str | None, use_raw: bool) -> tuple[Any, Any, str]:
    """The matrix, its var and what to call it."""
    if use_raw:
        if adata.raw is None:
            raise ValueError("use_raw=True but adata.raw is not set: leave it out, or name a layer with layer=...")
        if adata.raw.X is None:
            raise ValueError("adata.raw has no matrix: leave use_raw out, or name a layer with layer=...")
        return adata.raw.X, adata.raw.var, "adata.raw.X"
    if layer is not None:
        if layer not in adata.layers:
            raise KeyError(f"no layer {layer!r} in adata.layers; there is {_list(_layers(adata))}")
        matrix = adata.layers[layer]
        if matrix is None:
            raise ValueError(f"adata.layers[{layer!r}] is None: name another; there is {_list(_layers(adata))}")
        return matrix, adata.var, f"adata.layers[{layer!r}]"
    if 0 in adata.shape:
        raise ValueError(_empty("adata", adata.shape))
    matrix = adata.X  # once: every access to the X of a view copies it
    if matrix is None:
        raise ValueError(f"adata.X is not set: name a layer with layer=...; there is {_list(_layers(adata))}")
    return matrix, adata.var, "adata.X"


def _check_subset(adata: AnnData) -> None:
    """Refuse a subset of values that scipy cannot take rows of; it does so when they are asked for."""
    if not adata.is_view or adata.isbacked:
        return
    whole = adata._adata_ref
    layers = {f"layers[{name!r}]": whole.layers[name] for name in _layers(whole)}
    for name, matrix in {"X": whole.X, **layers}.items():
        if not is_computable(matrix):
            raise TypeError(
                f"a subset of sparse values of type {matrix.dtype} cannot be read, scipy does not support it: before "
                f"taking the subset, call adata.{name} = adata.{name}.astype('float32')"
            )


def _layers(adata: AnnData) -> list[str]:
    # Newer versions of anndata list X among the layers, under the name None.
    return [name for name in adata.layers if name is not None]


def _gene_names(var: Any, column: str | None, owner: str) -> list[str]:
    if column is None:
        return clean_names(var.index)
    if column not in var.columns:
        raise KeyError(f"gene_symbols={column!r} is no column of {owner}; there is {_list(var.columns)}")
    return clean_names(np.asarray(var[column], dtype=object))


def _check_rows(view: CountView) -> None:
    if 0 in view.matrix.shape:
        raise ValueError(_empty(view.where, view.matrix.shape))
    if not view.obs_names.is_unique:
        twice = view.obs_names[view.obs_names.duplicated()]
        fix = "make its index unique" if view.where == "the DataFrame" else "call adata.obs_names_make_unique() first"
        raise ValueError(
            f"{twice.nunique():,} cell names occur more than once, {twice[0]!r} for example, "
            f"and results are written by name: {fix}"
        )


def _empty(where: str, shape: tuple[int, ...]) -> str:
    return f"{where} is empty: {shape[0]:,} cells x {shape[1]:,} genes. Was everything filtered out?"


def _hint(adata: AnnData, layer: str | None, use_raw: bool) -> str:
    """Where else in this object counts might be."""
    options = [f"layer={name!r}" for name in _layers(adata) if name != layer]
    if adata.raw is not None and not use_raw:
        options.append("use_raw=True")
    if options:
        return f"Pass raw counts; if this object holds them elsewhere, say where: {', '.join(options[:5])}"
    return "Pass raw counts; this object holds no other matrix, so go back to the data before normalisation"


def _list(names: Iterable[object]) -> str:
    return ", ".join(repr(name) for name in names) or "none"


def _wrong_type(data: object) -> str:
    kind = type(data).__name__
    if isinstance(data, pd.Series):
        return "a Series is one sample: make it a table of one row with series.to_frame().T"
    if hasattr(data, "mod"):
        return _of_modalities(kind, dict(data.mod))
    if hasattr(data, "var_names") and hasattr(data, "obs_names"):
        return f"{kind} is not AnnData: call its to_adata() or to_memory(), or pass the AnnData it was made from"
    if hasattr(data, "tables"):
        return f"{kind} holds tables: pass the one with the counts, for instance sdata.tables['table']"
    if hasattr(data, "to_pandas"):
        return f"{kind} is not a pandas DataFrame: call its to_pandas() and set the cell names as index"
    if hasattr(data, "shape"):
        return f"{kind} has no gene names: wrap it in pandas.DataFrame(x, index=cells, columns=genes) or in AnnData"
    if isinstance(data, str | PathLike):
        return (
            f"AnnData or a DataFrame (cells x genes) is needed, got {kind}: read the file first, for instance with "
            "anndata.read_h5ad, or use the command line (midgd infer)"
        )
    return f"AnnData or a DataFrame (cells x genes) is needed, got {kind}"


def rna_modality(modalities: Mapping[str, AnnData]) -> str | None:
    """Name of the modality that holds the mRNA: by its name, else by the kind of its features, None if unclear."""
    named = [name for name in modalities if re.sub(r"[^a-z]", "", str(name).lower()) in _RNA_NAMES]
    if len(named) == 1:
        return named[0]
    if len(modalities) == 1:
        return next(iter(modalities))
    labelled = [name for name, table in modalities.items() if is_gene_expression(table.var)]
    return labelled[0] if len(labelled) == 1 and not named else None


def _of_modalities(kind: str, modalities: Mapping[str, AnnData]) -> str:
    name = rna_modality(modalities)
    example = f", mdata[{name!r}]" if name is not None else ", for instance mdata['rna']"
    return f"{kind} has the modalities {_list(modalities)}: pass the one with the mRNA{example}"
