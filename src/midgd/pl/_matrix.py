from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from midgd.pl._grid import color_bar, grid_axes, name_axes
from midgd.pl.figure import DIVERGING, GREY, SEQUENTIAL, drawing, finish
from midgd.pl.values import group_means, groups, poorly_known, result_of, standing_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text


def matrix(
    adata: AnnData,
    groupby: str | None = None,
    *,
    n_top: int = 3,
    min_cpm: float = 100.0,
    absolute: bool = False,
    swap_axes: bool = True,
    key: str = "mirna",
    figsize: tuple[float, float] | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: bool | str | Path | None = None,
) -> Axes | None:
    """Groups of cells and the miRNAs that stand out in each, as a heat map.

    Of every group those miRNAs are taken whose mean log CPM exceeds the mean of the other groups most. They are the
    miRNAs to look at first, not a test: inferred values of cells that are alike are alike. Names in grey are miRNAs
    whose held-out accuracy is below 0.3 or not known.

    Parameters
    ----------
    adata
        After :func:`midgd.tl.infer_mirna`; it is not changed.
    groupby
        Column of ``obs``; by default the nearest kind of the reference.
    n_top
        miRNAs of each group; one that several groups share is drawn once.
    min_cpm
        Counts per million that a miRNA needs in the group it is taken for.
    absolute
        Colour by mean log CPM; by default by the difference to the mean of the groups, in log2 units.
    swap_axes
        miRNAs as rows, where their names are easy to read, and groups as columns.
    key
        ``key_added`` of the results.
    figsize
        Inches; by default 3.6 mm for each row and column when the font has 7 points, larger with the font.
    ax
        Axes to draw on.
    show
        Show the figure and return nothing; by default as ``scanpy.settings.autoshow`` says.
    save
        Save the figure: a text is added to the name ``matrix`` and goes to ``scanpy.settings.figdir``, a
        :class:`~pathlib.Path` is the file itself.

    Returns
    -------
    Axes with ``show=False``.

    Raises
    ------
    KeyError
        If there are no results or the column is unknown.
    ValueError
        If there are fewer than two groups or more than 100, or no miRNA is abundant enough.

    Examples
    --------
    >>> midgd.pl.matrix(adata, groupby="cell_type", n_top=2)  # doctest: +SKIP
    """
    cells = result_of(adata, key)
    means = group_means(cells, groups(cells, groupby, key))
    chosen = top_mirnas(means, n_top, min_cpm)
    shown = means[chosen]
    if not absolute:
        shown = (shown - shown.mean()) / np.log(2.0)
    if swap_axes:
        shown = shown.T
    with drawing():
        axis = grid_axes(shown, figsize, ax)
        limit = float(np.abs(shown.to_numpy()).max())
        image = axis.imshow(
            shown.to_numpy(), cmap=SEQUENTIAL if absolute else DIVERGING, aspect="auto", interpolation="nearest"
        )
        if not absolute:
            image.set_clim(-limit, limit)
        name_axes(axis, shown)
        _dim_names(axis.get_yticklabels() if swap_axes else axis.get_xticklabels(), poorly_known(cells, key))
        color_bar(axis, image, "mean log CPM" if absolute else "log2 CPM, less the\nmean of the groups")
        return finish(axis, "matrix", show=show, save=save, own=ax is None)


def _dim_names(texts: list[Text], names: set[str]) -> None:
    for text in texts:
        if text.get_text() in names:
            text.set_color(GREY)


def top_mirnas(means: pd.DataFrame, n_top: int, min_cpm: float) -> list[str]:
    """The miRNAs that stand out most, group by group, each once.

    Parameters
    ----------
    means
        Mean log CPM, groups x miRNAs.
    n_top, min_cpm
        As in :func:`midgd.pl.matrix`.

    Raises
    ------
    ValueError
        If there is nothing to compare, or nothing is abundant enough.
    """
    if len(means) < 2:
        raise ValueError(f"there is one group only, {means.index[0]!r}: groupby= needs a column with two or more.")
    chosen = [name for group in means.index for name in standing_out(means, group, min_cpm).index[:n_top]]
    if not chosen:
        raise ValueError(f"no miRNA has {min_cpm:g} counts per million in a group; lower min_cpm=.")
    return list(dict.fromkeys(chosen))
