"""A table drawn as a grid: its size, the names of its rows and columns, its bar of colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from midgd.pl.figure import new_figure, small

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

CELL = 3.6  # mm between rows or columns
_BAR, _LETTER, _MARGIN = 16.0, 1.25, 6.0  # mm: bar of colours, mean letter of a name, rest
_LEAST_WIDTH, _LEAST_HEIGHT = 52.0, 32.0  # mm for the names and the grid: the legend and the bar have texts, too
_LONGEST = 60  # letters of a name that get room


def grid_axes(table: pd.DataFrame, figsize: tuple[float, float] | None, ax: Axes | None, above: float = 0.0) -> Axes:
    """The user's axes, or those of a new figure that fits a table, with millimetres left free above it."""
    if ax is not None:
        return ax
    left, below = (_LETTER * min(max(map(len, map(str, names))), _LONGEST) for names in (table.index, table.columns))
    width = max(left + CELL * table.shape[1], _LEAST_WIDTH) + _BAR
    height = max(CELL * table.shape[0], _LEAST_HEIGHT) + below + above + _MARGIN
    return new_figure(width, height, figsize).add_subplot()


def name_axes(axis: Axes, table: pd.DataFrame) -> None:
    """Names of rows and columns, and limits; the first row is at the top."""
    n_rows, n_columns = table.shape
    axis.set_xticks(np.arange(n_columns), list(table.columns), rotation=90, fontsize=small())
    axis.set_yticks(np.arange(n_rows), list(table.index), fontsize=small())
    axis.set_xlim(-0.5, n_columns - 0.5)
    axis.set_ylim(n_rows - 0.5, -0.5)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def color_bar(axis: Axes, drawn: ScalarMappable, label: str) -> None:
    """A bar of colours beside the axes."""
    bar = axis.figure.colorbar(drawn, ax=axis, aspect=25, fraction=0.05, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=small(), length=2)
    bar.set_label(label, fontsize=small())


def z_scores(table: pd.DataFrame) -> pd.DataFrame:
    """Every column less its mean, over its standard deviation; 0 where all rows are equal."""
    centred = table - table.mean()
    return centred / table.std(ddof=0).replace(0.0, np.nan).fillna(1.0)
