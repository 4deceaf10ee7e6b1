from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from midgd.metrics import per_feature_correlation
from midgd.pl.figure import BLUE, COLUMN, GREY, PALETTE, drawing, finish, new_figure, scale, small
from midgd.pl.values import groups, outside, result_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Counts per 10,000, as scanpy.pp.normalize_total is mostly used for cells.
_PER = 10_000.0


def pair(
    adata: AnnData,
    mirna: str,
    gene: str,
    *,
    groupby: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    gene_symbols: str | None = None,
    key: str = "mirna",
    figsize: tuple[float, float] | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: bool | str | Path | None = None,
) -> Axes | None:
    """An inferred miRNA against the mRNA of one gene, such as its target or its host, cell by cell.

    The title has the Spearman correlation over the cells within the domain of the reference. It is a description and
    no test: the miRNA was inferred from mRNA, of which this gene is a part.

    Parameters
    ----------
    adata
        After :func:`midgd.tl.infer_mirna`; it is not changed.
    mirna
        Name of a miRNA.
    gene
        Name of a gene in ``var_names``, or in the column ``gene_symbols`` of ``var``.
    groupby
        Column of ``obs`` to colour by: the seven largest groups have a colour, others are grey.
    layer
        Layer with the mRNA; default ``X``. Counts (whole numbers) are drawn as natural log of 1 + counts per 10,000 of
        the cell, anything else as it is.
    use_raw
        Take the mRNA from ``adata.raw``.
    gene_symbols
        Column of ``var`` with the names of genes.
    key
        ``key_added`` of the results.
    figsize
        Inches; by default as wide as a column of a journal (85 mm) when the font has 7 points, larger with the font.
    ax
        Axes to draw on.
    show
        Show the figure and return nothing; by default as ``scanpy.settings.autoshow`` says.
    save
        Save the figure: a text is added to the name ``pair`` and goes to ``scanpy.settings.figdir``, a
        :class:`~pathlib.Path` is the file itself.

    Returns
    -------
    Axes with ``show=False``.

    Raises
    ------
    KeyError
        If there are no results, or the miRNA, the gene, the layer or the column is unknown.
    ValueError
        If ``layer`` and ``use_raw`` are both given, or several columns of no counts have the name of the gene.

    Examples
    --------
    >>> midgd.pl.pair(adata, "hsa-miR-150-5p", "MYB", groupby="cell_type")  # doctest: +SKIP
    """
    mrna, unit = gene_values(adata, gene, layer=layer, use_raw=use_raw, gene_symbols=gene_symbols)
    cells = result_of(adata, key, [mirna])
    values = np.asarray(cells.X)[:, 0]
    within = ~outside(cells, key)
    labels = None if groupby is None else groups(cells, groupby, key)
    with drawing():
        axis = ax if ax is not None else new_figure(COLUMN, 62.0, figsize).add_subplot()
        size = 7 * scale() ** 2
        for name, color, chosen in _coloured(labels, cells.n_obs):
            here = chosen & within
            axis.scatter(mrna[here], values[here], size, color=color, linewidths=0, alpha=0.7, label=name)
        axis.scatter(mrna[~within], values[~within], size, facecolors="none", edgecolors=GREY, linewidths=0.4)
        axis.set_xlabel(f"{gene} mRNA, {unit}")
        axis.set_ylabel(f"{mirna}, inferred log CPM")
        axis.set_title(_title(mrna[within], values[within], int((~within).sum())), fontsize=small())
        if labels is not None:
            axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=small())
        return finish(axis, "pair", show=show, save=save, own=ax is None)


def gene_values(
    adata: AnnData, gene: str, *, layer: str | None, use_raw: bool, gene_symbols: str | None
) -> tuple[NDArray[np.float64], str]:
    """The mRNA of a gene, (n,), and its unit in words."""
    if use_raw and layer is not None:
        raise ValueError(f"layer={layer!r} and use_raw=True are two places for the mRNA; choose one.")
    if use_raw and adata.raw is None:
        raise KeyError("use_raw=True, and adata.raw is empty.")
    if layer is not None and layer not in adata.layers:
        # Newer versions of anndata list X among the layers, under the name None.
        known = ", ".join(name for name in adata.layers if name is not None)
        raise KeyError(f"layer={layer!r} is not in adata.layers (there are {known or 'none'}).")
    var = adata.raw.var if use_raw else adata.var
    if gene_symbols is not None and gene_symbols not in var:
        raise KeyError(f"gene_symbols={gene_symbols!r} is no column of var (there are {', '.join(var) or 'none'}).")
    names = var.index if gene_symbols is None else pd.Index(var[gene_symbols].astype(str))
    where = np.flatnonzero(names == gene)
    if len(where) == 0:
        raise KeyError(f"gene {gene!r} is not among the {len(names):,} genes; they are called {names[0]!r}, ...")
    table = adata.raw.X if use_raw else adata.X if layer is None else adata.layers[layer]
    if table is None:
        raise ValueError("adata.X is empty: name the layer that holds the mRNA with layer=.")
    found = table[:, where]
    values = np.asarray(found.sum(1), dtype=float).ravel()
    if (values < 0).any() or (values % 1 != 0).any():
        if len(where) > 1:
            raise ValueError(
                f"gene {gene!r} has {len(where)} columns, and values that are no counts cannot be summed; keep one."
            )
        return values, "as in the data"
    library = np.asarray(table.sum(1), dtype=float).ravel()
    return np.log1p(values / np.maximum(library, 1.0) * _PER), "log(1 + counts per 10,000)"


def _coloured(labels: pd.Categorical | None, n: int) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Names, colours and cells of groups, the rest in grey first so that it lies below."""
    if labels is None:
        return [("", BLUE, np.ones(n, bool))]
    largest = list(pd.Series(labels).value_counts().index[: len(PALETTE)])
    kept = [name for name in labels.categories if name in largest]
    named = [(str(name), color, np.asarray(labels == name)) for name, color in zip(kept, PALETTE, strict=False)]
    rest = ~np.logical_or.reduce([chosen for *_, chosen in named])
    return ([("others", GREY, rest)] if rest.any() else []) + named


def _title(mrna: NDArray[np.float64], values: NDArray[np.float32], n_outside: int) -> str:
    rho = float(per_feature_correlation(mrna[:, None], values[:, None])[0]) if len(mrna) > 2 else float("nan")
    hollow = f"; {n_outside:,} outside the reference, hollow" if n_outside else ""
    return f"Spearman {rho:.2f} over {len(mrna):,} cells{hollow}\nthe mRNA is part of what the miRNA was inferred from"
