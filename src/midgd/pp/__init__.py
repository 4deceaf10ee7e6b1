"""Preparation: what of a query a reference can use."""

from midgd.pp._align_genes import align_genes

__all__ = ["align_genes"]
