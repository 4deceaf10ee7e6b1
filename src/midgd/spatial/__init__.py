"""Continuous maps from noisy values at places; arrays only."""

from midgd.spatial.process import Places, Process, fit_process
from midgd.spatial.smooth import smooth_map

__all__ = ["Places", "Process", "fit_process", "smooth_map"]
