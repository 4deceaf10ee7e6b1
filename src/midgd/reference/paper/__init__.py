"""The published models of Zamani et al. 2026 as references: their files are read without running anything in them."""

from midgd.reference.paper.convert import convert_midgd_paper

__all__ = ["convert_midgd_paper"]
