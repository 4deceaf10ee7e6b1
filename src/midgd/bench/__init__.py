"""The benchmark: every method on the same splits in one run (``midgd.bench.run``)."""

from __future__ import annotations

from midgd.bench.data import PairedData, load, load_splits, scored_mirnas, split
from midgd.bench.methods import METHODS, Method
from midgd.bench.scenarios import FAMILIES, make_scenarios
from midgd.bench.study import Scenario
from midgd.bench.table import run
from midgd.bench.variants import ablation, write_ablation

# Names of the first version, for calls that exist.
ARMS, Arm, Setting, evaluated, settings = METHODS, Method, Scenario, scored_mirnas, make_scenarios

__all__ = [
    "FAMILIES",
    "METHODS",
    "Method",
    "PairedData",
    "Scenario",
    "ablation",
    "load",
    "load_splits",
    "make_scenarios",
    "run",
    "scored_mirnas",
    "split",
    "write_ablation",
]
