"""Work on the next item while the caller is busy with this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items in the same order, of which the next is made in a thread of its own meanwhile.

    Reading, checking and predicting of rows share the cores so. An error comes where the item would have come.
    """
    source, end = iter(items), object()
    with ThreadPoolExecutor(1, "midgd-ahead") as pool:
        coming = pool.submit(next, source, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, source, end)
            yield item  # type: ignore[misc]  # mypy does not know that only `end` is not an item
