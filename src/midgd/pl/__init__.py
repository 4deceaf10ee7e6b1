"""Pictures of inferred miRNA, after the conventions of ``scanpy.pl``; matplotlib is imported by the first of them."""

from midgd.pl._benchmark import benchmark
from midgd.pl._dotplot import dotplot
from midgd.pl._embedding import embedding
from midgd.pl._matrix import matrix
from midgd.pl._pair import pair
from midgd.pl._reference_map import reference_map
from midgd.pl._spatial import spatial
from midgd.pl._trust import trust

__all__ = ["benchmark", "dotplot", "embedding", "matrix", "pair", "reference_map", "spatial", "trust"]
