"""The scvi-tools-style model: train on your own pairs of mRNA and miRNA."""

from midgd.model._midgd import MIDGD

__all__ = ["MIDGD"]
