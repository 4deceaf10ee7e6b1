from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from midgd.pl._grid import color_bar, grid_axes, name_axes, z_scores
from midgd.pl.figure import DIVERGING, GREY, SEQUENTIAL, drawing, finish, scale, small
from midgd.pl.values import accuracy, group_means, groups, named, result_of, trust

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LARGEST, _SMALLEST = 64.0, 2.0  # square points of a dot at trust 1, and at 0, where it stays visible
# Values of trust that the legend shows.
_EXAMPLES = (0.2, 0.5, 0.8)
_LEGEND = 12.0  # mm


def dotplot(
    adata: AnnData,
    mirnas: str | Sequence[str],
    groupby: str | None = None,
    *,
    z_score: bool = False,
    depth: str | None = None,
    swap_axes: bool = False,
    key: str = "mirna",
    figsize: tuple[float, float] | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: bool | str | Path | None = None,
) -> Axes | None:
    r"""Mean of inferred miRNAs by group; the larger a dot, the more can it be trusted.

    Colour is the mean log CPM of the group. The size of a dot is

    .. math:: t_{gm} = \max(\rho_m, 0) \cdot \frac{1}{n_g} \sum_{i \in g} [s_i < 0.5],

    the Spearman correlation :math:`\rho_m` of the miRNA over held-out samples, times the share of the group's
    :math:`n_g` cells that are within the domain of the reference (out-of-domain score :math:`s_i` below 0.5). A miRNA
    whose accuracy is not known has the smallest dot. The correlation is over tissues and tumours: it says how well
    this miRNA follows from mRNA, not how well it tells your groups apart.

    Parameters
    ----------
    adata
        After :func:`midgd.tl.infer_mirna`; it is not changed.
    mirnas
        Names of miRNAs, in the order of the plot.
    groupby
        Column of ``obs``; by default the nearest kind of the reference.
    z_score
        Colour each miRNA by its difference to its mean over the groups, in standard deviations of the groups.
    depth
        Which held-out accuracy: ``"umi_1000"`` at 1,000 counts, ``"bulk"`` as sequenced. By default the first for cells
        and spots, the second for tissues.
    swap_axes
        miRNAs as rows; by default they are columns.
    key
        ``key_added`` of the results.
    figsize
        Inches; by default 3.6 mm for each row and column when the font has 7 points, larger with the font.
    ax
        Axes to draw on.
    show
        Show the figure and return nothing; by default as ``scanpy.settings.autoshow`` says.
    save
        Save the figure: a text is added to the name ``dotplot`` and goes to ``scanpy.settings.figdir``, a
        :class:`~pathlib.Path` is the file itself.

    Returns
    -------
    Axes with ``show=False``.

    Raises
    ------
    KeyError
        If there are no results, or a miRNA, the column or the depth is unknown.
    ValueError
        If no miRNA is named, or the column has more than 100 groups.

    Examples
    --------
    >>> midgd.pl.dotplot(adata, ["hsa-miR-223-3p", "hsa-miR-150-5p"], groupby="cell_type")  # doctest: +SKIP
    """
    names = named(mirnas, "mirnas")
    cells = result_of(adata, key, names)
    labels = groups(cells, groupby, key)
    means, trusted = group_means(cells, labels), trust(cells, labels, key, depth)
    colour = z_scores(means) if z_score else means
    if swap_axes:
        colour, trusted = colour.T, trusted.T
    with drawing():
        axis = grid_axes(colour, figsize, ax, _LEGEND)
        limit = float(np.abs(colour.to_numpy()).max()) if z_score else None
        rows, columns = np.indices(colour.shape)
        dots = axis.scatter(
            *(columns.ravel(), rows.ravel(), _area(trusted.to_numpy().ravel()), colour.to_numpy().ravel()),
            cmap=SEQUENTIAL if limit is None else DIVERGING,
            vmin=None if limit is None else -limit,
            vmax=limit,
            edgecolors=GREY,
            linewidths=0.3 * scale(),
        )
        name_axes(axis, colour)
        color_bar(axis, dots, "z-score of log CPM" if z_score else "mean log CPM")
        _explain_sizes(axis, accuracy(cells, key, depth)[1])
        return finish(axis, "dotplot", show=show, save=save, own=ax is None)


def _area(trusted: NDArray[np.float64]) -> NDArray[np.float64]:
    return (_SMALLEST + (_LARGEST - _SMALLEST) * trusted) * scale() ** 2


def _explain_sizes(axis: Axes, depth: str) -> None:
    areas = _area(np.array(_EXAMPLES))
    dots = [axis.scatter([], [], area, color=GREY, label=str(t)) for area, t in zip(areas, _EXAMPLES, strict=True)]
    style: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "ncols": len(dots), "frameon": False}
    style |= {"fontsize": small(), "title_fontsize": small(), "handletextpad": 0.2, "columnspacing": 1.0}
    title = f"trust: held-out Spearman {depth}\nx share of cells within the domain"
    axis.legend(handles=dots, title=title, **style)
