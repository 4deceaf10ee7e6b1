"""Thin methods from scikit-learn: nearest neighbours, PCA + ridge, PLS and a small network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from midgd.bench.data import PairedData
from midgd.bench.methods.base import Floats, RefitMethod

#: n_samples, n_genes, seed -> an unfitted estimator
Maker = Callable[[int, int, int], Any]


class Learned(RefitMethod):
    """Any multi-output regressor on log1p CPM, trained again on the genes a query has.

    Parameters
    ----------
    name
        Name in the table.
    make
        Builds the estimator from the number of samples, the number of genes and a seed.
    """

    def __init__(self, name: str, make: Maker) -> None:
        self.name, self.make = name, make

    def _fit(
        self, features: NDArray[np.float32], log_cpm: Floats, train: PairedData, seed: int
    ) -> Callable[[NDArray[np.float32]], Floats]:
        estimator = self.make(features.shape[0], features.shape[1], seed)
        estimator.fit(features, log_cpm)
        return lambda query: np.asarray(estimator.predict(query))


def knn(n_samples: int, n_genes: int, seed: int) -> Any:
    """Ten nearest training samples in 50 principal components, weighted by 1 / distance.

    Parameters
    ----------
    n_samples, n_genes
        Size of the training data.
    seed
        Of the principal components.

    Returns
    -------
    A regressor of scikit-learn.
    """
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline

    neighbours = KNeighborsRegressor(n_neighbors=min(10, n_samples), weights="distance")
    return make_pipeline(_pca(n_samples, n_genes, seed), neighbours)


def pca_ridge(n_samples: int, n_genes: int, seed: int) -> Any:
    """Ridge on 50 principal components, penalty by leave-one-out.

    Parameters
    ----------
    n_samples, n_genes
        Size of the training data.
    seed
        Of the principal components.

    Returns
    -------
    A regressor of scikit-learn.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline

    return make_pipeline(_pca(n_samples, n_genes, seed), RidgeCV(np.logspace(-1, 5, 13)))


def pls(n_samples: int, n_genes: int, seed: int) -> Any:
    """Partial least squares with 20 components.

    Parameters
    ----------
    n_samples, n_genes
        Size of the training data.
    seed
        Not used.

    Returns
    -------
    A regressor of scikit-learn.
    """
    from sklearn.cross_decomposition import PLSRegression

    return PLSRegression(min(20, n_samples - 1, n_genes), scale=False)


def mlp(n_samples: int, n_genes: int, seed: int) -> Any:
    """A network on the 977 most variable genes: the idea of SiCmiR without its list of landmark genes.

    Parameters
    ----------
    n_samples, n_genes
        Size of the training data.
    seed
        Of the weights.

    Returns
    -------
    A regressor of scikit-learn.
    """
    from sklearn.feature_selection import SelectKBest
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = MLPRegressor(
        hidden_layer_sizes=(256,), alpha=1e-2, early_stopping=n_samples >= 50, max_iter=200, random_state=seed
    )
    return make_pipeline(SelectKBest(_variance, k=min(977, n_genes)), StandardScaler(), network)


def _variance(features: NDArray[Any], _: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(features.var(axis=0))


def _pca(n_samples: int, n_genes: int, seed: int) -> Any:
    from sklearn.decomposition import PCA

    return PCA(min(50, n_samples - 1, n_genes), svd_solver="randomized", random_state=seed)
