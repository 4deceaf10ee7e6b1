from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from midgd.pl._embedding import explain_hollow, panels
from midgd.pl._grid import color_bar
from midgd.pl.figure import GREY, SEQUENTIAL, drawing, finish, scale
from midgd.pl.values import named, outside, result_of
from midgd.spatial.spots import coordinates, spacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FILL = 0.9  # diameter of a spot over the distance of neighbours


def spatial(
    adata: AnnData,
    mirna: str | Sequence[str],
    *,
    spatial_key: str = "spatial",
    size: float = 1.0,
    key: str = "mirna",
    ncols: int = 3,
    figsize: tuple[float, float] | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: bool | str | Path | None = None,
) -> Axes | list[Axes] | None:
    """Inferred miRNAs on a tissue section.

    Colour is log CPM; spots outside the domain of the reference (out-of-domain score of 0.5 or more) are hollow. The
    y axis points down, as in images. On the image of a section, call ``squidpy.pl.spatial_scatter`` with
    :func:`midgd.get.mirna`.

    Parameters
    ----------
    adata
        One section, after :func:`midgd.tl.infer_mirna`; it is not changed.
    mirna
        A miRNA, or several: a panel each.
    spatial_key
        Name of the coordinates in ``obsm``, (n, 2).
    size
        Factor for the spots, which fill the place between their neighbours at 1.
    key
        ``key_added`` of the results.
    ncols
        Panels in a row.
    figsize
        Inches; by default as wide as a page of a journal (170 mm) when the font has 7 points, larger with the font.
    ax
        Axes to draw on; for one miRNA only.
    show
        Show the figure and return nothing; by default as ``scanpy.settings.autoshow`` says.
    save
        Save the figure: a text is added to the name ``spatial`` and goes to ``scanpy.settings.figdir``, a
        :class:`~pathlib.Path` is the file itself.

    Returns
    -------
    Axes with ``show=False``, a list of them for several miRNAs.

    Raises
    ------
    KeyError
        If there are no results or no coordinates, or the miRNA is unknown.
    ValueError
        If the coordinates are not (n, 2) finite numbers, or ``ax`` is given for several miRNAs.

    Examples
    --------
    >>> midgd.pl.spatial(section, "hsa-miR-143-3p")  # doctest: +SKIP
    """
    names = named(mirna, "mirna")
    where = coordinates(adata, spatial_key)
    cells = result_of(adata, key, names)
    far = outside(cells, key)
    diameter = _FILL * size * spacing(where)
    with drawing():
        width, height = np.ptp(where, axis=0) + diameter
        tall = float(np.clip(42.0 * height / width, 25.0, 90.0)) + 8.0  # mm
        _, axes = panels(len(names), ncols, figsize, ax, tall)
        for axis, name in zip(axes, names, strict=True):
            _draw(axis, where, np.asarray(cells[:, name].X)[:, 0], far, diameter)
            axis.set_title(name)
        if far.any():
            explain_hollow(axes[-1], int(far.sum()))
        one = isinstance(mirna, str)
        return finish(axes[0] if one else axes, "spatial", show=show, save=save, own=ax is None)


def _draw(
    axis: Axes, where: NDArray[np.float64], values: NDArray[np.float32], far: NDArray[np.bool_], diameter: float
) -> None:
    from matplotlib.collections import EllipseCollection

    def circles(chosen: NDArray[np.bool_], **style: Any) -> EllipseCollection:
        drawn = EllipseCollection(
            *(diameter, diameter, 0.0), units="xy", offsets=where[chosen], offset_transform=axis.transData, **style
        )
        axis.add_collection(drawn)
        return drawn

    spots = circles(~far, array=values[~far], cmap=SEQUENTIAL, linewidths=0, rasterized=len(values) > 5_000)
    if far.any():
        circles(far, facecolors="none", edgecolors=GREY, linewidths=0.4 * scale())
    low, high = where.min(0) - diameter, where.max(0) + diameter
    axis.set_xlim(low[0], high[0])
    axis.set_ylim(high[1], low[1])
    axis.set_aspect("equal")
    axis.set_axis_off()
    color_bar(axis, spots, "log CPM")
