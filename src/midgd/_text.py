"""Text that others wrote, in messages: short, on one line and without codes that a terminal would obey; close names."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable

LONGEST = 500  # characters of a message about a file

_SHORT = reprlib.Repr()
# What fits on a line of an error message.
_SHORT.maxstring = _SHORT.maxother = 60
# Of lists and the like, the first members tell enough.
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxfrozenset = _SHORT.maxdict = 4
# Of lists in each other.
_SHORT.maxlevel = 2


def shown(value: object) -> str:
    """A value as it would be written in Python, at most about 200 characters of it."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return "a very large number"
    if isinstance(value, str):
        value = value[:200]  # what is left out below must not be copied before
    try:
        return _SHORT.repr(value)
    except ValueError:  # a container of numbers with thousands of digits
        return f"a {type(value).__name__}"


def one_line(text: object, longest: int = LONGEST) -> str:
    """A text without control characters, cut after so many characters."""
    plain = "".join(c if c.isprintable() else "?" for c in str(text)[: longest + 1])
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def meant(name: object, known: Iterable[str], otherwise: str = "") -> str:
    """A question that names up to three close names: those that it is a whole part of, then those spelled alike.

    Parameters
    ----------
    name
        What was asked for.
    known
        What there is.
    otherwise
        What to say where nothing is close.

    Returns
    -------
    A sentence with a blank before it.
    """
    text, lower = str(name)[:200].lower(), {entry.lower(): entry for entry in known}
    part = re.compile(rf"(?<![a-z0-9]){re.escape(text)}(?![a-z0-9])")
    whole = [entry for key, entry in lower.items() if text and part.search(key)]
    alike = [lower[key] for key in difflib.get_close_matches(text, lower, n=3, cutoff=0.6)]
    close = list(dict.fromkeys([*whole, *alike]))[:3]
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else otherwise
