from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from midgd.metrics._check import as_pair


def rmse_log_cpm(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Root mean squared error over all entries of two log1p CPM tables, in natural log units.

    Parameters
    ----------
    truth, predicted
        ``(n_samples, n_features)``, both from :func:`midgd.metrics.log1p_cpm`.

    Returns
    -------
    The error; NaN without values.

    Examples
    --------
    >>> rmse_log_cpm([[1.0, 2.0]], [[1.0, 4.0]]) ** 2
    2.0000000000000004
    """
    a, b = as_pair(truth, predicted, "rmse_log_cpm")
    return float(np.sqrt(np.mean((a - b) ** 2))) if a.size else float("nan")
