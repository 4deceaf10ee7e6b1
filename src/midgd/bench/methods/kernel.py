"""Ridge regression through the kernel: closed form for every penalty from one eigendecomposition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

#: penalties tried, as multiples of the mean eigenvalue of the centred kernel
PENALTIES = np.array([0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0])


def kernel_ridge(
    features: NDArray[np.float32], targets: Floats, groups: NDArray[Any], seed: int = 0, n_folds: int = 5
) -> Callable[[NDArray[np.float32]], Floats]:
    """Fit centred linear ridge; the penalty with the lowest squared error in group-wise CV.

    scikit-learn's ``RidgeCV`` picks by leave-one-out, which two samples of one patient (or two
    downsampled copies of one sample) would mislead.

    Parameters
    ----------
    features
        ``(n, p)``.
    targets
        ``(n, q)``.
    groups
        ``(n,)``; rows of one group stay on one side of a fold.
    seed, n_folds
        Of the folds; fewer when there are fewer groups, and a fixed penalty of 1 with a single group.

    Returns
    -------
    A function from ``(m, p)`` features to ``(m, q)`` targets.
    """
    centre = features.mean(axis=0)
    centred = features - centre
    kernel = (centred @ centred.T).astype(np.float64)
    targets = np.asarray(targets, dtype=np.float64)
    penalty = _choose(kernel, targets, _folds(groups, n_folds, seed))
    dual = _solve(kernel, targets - targets.mean(axis=0), np.array([penalty]))[0]
    weights = centred.T @ dual.astype(np.float32)
    return lambda query: (query - centre) @ weights + targets.mean(axis=0)


def _choose(kernel: Floats, targets: Floats, folds: NDArray[np.int64]) -> float:
    if folds.max() == 0:
        return 1.0
    error = np.zeros(len(PENALTIES))
    for fold in range(folds.max() + 1):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        mean = targets[inside].mean(axis=0)
        # Centring on the fold's own rows keeps the rows outside out of the fit.
        rows, block = kernel[np.ix_(outside, inside)], kernel[np.ix_(inside, inside)]
        column = block.mean(axis=0)
        block_centred = block - column - column[:, None] + column.mean()
        rows_centred = rows - column - rows.mean(axis=1, keepdims=True) + column.mean()
        for i, dual in enumerate(_solve(block_centred, targets[inside] - mean, PENALTIES)):
            error[i] += np.sum((targets[outside] - mean - rows_centred @ dual) ** 2)
    return float(PENALTIES[np.argmin(error)])


def _solve(kernel: Floats, targets: Floats, penalties: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Dual coefficients ``(n, q)`` for each relative penalty."""
    values, vectors = np.linalg.eigh(kernel)
    values = np.maximum(values, 0.0)
    rotated = vectors.T @ targets
    unit = max(float(values.mean()), 1e-12)
    return [vectors @ (rotated / (values + penalty * unit)[:, None]) for penalty in penalties]


def _folds(groups: NDArray[Any], n_folds: int, seed: int) -> NDArray[np.int64]:
    """Fold number of each row; whole groups, shuffled."""
    codes = np.unique(groups, return_inverse=True)[1]
    n_groups = int(codes.max()) + 1
    order = np.random.default_rng(seed).permutation(n_groups)
    return np.asarray(order[codes] % min(n_folds, n_groups), dtype=np.int64)
