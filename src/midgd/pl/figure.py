"""Sizes, colours, texts and files that all pictures share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN, PAGE = 85.0, 170.0  # mm, the widths of figures in journals
JOURNAL_FONT = 7.0  # points, at which a figure is drawn in the millimetres given here
SMALLEST = 6.0 / 7.0  # of the user's font size: 6 pt at 7 pt
# Inches of a millimetre; dots per inch that journals ask for.
_MM, _DPI = 1.0 / 25.4, 300
_ENDINGS = (".svg", ".pdf", ".png")  # that scanpy looks for in save=

# Okabe & Ito 2008, colours that people with any colour vision tell apart. Yellow is left out: too pale on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE, VERMILION = PALETTE[:2]
PALE, GREY = "0.85", "0.55"
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"


def scale() -> float:
    """The user's font size over that of journals: figures grow with their texts, so nothing collides."""
    from matplotlib import rcParams

    return float(rcParams["font.size"]) / JOURNAL_FONT


def small() -> float:
    """The smallest font size in use, in points."""
    return SMALLEST * JOURNAL_FONT * scale()


def inches(width: float, height: float) -> tuple[float, float]:
    """Size of a figure for millimetres at the font size of journals."""
    return width * _MM * scale(), height * _MM * scale()


def new_figure(width: float, height: float, figsize: tuple[float, float] | None = None) -> Figure:
    """A figure of pyplot, in millimetres at the font size of journals, or in inches as the user says."""
    import matplotlib.pyplot as plt

    return plt.figure(figsize=figsize or inches(width, height), layout="constrained")


@contextmanager
def drawing() -> Iterator[None]:
    """Draw with the user's settings, but take names from data for names: a ``$`` starts no formula."""
    import matplotlib.pyplot as plt

    # The sizes follow the user's font size; they may have been set apart from it.
    parts = ("axes.labelsize", "axes.titlesize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize")
    style: Any = dict.fromkeys(parts, "medium") | {"text.parse_math": False, "axes.grid": False}
    with plt.rc_context(style):
        yield


def finish(
    axes: Axes | Sequence[Axes], name: str, *, show: bool | None, save: bool | str | Path | None, own: bool
) -> Any:
    """Save and show a picture as scanpy does, and return its axes unless it was shown.

    Parameters
    ----------
    axes
        What is returned.
    name
        How the file is called before what ``save`` adds.
    show
        None takes ``scanpy.settings.autoshow``.
    save
        A text is added to the name and the file goes to ``scanpy.settings.figdir``, an ending ``.png``, ``.pdf`` or
        ``.svg`` chooses its kind; True adds nothing; a :class:`~pathlib.Path` is the file itself.
    own
        Whether the figure was made for this picture: then it is closed when it was saved.
    """
    import matplotlib.pyplot as plt
    from scanpy import settings

    figure: Any = (axes[0] if isinstance(axes, Sequence) else axes).figure
    save = settings.autosave if save is None else save
    show = settings.autoshow if show is None else show
    if save:
        save_figure(figure, _file(name, save), own=own)
    if show:
        plt.show()
    if save and own:
        plt.close(figure)
    return None if show else axes


def _file(name: str, save: bool | str | Path) -> Path:
    from scanpy import settings

    if isinstance(save, Path):
        return save
    text = save if isinstance(save, str) else ""
    ending = next((e for e in _ENDINGS if text.endswith(e)), f".{settings.file_format_figs}")
    return Path(settings.figdir) / f"{name}{text.removesuffix(ending)}{settings.plot_suffix}{ending}"


def save_figure(figure: Any, path: Path, *, own: bool = True) -> None:
    """Write a figure, whole or not at all, in the kind that its ending says."""
    from matplotlib import rcParams

    from midgd._files import new_file
    from midgd.settings import logger

    kind = path.suffix.removeprefix(".")
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise ValueError(f"save={str(path)!r}: the ending must be one of {', '.join(f'.{e}' for e in sorted(known))}.")
    dpi = rcParams["savefig.dpi"]
    with new_file(path) as new:
        # Own figures keep their width to the millimetre, with everything inside.
        figure.savefig(
            new, format=kind, dpi=_DPI if isinstance(dpi, str) else dpi, bbox_inches=None if own else "tight"
        )
    logger.info("saved %s", path)
