"""The benchmark: every arm on the same splits in one run (``midgd.bench.run``)."""

from __future__ import annotations

from midgd.bench.arms import ARMS, Arm
from midgd.bench.data import PairedData, evaluated, load, load_splits, split
from midgd.bench.run import run
from midgd.bench.settings import FAMILIES, settings
from midgd.bench.study import Setting

__all__ = [
    "ARMS",
    "FAMILIES",
    "Arm",
    "PairedData",
    "Setting",
    "evaluated",
    "load",
    "load_splits",
    "run",
    "settings",
    "split",
]
