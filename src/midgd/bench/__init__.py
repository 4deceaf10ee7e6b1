"""The benchmark: every arm on the same splits in one run (``midgd.bench.run``)."""

from __future__ import annotations

from midgd.bench.data import PairedData, evaluated, load, load_splits, split
from midgd.bench.methods import ARMS, Arm
from midgd.bench.scenarios import FAMILIES, settings
from midgd.bench.study import Setting
from midgd.bench.table import run

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
