"""Mutants of files, and a process with bounds in which something is done with as many of them as time allows.

``MIDGD_FUZZ_SECONDS`` (default 20) is the time of each campaign and ``MIDGD_FUZZ_SEED`` (default 0) where it begins.
"""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

SECONDS = float(os.environ.get("MIDGD_FUZZ_SECONDS", "20"))
SEED = int(os.environ.get("MIDGD_FUZZ_SEED", "0"))
ONE, MEGABYTES = 30, 1_500  # seconds and memory of one mutant
LEAST = 60  # mutants, also on a slow machine
TOKENS = (
    *(b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\n", b"\t", b",", b'"', b"'", b"#", b"\r", b"\\"),
    *(b"[", b"]", b"{", b"}", b"null", b"true", b"NaN", b"1e999", b"-1", b"0", b"9" * 400, b"-0.0", b"1e-400"),
    *(
        b"\\u0000",
        b"\\ud800",
        b"\x1b[2J",
        b"../",
        b"\xe2\x80\xae",
        b"\x1f\x8b",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"__class__",
    ),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 10**30, 0.5, -0.0, float("nan"), float("inf"), 1e300),
    *("", "x", "\0", "hsa-miR-21-5p", "../x", "\ud800", "y" * 20_000, [], [[]], [0], [None], {}, {"": 0}, {"x": []}),
)


def mutate(content: bytes, rng: random.Random) -> bytes:
    """A file with one to four small changes."""
    made = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(made) + 1)
        span = min(rng.choice((1, 2, 4, 8, 64, 1_000)), len(made) - at)
        match rng.randrange(8):
            case 0 | 1 if span:
                made[at] ^= 1 << rng.randrange(8)
            case 2:
                made[at : at + span] = rng.choice(TOKENS)
            case 3:
                made[at:at] = rng.choice(TOKENS)
            case 4:
                del made[at : at + span]
            case 5:
                made[at:at] = made[at : at + span] * rng.choice((1, 2, 30))
            case 6:
                other = rng.randrange(len(made) + 1)
                made[at : at + span] = made[other : other + span]
            case 7 if rng.random() < 0.2:
                del made[at:]
    return bytes(made)


def mutate_json(value: Any, rng: random.Random) -> Any:
    """A copy of JSON with one part of it changed."""
    made = json.loads(json.dumps(value))
    parent, key = None, None
    here = made
    while isinstance(here, dict | list) and here and (parent is None or rng.random() < 0.8):
        parent, key = here, rng.choice(list(here)) if isinstance(here, dict) else rng.randrange(len(here))
        here = here[key]
    match rng.randrange(5):
        case 0 | 1 if parent is not None:
            parent[key] = rng.choice(VALUES)
        case 2 if parent is not None:
            del parent[key]
        case 3 if isinstance(parent, list):
            parent.insert(key, rng.choice([*VALUES, *parent[:3]]))
        case _ if isinstance(parent, dict):
            parent[rng.choice([*parent, "unknown"])] = rng.choice([*VALUES, *parent.values()])
    return made


def campaign(folder: Path, make: Callable[[random.Random], bytes], judge: Callable[[bytes], str]) -> Counter[str]:
    """Make mutants and judge them until time is up; how often each judgement was given.

    An exception in ``judge``, a hang, much memory or the death of the process fail the test, and leave the mutant as
    ``mutant`` in the folder.
    """
    child = os.fork()
    if not child:
        try:
            _work(folder, make, judge)
            os._exit(0)
        except BaseException:  # noqa: BLE001  the parent is told
            (folder / "failure").write_text(traceback.format_exc()[-6_000:])
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    failure = folder / "failure"
    assert status == 0, failure.read_text() if failure.exists() else f"the process ended with {status}; see {folder}"
    counts = Counter(json.loads((folder / "counts").read_text()))
    print(f"{sum(counts.values())} mutants: {dict(counts)}")
    return counts


def _work(folder: Path, make: Callable[[random.Random], bytes], judge: Callable[[bytes], str]) -> None:
    torch.set_num_threads(1)
    logging.getLogger("midgd").setLevel(logging.CRITICAL)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (MEGABYTES << 20),) * 2)

    def hangs(*_: object) -> None:
        raise AssertionError(f"it takes more than {ONE} s of the processor")

    signal.signal(signal.SIGVTALRM, hangs)
    rng, counts, end = random.Random(SEED), Counter[str](), time.monotonic() + SECONDS
    while time.monotonic() < end or counts.total() < LEAST:
        mutant = make(rng)
        (folder / "mutant").write_bytes(mutant)
        signal.setitimer(signal.ITIMER_VIRTUAL, ONE)
        counts[judge(mutant)] += 1
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    (folder / "counts").write_text(json.dumps(counts))


def refusal(error: Exception) -> str:
    """The judgement on an error that midgd means to give: short, and without codes for a terminal."""
    message = str(error)
    assert len(message) < 3_000 and all(c.isprintable() or c == "\n" for c in message), message
    return "refused"
