"""One page for people: what was inferred, from what, and how far to trust it (``midgd report``)."""

from midgd.report._report import report

__all__ = ["report"]
