"""Names that a user gives, as positions; what is unknown is one error that names close ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from midgd._text import meant, shown

if TYPE_CHECKING:
    from midgd.reference import Reference

# Largest shift of log1p CPM that can be asked for: miRNAs of all samples lie between 0 and 14.
LARGEST_SHIFT = 14.0


def positions(names: Sequence[str], known: Sequence[str], argument: str, what: str) -> NDArray[np.int64]:
    """Position of each name among those that are known, letter for letter.

    Raises
    ------
    KeyError
        If one is unknown.
    """
    place = {name: i for i, name in enumerate(known)}
    for name in names:
        if name not in place:
            raise KeyError(unknown(name, known, argument, what))
    return np.array([place[name] for name in names], np.int64)


def unknown(name: object, known: Sequence[str], argument: str, what: str) -> str:
    """An error message about a name, with names that are spelled alike."""
    return f"{argument}={shown(name)} is not among the {len(known):,} {what}.{meant(name, known)}"


def outputs_of(
    reference: Reference, shifts: Mapping[str, float], level: str, argument: str
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Which outputs of a reference shift, and by how much.

    Raises
    ------
    KeyError
        If a name is unknown.
    ValueError
        If there are none, one twice, or a shift is not a number of a possible size.
    """
    if not isinstance(shifts, Mapping) or not shifts:
        raise ValueError(
            f"{argument}={shown(shifts)} must be a dictionary of miRNAs and shifts in natural log1p CPM, such as"
            " {'hsa-miR-21-5p': 0.69}."
        )
    names, vocabulary = list(shifts), reference.mirnas(level)
    found = vocabulary.match(names)
    for name, index in zip(names, found, strict=True):
        if index < 0:
            raise KeyError(unknown(name, vocabulary.names, argument, f"{level} miRNAs of {reference.name!r}"))
    if len(set(found.tolist())) < len(found):
        raise ValueError(f"{argument}= has one miRNA under two names: {', '.join(map(shown, names[:5]))}.")
    for name, shift in shifts.items():
        if isinstance(shift, bool) or not isinstance(shift, int | float | np.number) or not abs(shift) <= LARGEST_SHIFT:
            raise ValueError(
                f"{argument}[{shown(name)}]={shown(shift)} must be a shift of natural log1p CPM between"
                f" -{LARGEST_SHIFT:g} and {LARGEST_SHIFT:g}."
            )
    return found + reference.outputs(level).start, np.array([float(s) for s in shifts.values()], np.float32)
