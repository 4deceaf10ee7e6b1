from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from midgd.adata.results import latent_key
from midgd.infer.centres import KindMap, kind_centres
from midgd.pl._names import name_points
from midgd.pl.figure import GREY, PAGE, PALE, PALETTE, drawing, finish, new_figure, scale, small
from midgd.pl.values import column, nearest_column, outside
from midgd.reference import Reference, load

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CLOUD = 2_000  # draws of the prior that are drawn
_RARE = 0.01  # share of the query from which a kind counts for the axes and is named
_GROUPS = {"cell": ("o", "cells"), "line": ("s", "cell lines"), "tissue": ("^", "tissues and tumours")}


def reference_map(
    adata: AnnData | None = None,
    reference: str | Path | Reference = "default",
    *,
    key: str = "mirna",
    figsize: tuple[float, float] | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: bool | str | Path | None = None,
) -> Axes | None:
    """The latent space of a reference with its kinds of samples, and the cells of a query on top.

    Kinds of cells are dots, cell lines squares, tissues and tumours triangles, each at the mean latent of its kind
    (:mod:`midgd.infer.centres`). Pale points are draws of the prior: where training samples are common. A point shows
    in which direction a latent lies, seen from the mean of all. The axes are the two that set kinds apart best: all
    kinds alike without a query; with one, those that it is nearest to, each by its number of cells. The query has the
    colours of its seven most frequent nearest kinds. Two dimensions of 128 show little: which kind a cell is nearest to
    is in ``obs``.

    Parameters
    ----------
    adata
        Query after :func:`midgd.tl.infer_mirna`; it is not changed. None draws the reference alone.
    reference
        The reference of the results: name, path or object.
    key
        ``key_added`` of the results.
    figsize
        Inches; by default as wide as a page of a journal (170 mm) when the font has 7 points, larger with the font.
    ax
        Axes to draw on.
    show
        Show the figure and return nothing; by default as ``scanpy.settings.autoshow`` says.
    save
        Save the figure: a text is added to the name ``reference_map`` and goes to ``scanpy.settings.figdir``, a
        :class:`~pathlib.Path` is the file itself.

    Returns
    -------
    Axes with ``show=False``.

    Raises
    ------
    KeyError
        If there are no latents or nearest kinds under this key.
    ValueError
        If the reference has no kinds, or the results come from another one.

    Examples
    --------
    >>> midgd.pl.reference_map(adata)  # doctest: +SKIP
    """
    model = load(reference)
    if model.kinds is None:
        raise ValueError(f"reference {model.name!r} knows no kinds of samples, so there is nothing to draw.")
    names = np.array(model.kind_names)
    query = None if adata is None else _Query(adata, model, key)
    weight = np.full(len(names), 1.0 / len(names)) if query is None else query.weight
    centres = kind_centres(model.prior, model.kinds)
    plane = KindMap.of(centres, weight)
    place = plane.place(centres.mean)
    with drawing():
        axis = ax if ax is not None else new_figure(PAGE, 110.0, figsize).add_subplot()
        cloud = plane.place(centres.draws[:_CLOUD])
        size = 2 * scale() ** 2
        axis.scatter(cloud[:, 0], cloud[:, 1], size, color=PALE, linewidths=0, zorder=0, label="draws of the prior")
        colors = dict.fromkeys(names, GREY)
        if query is not None:
            colors |= query.colors
            _draw_query(axis, plane.place(query.latents), query)
        first = np.argsort(-weight, kind="stable")
        named = first if query is None else first[query.share[first] >= _RARE]
        _draw_kinds(axis, place, model, colors, set(named))
        axis.set_xlabel("direction 1")
        axis.set_ylabel("direction 2")
        axis.set_aspect("equal", adjustable="datalim")
        legend = axis.legend(loc="best", frameon=False, fontsize=small())
        for handle in legend.legend_handles:  # colours are those of kinds, the legend is about shapes
            if handle is not None and handle.get_label() != "draws of the prior":
                handle.set(color=GREY)
        name_points(
            axis,
            place[named],
            [str(name) for name in names[named]],
            must=query is not None and len(named) <= len(PALETTE),
        )
        return finish(axis, "reference_map", show=show, save=save, own=ax is None)


class _Query:
    """Latents of a query with what is needed to draw them."""

    def __init__(self, adata: AnnData, model: Reference, key: str) -> None:
        name = latent_key(key)
        if name not in adata.obsm:
            raise KeyError(f"adata.obsm has no latents {name!r}. Run midgd.tl.infer_mirna(adata) first, or name key=.")
        made_by = adata.uns.get(key, {}).get("reference", {})
        if made_by and made_by.get("sha256") != model.sha256:
            raise ValueError(
                f"the results come from reference {made_by.get('name')!r}, sha256 {str(made_by.get('sha256'))[:12]},"
                f" and {model.name!r} has {model.sha256[:12]}: pass the one that made them as reference=."
            )
        self.latents = np.asarray(adata.obsm[name], dtype=float)
        self.nearest = column(adata, nearest_column(key), "nearest kinds").astype(str).to_numpy()
        self.far: NDArray[np.bool_] = outside(adata, key)
        share = pd.Series(self.nearest).value_counts(normalize=True).reindex(list(model.kind_names)).fillna(0.0)
        self.colors = dict(zip(share.nlargest(len(PALETTE)).loc[lambda s: s > 0].index, PALETTE, strict=False))
        self.share = share.to_numpy()
        # Every kind counts a little, so that there are two axes even where all cells are of one kind.
        self.weight = (self.share + 1e-3) / (self.share + 1e-3).sum()


def _draw_kinds(
    axis: Axes, place: NDArray[np.float64], model: Reference, colors: dict[str, str], named: set[int]
) -> None:
    for group, (marker, words) in _GROUPS.items():
        of = [i for i, g in enumerate(model.kind_groups) if g == group]
        if not of:
            continue
        x, y = place[of].T
        sizes = [(20 if i in named else 8) * scale() ** 2 for i in of]
        fill = [colors[model.kind_names[i]] for i in of]
        edges = ["black" if i in named else "white" for i in of]
        drawn = axis.scatter(x, y, sizes, fill, marker=marker, edgecolors=edges, linewidths=0.4 * scale(), zorder=3)
        drawn.set_label(words)


def _draw_query(axis: Axes, where: NDArray[np.float64], query: _Query) -> None:
    size = float(np.clip(20_000 / max(len(where), 1), 1.0, 8.0)) * scale() ** 2
    colors = pd.Series(query.nearest).map(query.colors).fillna(GREY).to_numpy()
    near = ~query.far
    x, y = where[near].T
    axis.scatter(x, y, size, colors[near], alpha=0.6, linewidths=0, zorder=2, label="query")
    if query.far.any():
        x, y = where[query.far].T
        hollow = axis.scatter(
            x, y, size, facecolors="none", edgecolors=list(colors[query.far]), linewidths=0.4 * scale()
        )
        hollow.set(label="query outside the reference", zorder=2)
