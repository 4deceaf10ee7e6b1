"""Methods that do not look at the genes: what any other method has to beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from midgd.bench.data import PairedData
from midgd.bench.methods.base import Floats, Mask


class Mean:
    """The mean training profile for every sample."""

    name = "mean"
    least_correlation = None  # see midgd.bench.methods.Method

    def fit(self, train: PairedData, *, seed: int = 0) -> None:
        """Average the training profiles."""
        self.mean_ = train.log_cpm.mean(axis=0)

    def predict(self, x: NDArray[Any], genes_present: Mask, *, cohorts: NDArray[Any] | None = None) -> Floats:
        """The mean, once per row of ``x``."""
        return np.tile(self.mean_, (len(x), 1))


class CohortMean:
    """The mean training profile of the sample's true cohort: an oracle, no real query knows it.

    Without ``cohorts``, or for one that was not trained on, the mean over all samples.
    """

    name = "cohort-mean (oracle)"
    least_correlation = 0.1  # of three cohorts, which differ little in the invented data

    def fit(self, train: PairedData, *, seed: int = 0) -> None:
        """Average the training profiles of each cohort."""
        log_cpm, cohort = train.log_cpm, train.obs["cohort"].astype(str).to_numpy()
        self.mean_ = log_cpm.mean(axis=0)
        self.cohort_mean_ = {name: log_cpm[cohort == name].mean(axis=0) for name in np.unique(cohort)}

    def predict(self, x: NDArray[Any], genes_present: Mask, *, cohorts: NDArray[Any] | None = None) -> Floats:
        """The mean of each sample's cohort."""
        if cohorts is None:
            return np.tile(self.mean_, (len(x), 1))
        return np.stack([self.cohort_mean_.get(str(cohort), self.mean_) for cohort in cohorts])
