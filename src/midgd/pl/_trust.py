from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from midgd.infer.domain import OUTSIDE
from midgd.pl._names import name_points
from midgd.pl.figure import BLUE, GREY, PAGE, PALE, VERMILION, drawing, finish, new_figure, scale, small
from midgd.pl.values import accuracy, column, nearest_column, probability_column, result_of, score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW, _LEAST = 4.2, 52.0  # mm: a kind, and the whole figure
# Part of a row over which points are scattered, so that rows stay apart.
_JITTER = 0.28


def trust(
    adata: AnnData,
    mirnas: str | Sequence[str] = (),
    *,
    n_kinds: int = 15,
    depth: str | None = None,
    key: str = "mirna",
    figsize: tuple[float, float] | None = None,
    ax: Sequence[Axes] | None = None,
    show: bool | None = None,
    save: bool | str | Path | None = None,
) -> list[Axes] | None:
    """How far to trust each miRNA and each cell.

    The first panel has a point for every miRNA: how abundant it is in these cells, and how well it was predicted in
    held-out samples. Those at the top right can be used; those at the bottom cannot be told from mRNA. The second has
    a point for every cell, by the kind of the reference that it is nearest to: the out-of-domain score, with a line at
    0.5, from where a cell is unlike what the reference knows. The third has the probability of that kind: near 1 the
    cell is like it, at 0.3 it is like several kinds or like none.

    Parameters
    ----------
    adata
        After :func:`midgd.tl.infer_mirna`; it is not changed.
    mirnas
        miRNAs to mark and name.
    n_kinds
        Kinds that are drawn, the most frequent first; cells of all others are drawn together.
    depth
        Which held-out accuracy: ``"umi_1000"`` at 1,000 counts, ``"bulk"`` as sequenced. By default the first for cells
        and spots, the second for tissues.
    key
        ``key_added`` of the results.
    figsize
        Inches; by default as wide as a page of a journal (170 mm) when the font has 7 points, larger with the font.
    ax
        Three axes to draw on.
    show
        Show the figure and return nothing; by default as ``scanpy.settings.autoshow`` says.
    save
        Save the figure: a text is added to the name ``trust`` and goes to ``scanpy.settings.figdir``, a
        :class:`~pathlib.Path` is the file itself.

    Returns
    -------
    Three axes with ``show=False``: miRNAs, scores of cells, probabilities of their nearest kinds.

    Raises
    ------
    KeyError
        If there are no results, no nearest kinds (a reference without kinds), or a miRNA or the depth is unknown.
    ValueError
        If ``ax`` is not three axes.

    Examples
    --------
    >>> midgd.pl.trust(adata, ["hsa-miR-223-3p", "hsa-miR-21-5p"])  # doctest: +SKIP
    """
    marked = [mirnas] if isinstance(mirnas, str) else list(mirnas)
    if ax is not None and len(ax) != 3:
        raise ValueError(f"ax= needs three axes and has {len(ax)}.")
    cells = result_of(adata, key)
    unknown = [name for name in marked if name not in cells.var_names]
    if unknown:
        result_of(adata, key, marked)
    table = by_kind(cells, key, n_kinds)
    with drawing():
        axes = list(ax) if ax is not None else _axes(len(table["kind"].cat.categories), figsize)
        _draw_mirnas(axes[0], cells, marked, key, depth)
        _draw_cells(axes[1], table, "score", "out-of-domain score")
        _draw_cells(axes[2], table, "probability", "probability of that kind")
        axes[1].axvline(OUTSIDE, color=VERMILION, linewidth=0.8 * scale(), zorder=0)
        axes[2].tick_params(labelleft=False)
        return finish(axes, "trust", show=show, save=save, own=ax is None)


def by_kind(cells: AnnData, key: str, n_kinds: int) -> pd.DataFrame:
    """Score and probability of every cell with its nearest kind, named with its number of cells, the rarer together."""
    kinds = column(cells, nearest_column(key), "nearest kinds").astype(str)
    probability = column(cells, probability_column(key), "nearest kinds")
    counts = kinds.value_counts()
    names = {kind: f"{kind} ({n:,})" for kind, n in counts.iloc[:n_kinds].items()}
    rest = counts.iloc[n_kinds:]
    others = f"{len(rest)} other kind{'s' if len(rest) > 1 else ''} ({rest.sum():,})"
    order = [*names.values(), *([others] if len(rest) else [])]
    shown = pd.Categorical([names.get(kind, others) for kind in kinds], order)
    return pd.DataFrame({"kind": shown, "score": score(cells, key), "probability": probability.to_numpy(float)})


def _axes(n_kinds: int, figsize: tuple[float, float] | None) -> list[Axes]:
    figure = new_figure(PAGE, max(_LEAST, _ROW * n_kinds + 14.0), figsize)
    return list(figure.subplots(1, 3, width_ratios=(1.25, 1.0, 1.0)))


def _draw_mirnas(axis: Axes, cells: AnnData, marked: list[str], key: str, depth: str | None) -> None:
    known, words = accuracy(cells, key, depth)
    abundance = pd.Series(np.asarray(cells.X).mean(0), cells.var_names) / np.log(2.0)
    table = pd.DataFrame({"x": abundance, "y": known})
    shown = table.dropna()
    axis.scatter(shown["x"], shown["y"], 5 * scale() ** 2, color=PALE, edgecolors=GREY, linewidths=0.3 * scale())
    chosen = table.loc[marked].dropna()
    axis.scatter(chosen["x"], chosen["y"], 9 * scale() ** 2, color=BLUE, zorder=3)
    axis.axhline(0, color=PALE, linewidth=0.8 * scale(), zorder=0)
    axis.set_xlabel("mean log2 CPM in these cells")
    axis.set_ylabel(f"held-out Spearman {words}")
    axis.set_title(f"{len(shown):,} miRNAs, {len(table) - len(shown):,} more of unknown accuracy", fontsize=small())
    name_points(axis, chosen.to_numpy(), list(chosen.index), must=True)


def _draw_cells(axis: Axes, table: pd.DataFrame, name: str, label: str) -> None:
    codes = table["kind"].cat.codes.to_numpy()
    jitter = np.random.default_rng(0).uniform(-_JITTER, _JITTER, len(table))
    values = table[name].to_numpy()
    # Many points in pale grey, and where the middle of them lies.
    axis.scatter(values, codes + jitter, s=2 * scale() ** 2, color=GREY, linewidths=0, alpha=0.6, rasterized=True)
    median = table.groupby("kind", observed=False)[name].median()
    axis.scatter(median, range(len(median)), marker="|", s=40 * scale() ** 2, color=BLUE, linewidths=1.5 * scale())
    axis.set_yticks(range(len(median)), list(median.index), fontsize=small())
    axis.set_ylim(len(median) - 0.5, -0.5)
    axis.set_xlim(-0.02, 1.02)
    axis.set_xlabel(label)
