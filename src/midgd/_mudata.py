"""MuData whose columns stay where they are, with any version of mudata."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import mudata


@contextmanager
def without_pulling() -> Iterator[None]:
    """Columns of a modality are not copied to the whole; from mudata 0.4 on they never are."""
    options = getattr(mudata, "set_options", None)
    with nullcontext() if options is None else options(pull_on_update=False):
        yield
