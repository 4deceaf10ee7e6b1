"""What every method can do, and the handling of missing genes they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from midgd.bench.data import PairedData

Mask = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]


class Method(Protocol):
    """A way of inferring miRNA that takes part in the benchmark.

    A method may also have ``uses_extra = True``: ``fit`` then gets ``extra=``, a mapping from table
    name to further training samples from which everything held out was removed. A method with
    ``predict_interval`` (see :class:`IntervalMethod`) is scored for calibration as well. On the invented data of the
    tests its mean correlation must be above 0.5, or above ``least_correlation`` if it has that; None is for answers
    that do not differ between samples.
    """

    name: str

    def fit(self, train: PairedData, *, seed: int = 0) -> None:
        """Learn from the pairs; calling it again starts afresh.

        Parameters
        ----------
        train
            Pairs with all genes.
        seed
            Of everything that is random.
        """

    def predict(self, x: NDArray[Any], genes_present: Mask, *, cohorts: NDArray[Any] | None = None) -> Floats:
        """Infer miRNA.

        Parameters
        ----------
        x
            ``(n, n_genes)`` counts in the gene order of ``train``; columns of absent genes are zero.
        genes_present
            ``(n_genes,)`` False for genes the query does not have: they are unknown, not zero.
        cohorts
            True cohort of each sample. Only an oracle may look at it.

        Returns
        -------
        ``(n, n_mirnas)`` log1p CPM.
        """


@runtime_checkable
class IntervalMethod(Protocol):
    """A method that also says how sure it is."""

    def predict_interval(self, x: NDArray[Any], genes_present: Mask, level: float) -> tuple[Floats, Floats]:
        """Central prediction intervals.

        Parameters
        ----------
        x, genes_present
            As for :meth:`Method.predict`.
        level
            Part of the measured values that shall lie inside, between 0 and 1.

        Returns
        -------
        Lower and upper ends, ``(n, n_mirnas)`` each, in log1p CPM.
        """


def log_share(x: NDArray[Any], genes_present: Mask, scale: float = 1e6) -> NDArray[np.float32]:
    """``log(1 + scale * share)`` over the genes present only, ``(n, n_present)``.

    The shares are renormalised: a query that lacks half of its molecules must not look twice as deep.

    Parameters
    ----------
    x
        ``(n, n_genes)`` counts.
    genes_present
        ``(n_genes,)`` False for genes that the query does not have.
    scale
        What the counts of a sample are made to add up to.

    Returns
    -------
    ``(n, n_present)`` natural logs.
    """
    values = np.asarray(x[:, genes_present], dtype=np.float32)
    total = values.sum(axis=1, keepdims=True, dtype=np.float64)
    return np.log1p(values * (scale / np.where(total > 0, total, 1.0)).astype(np.float32))


class RefitMethod(ABC):
    """A method that is trained again on the genes a query has: the fairest baseline where genes are missing.

    Subclasses give ``_fit(features, log_cpm, train, seed)`` and return a function from query features
    to log1p CPM.
    """

    name: str

    def fit(self, train: PairedData, *, seed: int = 0) -> None:
        """Train on all genes."""
        self.train_, self.seed_ = train, seed
        self.log_cpm_ = train.log_cpm
        self._models: dict[bytes, Callable[[NDArray[np.float32]], Floats]] = {}
        self._model(np.ones(len(train.genes), dtype=bool))

    def predict(self, x: NDArray[Any], genes_present: Mask, *, cohorts: NDArray[Any] | None = None) -> Floats:
        """Infer from the genes present; see :meth:`Method.predict`."""
        return self._model(genes_present)(log_share(x, genes_present))

    def _model(self, genes_present: Mask) -> Callable[[NDArray[np.float32]], Floats]:
        key = genes_present.tobytes()
        if key not in self._models:
            # The model of all genes stays, the last partial one is replaced: 50 of them would not fit in memory.
            self._models = dict(list(self._models.items())[:1])
            features = log_share(self.train_.x, genes_present)
            self._models[key] = self._fit(features, self.log_cpm_, self.train_, self.seed_)
        return self._models[key]

    @abstractmethod
    def _fit(
        self, features: NDArray[np.float32], log_cpm: Floats, train: PairedData, seed: int
    ) -> Callable[[NDArray[np.float32]], Floats]:
        """Train on features of the genes present."""


Extra = Mapping[str, PairedData]
