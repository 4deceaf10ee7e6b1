"""What the process did to torch before must not reach our answers, and what we do must not reach the process.

Most settings of torch belong to a thread: gradients, inference mode, autocast, the default device, the number of
threads. A new thread has none of them. It also computes on one core, so that torch opens no pool of threads in the
caller's process: a process that is forked later would wait for them for ever. Settings of the whole process are set
while we compute and restored afterwards.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
Result = TypeVar("Result")

_lock = threading.Lock()
# Number of calls that have changed the settings of torch at the moment, and the settings before the first of them.
_users = 0
_before: tuple[torch.dtype, str, int] = (torch.float32, "highest", 1)  # type, precision, threads


@contextmanager
def own_settings() -> Iterator[None]:
    """Single precision, not rounded further in products, while at least one caller is inside.

    The number of threads is restored as well: the last number that any thread asks for is what later threads of the
    process begin with.
    """
    global _users, _before
    with _lock:
        if not _users:
            _before = torch.get_default_dtype(), torch.get_float32_matmul_precision(), torch.get_num_threads()
            _set(torch.float32, "highest")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _set(*_before[:2])
                torch.set_num_threads(_before[2])


def _set(dtype: torch.dtype, precision: str) -> None:
    # Only what differs: a call with an unusual setting may warn.
    if torch.get_default_dtype() != dtype:
        torch.set_default_dtype(dtype)
    if torch.get_float32_matmul_precision() != precision:
        torch.set_float32_matmul_precision(precision)


@contextmanager
def one_core_threads(n: int) -> Iterator[ThreadPoolExecutor]:
    """Up to n new threads of one core each."""
    with own_settings():
        pool = ThreadPoolExecutor(n, "midgd", initializer=torch.set_num_threads, initargs=(1,))
        try:
            yield pool
        finally:
            # After an error or Ctrl-C, tasks that wait in the queue are not begun.
            pool.shutdown(wait=True, cancel_futures=True)


def apart(function: Callable[P, Result]) -> Callable[P, Result]:
    """A function that computes in a thread of its own, with torch as it is after its import."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Result:
        with one_core_threads(1) as pool:
            return pool.submit(function, *args, **kwargs).result()

    return wrapped
