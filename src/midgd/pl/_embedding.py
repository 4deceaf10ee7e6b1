from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from midgd.pl._grid import color_bar
from midgd.pl.figure import GREY, PAGE, SEQUENTIAL, drawing, finish, new_figure, scale, small
from midgd.pl.values import named, outside, result_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# scanpy's default: so many square points, shared by the cells, in a figure of 6.4 by 4.8 inches.
_INK = 120_000 / (6.4 * 4.8)


def embedding(
    adata: AnnData,
    mirna: str | Sequence[str],
    basis: str = "umap",
    *,
    key: str = "mirna",
    ncols: int = 3,
    figsize: tuple[float, float] | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: bool | str | Path | None = None,
    **kwargs: Any,
) -> Axes | list[Axes] | None:
    """Inferred miRNAs on an embedding of the cells, such as a UMAP.

    Colour is log CPM. Cells outside the domain of the reference (out-of-domain score of 0.5 or more) are hollow grey
    circles: for them the colour would say more than is known.

    Parameters
    ----------
    adata
        After :func:`midgd.tl.infer_mirna`; it is not changed.
    mirna
        A miRNA, ``"hsa-miR-223-3p"``, or several: a panel each.
    basis
        Name in ``obsm``, with or without ``X_``.
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
        Save the figure: a text is added to the name ``embedding`` and goes to ``scanpy.settings.figdir``
        (``"_blood.pdf"``), a :class:`~pathlib.Path` is the file itself.
    kwargs
        Go to :func:`scanpy.pl.embedding`: ``size``, ``vmax``, ``frameon``, ``cmap``...

    Returns
    -------
    Axes with ``show=False``, a list of them for several miRNAs.

    Raises
    ------
    KeyError
        If there are no results, or the miRNA or the embedding is unknown.
    ValueError
        If ``ax`` is given for several miRNAs.

    Examples
    --------
    >>> midgd.pl.embedding(adata, ["hsa-miR-223-3p", "hsa-miR-150-5p"], basis="umap")  # doctest: +SKIP
    """
    names = named(mirna, "mirna")
    _check_basis(adata, basis)
    cells = result_of(adata, key, names)
    far = outside(cells, key)
    with drawing():
        _, axes = panels(len(names), ncols, figsize, ax)
        for axis, name in zip(axes, names, strict=True):
            _draw(cells, name, basis, far, axis, kwargs)
        if far.any():
            explain_hollow(axes[-1], int(far.sum()))
        one = isinstance(mirna, str)
        return finish(axes[0] if one else axes, "embedding", show=show, save=save, own=ax is None)


def _check_basis(adata: AnnData, basis: str) -> None:
    if basis in adata.obsm or f"X_{basis}" in adata.obsm:
        return
    there = [name for name, value in adata.obsm.items() if isinstance(value, np.ndarray)]
    raise KeyError(
        f"basis={basis!r} is not in adata.obsm (arrays there: {', '.join(there) or 'none'}); sc.tl.umap makes 'umap'."
    )


def panels(
    n: int, ncols: int, figsize: tuple[float, float] | None, ax: Axes | None, height: float = 46.0
) -> tuple[Figure, list[Axes]]:
    """Figure and axes of so many panels of a height in millimetres; the user's own for one."""
    if ax is not None:
        if n > 1:
            raise ValueError(f"ax= takes one miRNA and {n} are given: make the axes yourself, and call once for each.")
        return ax.figure, [ax]  # type: ignore[return-value]
    rows = -(-n // ncols)
    columns = -(-n // rows)
    figure = new_figure(PAGE * min(columns / 3, 1.0), rows * height, figsize)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for empty in grid[n:]:
        empty.remove()
    return figure, list(grid[:n])


def _draw(cells: AnnData, name: str, basis: str, far: NDArray[np.bool_], axis: Axes, kwargs: dict[str, Any]) -> None:
    import scanpy as sc

    area = float(np.prod(axis.get_window_extent().size)) / axis.figure.dpi**2  # square inches
    size = kwargs.get("size", _INK * area / max(cells.n_obs, 1))
    style: dict[str, Any] = {"cmap": SEQUENTIAL, "frameon": False, "colorbar_loc": None} | kwargs | {"size": size}
    # Masked cells are drawn without colour, so that hollow ones can go on top.
    mask: dict[str, Any] = {"mask_obs": ~far, "na_color": (1.0, 1.0, 1.0, 0.0)} if far.any() else {}
    sc.pl.embedding(cells, basis, color=name, ax=axis, show=False, **style, **mask)
    points = axis.collections[0]
    if far.any():
        where = np.asarray(cells.obsm[basis if basis in cells.obsm else f"X_{basis}"])[far, :2]
        areas = (
            np.broadcast_to(np.asarray(size, dtype=float), cells.n_obs)[far] / 4
        )  # the marker "." has half the width
        axis.scatter(where[:, 0], where[:, 1], areas, facecolors="none", edgecolors=GREY, linewidths=0.4 * scale())
    if kwargs.get("colorbar_loc", "right") is not None:
        color_bar(axis, points, "log CPM")


def explain_hollow(axis: Axes, n: int) -> None:
    """Say below a panel what the hollow circles are."""
    text = f"hollow: {n:,} outside the reference"
    below = -14 * scale() if axis.axison else -2  # below the name of the axis
    places: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    axis.annotate(text, (0.5, 0.0), (0, below), ha="center", va="top", fontsize=small(), **places)
