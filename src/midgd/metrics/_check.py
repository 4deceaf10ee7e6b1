from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def as_pair(truth: ArrayLike, predicted: ArrayLike, caller: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both tables as float64 of one shape ``(n_samples, n_features)``, or a ValueError."""
    a, b = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(
            f"{caller}: truth {a.shape} and predicted {b.shape} must be samples x features of the same shape."
        )
    if np.isnan(a).any() or np.isnan(b).any():
        which = "truth" if np.isnan(a).any() else "predicted"
        raise ValueError(f"{caller}: {which} holds NaN; leave those samples or features out before scoring.")
    return a, b


def as_groups(groups: ArrayLike, n: int, caller: str) -> NDArray[np.int64]:
    """Group labels as integer codes, one per sample, or a ValueError."""
    labels = np.asarray(groups).astype(str)
    if labels.shape != (n,):
        raise ValueError(f"{caller}: groups has shape {labels.shape}, expected one label for each of {n} samples.")
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)
