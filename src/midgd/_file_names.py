"""Names that are plain file names on Linux, macOS and Windows alike."""

from __future__ import annotations

import re

# On Windows these are devices, with any ending; "C:x" is on another drive; "x." and "x " are x.
_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³]) *(\..*)?", re.IGNORECASE | re.DOTALL)
_NOT_IN_NAMES = re.compile(r'[/\\:<>"|?*\x00-\x1f\x7f]|[. ]\Z')


def is_plain_name(name: str) -> bool:
    """Whether a name stays in its folder and names a file of its own on every system.

    Examples
    --------
    >>> [is_plain_name(name) for name in ("a.tsv", "../a", "C:a", "nul.tsv", "a.")]
    [True, False, False, False, False]
    """
    return bool(name) and not _NOT_IN_NAMES.search(name) and not _DEVICE.fullmatch(name)
