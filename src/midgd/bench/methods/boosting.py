"""Gradient boosting, one model per miRNA, after miRSCAPE."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from midgd.bench.data import PairedData, scored_mirnas
from midgd.bench.methods.base import Floats, Mask, log_share


class XGBoost:
    """XGBoost per miRNA on log CPM with miRSCAPE's settings: depth 4, eta 0.3, 20 rounds.

    Only the miRNAs that are scored get a model, the others their training mean. Models are not
    trained again where genes are missing: an absent gene takes its mean training log share.

    Parameters
    ----------
    n_genes
        The most variable genes that are offered to the trees; all 16,875 would take hours on two cores.
    max_bin
        Histogram bins per gene; a few hundred samples need no more.
    n_jobs
        Threads.
    """

    def __init__(self, name: str = "xgboost", *, n_genes: int = 2000, max_bin: int = 32, n_jobs: int = 2) -> None:
        self.name, self.n_genes, self.max_bin, self.n_jobs = name, n_genes, max_bin, n_jobs

    def fit(self, train: PairedData, *, seed: int = 0) -> None:
        """Boost one small model per scored miRNA."""
        import xgboost

        features = log_share(train.x, np.ones(len(train.genes), dtype=bool))
        log_cpm = train.log_cpm
        self.shares_ = _mean_shares(train.x)
        self.filling_, self.mean_ = features.mean(axis=0), log_cpm.mean(axis=0)
        self.genes_ = np.argsort(-features.var(axis=0), kind="stable")[: self.n_genes]
        options = {"max_depth": 4, "eta": 0.3, "max_bin": self.max_bin, "nthread": self.n_jobs, "seed": seed}
        # One binned matrix serves all miRNAs: only the label changes.
        matrix = xgboost.QuantileDMatrix(features[:, self.genes_], max_bin=self.max_bin, nthread=self.n_jobs)
        self.models_: dict[int, Any] = {}
        for column in np.flatnonzero(scored_mirnas(train)):
            matrix.set_info(label=log_cpm[:, column])
            self.models_[int(column)] = xgboost.train(options, matrix, num_boost_round=20)

    def predict(self, x: NDArray[Any], genes_present: Mask, *, cohorts: NDArray[Any] | None = None) -> Floats:
        """Infer from log CPM with absent genes at their training mean."""
        import xgboost

        features = np.tile(self.filling_, (len(x), 1))
        # CPM over all genes: the genes present add up to the share they had in training.
        features[:, genes_present] = log_share(x, genes_present, 1e6 * float(self.shares_[genes_present].sum()))
        matrix = xgboost.DMatrix(features[:, self.genes_], nthread=self.n_jobs)
        out = np.tile(self.mean_, (len(x), 1))
        for column, model in self.models_.items():
            out[:, column] = model.predict(matrix)
        return out


def _mean_shares(x: NDArray[Any]) -> NDArray[np.float64]:
    shares = x / np.maximum(x.sum(axis=1, keepdims=True, dtype=np.float64), 1e-12)
    return np.asarray(shares.mean(axis=0))
