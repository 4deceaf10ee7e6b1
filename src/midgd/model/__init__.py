"""The scvi-tools-style model: train on your own pairs of mRNA and miRNA."""

from midgd.model._needed import check_needed

check_needed()

from midgd.model._midgd import MIDGD  # noqa: E402

__all__ = ["MIDGD"]
