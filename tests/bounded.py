"""Running something that might never end or fill the memory."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch


def outcome(action: Callable[[], object], *, seconds: int = 20, megabytes: int = 1_000) -> tuple[str, str]:
    """Type and message of the error that an action ends with, ``("", "")`` if it ends well.

    It runs in a process of its own, which may take so much time, and so much memory beyond what this process has.
    """
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        answer = ("KilledError", "")
        try:
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + (megabytes << 20),) * 2)
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            # The threads of the parent's torch do not exist here: work given to them would never be done.
            torch.set_num_threads(1)
            action()
            answer = ("", "")
        except Exception as error:  # noqa: BLE001  whatever it is, the parent is told
            answer = (type(error).__name__, str(error))
            if not isinstance(error, ValueError):
                traceback.print_exc()
        finally:
            os.write(send, pickle.dumps(answer)[:65_000])
            os._exit(0)
    os.close(send)
    deadline = time.monotonic() + 3 * seconds
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
        time.sleep(0.005)
    if not ended[0]:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with os.fdopen(receive, "rb") as stream:
        content = stream.read()
    return pickle.loads(content) if content else ("KilledError", f"status {ended[1]}")
