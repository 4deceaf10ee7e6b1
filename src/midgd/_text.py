"""Text that others wrote, in messages: short, on one line and without codes that a terminal would obey."""

from __future__ import annotations

import reprlib

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
