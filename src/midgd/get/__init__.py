"""Results as objects that other packages take."""

from midgd.get._mirna import mirna

__all__ = ["mirna"]
