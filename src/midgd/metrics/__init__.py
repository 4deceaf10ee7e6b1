"""Scores as pure functions of arrays, all on log1p CPM and never with the true miRNA library."""

from __future__ import annotations

from midgd.metrics.bootstrap import bootstrap_interval, bootstrap_values, percentile_interval
from midgd.metrics.calibration import calibration_table, interval_coverage
from midgd.metrics.clusters import adjusted_rand_index
from midgd.metrics.correlation import per_feature_correlation, per_sample_correlation, within_group_correlation
from midgd.metrics.error import rmse_log_cpm
from midgd.metrics.folds import fold_difference_correlation
from midgd.metrics.ranking import auroc
from midgd.metrics.scale import expressed, log1p_cpm

__all__ = [
    "adjusted_rand_index",
    "auroc",
    "bootstrap_interval",
    "bootstrap_values",
    "calibration_table",
    "expressed",
    "fold_difference_correlation",
    "interval_coverage",
    "log1p_cpm",
    "per_feature_correlation",
    "per_sample_correlation",
    "percentile_interval",
    "rmse_log_cpm",
    "within_group_correlation",
]
