"""Results as objects that other packages take."""

from midgd.get._interval import interval
from midgd.get._mirna import mirna

__all__ = ["interval", "mirna"]
