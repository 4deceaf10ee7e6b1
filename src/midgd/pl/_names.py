"""Names beside points, where there is room for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from midgd.pl.figure import scale, small

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PLACES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))  # to the right first
_DISTANCES = (3.0, 6.0, 10.0)  # points at the font size of journals
_MARKER = 1.5  # half the size of a marker, in the same points
_HORIZONTAL, _VERTICAL = {1: "left", -1: "right", 0: "center"}, {1: "bottom", -1: "top", 0: "center"}

Floats = NDArray[np.float64]


def name_points(axis: Axes, points: NDArray[Any], names: Sequence[str], *, must: bool = False) -> list[str]:
    """Write names beside points so that none lies on another; the first are placed first.

    Parameters
    ----------
    axis
        Whose limits and layout are final.
    points
        (n, 2) in data units.
    names
        (n,) texts.
    must
        Write every name, even on others and on points; otherwise those that find room beside all.

    Returns
    -------
    The names that were written.
    """
    from matplotlib.patheffects import withStroke

    figure: Any = axis.figure
    figure.draw_without_rendering()  # sizes of texts are known after the layout only
    pixels = axis.transData.transform(np.asarray(points, dtype=float).reshape(-1, 2))
    per_point = scale() * figure.dpi / 72
    taken = np.empty((0, 4)) if must else np.vstack([_markers(pixels, per_point), *_legend(axis)])
    inside = np.array(axis.get_window_extent().extents)
    style: dict[str, Any] = {"fontsize": small(), "textcoords": "offset points", "zorder": 5}
    style["path_effects"] = [withStroke(linewidth=1.5 * scale(), foreground="white")]
    written = []
    for point, pixel, name in zip(points, pixels, names, strict=True):
        text = axis.annotate(name, tuple(point), (0, 0), **style)
        text.set_in_layout(False)
        size = np.array(text.get_window_extent().size)
        found = next((p for p in _places(pixel, size, per_point) if _is_free(p[1], taken, inside)), None)
        if found is None and not must:
            text.remove()
            continue
        (x, y, distance), box = found or next(_places(pixel, size, per_point))
        text.set_position((x * distance * scale(), y * distance * scale()))
        text.set(horizontalalignment=_HORIZONTAL[x], verticalalignment=_VERTICAL[y])
        taken = np.vstack([taken, box])
        written.append(name)
    return written


def _places(pixel: Floats, size: Floats, per_point: float) -> Iterator[tuple[tuple[int, int, float], Floats]]:
    """Sides and distances, and the box (left, bottom, right, top) that a name would take there."""
    for distance in _DISTANCES:
        for x, y in _PLACES:
            middle = pixel + np.array([x, y]) * (distance * per_point + size / 2)
            yield (x, y, distance), np.concatenate([middle - size / 2, middle + size / 2])


def _is_free(box: Floats, taken: Floats, inside: Floats) -> bool:
    within = (box[:2] >= inside[:2]).all() and (box[2:] <= inside[2:]).all()
    return bool(within) and not ((box[:2] < taken[:, 2:]) & (box[2:] > taken[:, :2])).all(1).any()


def _markers(pixels: Floats, per_point: float) -> Floats:
    half = _MARKER * per_point
    return np.hstack([pixels - half, pixels + half])


def _legend(axis: Axes) -> list[Floats]:
    legend = axis.get_legend()
    return [] if legend is None else [np.array([legend.get_window_extent().extents])]
