"""Real cells: what sorted cells, primary cells, lines and normal tissues have of mRNA and of miRNA, by kind."""

from midgd.bench.cells.kinds import Kind, load_kinds
from midgd.bench.cells.mirnas import MicroRnaome
from midgd.bench.cells.pairs import LabelPairs, label_pairs
from midgd.bench.cells.profiles import Profiles

__all__ = ["Kind", "LabelPairs", "MicroRnaome", "Profiles", "label_pairs", "load_kinds"]
