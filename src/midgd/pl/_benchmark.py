from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from midgd.pl._grid import color_bar
from midgd.pl.figure import SEQUENTIAL, drawing, finish, new_figure, scale, small

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW, _COLUMN, _LETTER = 3.6, 8.5, 1.25  # mm
_FAR = 0.75  # quantile of the gaps from which all have the last colour
_NEEDED = ("arm", "setting", "metric", "value")


def benchmark(
    table: pd.DataFrame,
    metric: str = "spearman",
    *,
    figsize: tuple[float, float] | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: bool | str | Path | None = None,
) -> Axes | None:
    """The table of methods that ``midgd bench`` writes, as a picture.

    One row a setting, one column a method, from the best on average to the worst. The colour of a cell is by how much
    its method falls behind the best of the row; the last colour stands for the largest quarter of these gaps. Bold are
    the best method and those whose 95 % interval over patients reaches it.

    Parameters
    ----------
    table
        From :func:`midgd.bench.run`, or read from its ``.csv``.
    metric
        One of the metrics of the table.
    figsize
        Inches; by default 8.5 mm a method and 3.6 mm a setting when the font has 7 points, larger with the font.
    ax
        Axes to draw on.
    show
        Show the figure and return nothing; by default as ``scanpy.settings.autoshow`` says.
    save
        Save the figure: a text is added to the name ``benchmark`` and goes to ``scanpy.settings.figdir``, a
        :class:`~pathlib.Path` is the file itself.

    Returns
    -------
    Axes with ``show=False``.

    Raises
    ------
    KeyError
        If the table lacks a column, or has no such metric.

    Examples
    --------
    >>> midgd.pl.benchmark(pd.read_csv("benchmark.csv"), metric="rmse")  # doctest: +SKIP
    """
    values, best, reach = compared(table, metric)
    behind = (values.sub(best, axis=0)).abs()
    left, above = (_LETTER * max(len(str(n)) for n in names) for names in (values.index, values.columns))
    with drawing():
        if ax is None:
            size = (left + _COLUMN * values.shape[1] + 16.0, above + max(_ROW * len(values), 30.0) + 6.0)
            ax, own = new_figure(*size, figsize).add_subplot(), True
        else:
            own = False
        # One hopeless method must not make all others look alike.
        limit = float(np.nanquantile(behind, _FAR)) or None
        image = ax.imshow(behind, cmap=f"{SEQUENTIAL}_r", vmin=0.0, vmax=limit, aspect="auto", interpolation="nearest")
        _write_values(ax, values, reach, image)
        ax.set_xticks(range(values.shape[1]), list(values.columns), rotation=90, fontsize=small())
        ax.set_yticks(range(len(values)), list(values.index), fontsize=small())
        ax.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
        ax.spines[:].set_visible(False)
        color_bar(ax, image, f"{metric}, behind\nthe best of the row")
        return finish(ax, "benchmark", show=show, save=save, own=own)


def compared(table: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
    """Values, settings x methods, the best of each setting, and which methods reach it within their interval."""
    # bench imports this module to draw what it found.
    from midgd.bench.scoring import LOWER_IS_BETTER

    missing = [name for name in _NEEDED if name not in table]
    if missing:
        raise KeyError(f"the table has no column {missing[0]!r}; midgd.bench.run makes one with {', '.join(_NEEDED)}.")
    rows = table[table["metric"] == metric]
    if rows.empty:
        raise KeyError(
            f"metric={metric!r} is not in the table; it has {', '.join(map(str, table['metric'].unique()))}."
        )
    order = list(dict.fromkeys(rows["setting"]))
    lower = metric in LOWER_IS_BETTER
    values = rows.pivot(index="setting", columns="arm", values="value").loc[order]
    best = values.min(axis=1) if lower else values.max(axis=1)
    end = "low" if lower else "high"
    limit = values
    if end in rows:
        limit = rows.pivot(index="setting", columns="arm", values=end).loc[order].fillna(values)
    reach = limit.le(best, axis=0) if lower else limit.ge(best, axis=0)
    ranked = values.sub(best, axis=0).abs().mean().sort_values(kind="stable").index
    return values[ranked], best, reach[ranked] | values[ranked].eq(best, axis=0)


def _write_values(axis: Axes, values: pd.DataFrame, reach: pd.DataFrame, image: Any) -> None:
    for (i, j), value in np.ndenumerate(values.to_numpy()):
        if np.isnan(value):
            continue
        luminance = np.dot(image.cmap(image.norm(abs(image.get_array()[i, j])))[:3], (0.299, 0.587, 0.114))
        text = axis.text(j, i, f"{value:.3f}", ha="center", va="center", fontsize=small())
        text.set_color("black" if luminance > 0.5 else "white")
        text.set_fontweight("bold" if reach.iat[i, j] else "normal")
    axis.set_ylim(len(values) - 0.5, -0.5)
    axis.set_xlim(-0.5, values.shape[1] - 0.5)
    for spot in np.arange(0.5, len(values) - 1):
        axis.axhline(spot, color="white", linewidth=0.4 * scale())
