"""Tools: functions that compute on AnnData and write their results into it."""

from midgd.tl._infer_mirna import infer_mirna

__all__ = ["infer_mirna"]
