"""The methods of the benchmark; scikit-learn and xgboost (extra ``bench``) are imported only when a method trains."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from midgd.bench.methods.base import IntervalMethod, Method, log_share
from midgd.bench.methods.boosting import XGBoost
from midgd.bench.methods.learned import Learned, knn, mlp, pca_ridge, pls
from midgd.bench.methods.means import CohortMean, Mean
from midgd.bench.methods.midgd import CalibratedMidgd, Midgd
from midgd.bench.methods.paper import Paper
from midgd.bench.methods.ridge import Ridge, WideRidge

#: name -> a function that makes the untrained method; a new method is one line here
METHODS: dict[str, Callable[[], Method]] = {
    "mean": Mean,
    "cohort-mean (oracle)": CohortMean,
    "knn": lambda: Learned("knn", knn),
    "pca-ridge": lambda: Learned("pca-ridge", pca_ridge),
    "ridge": Ridge,
    "ridge-matched": lambda: Ridge("ridge-matched", match_depth=True),
    # Four downsampled copies and a log that fits the depth: stronger than the plain depth-matched ridge.
    "ridge-matched-x4": lambda: Ridge("ridge-matched-x4", match_depth=True, copies=4, scale=None),
    "ridge-wide": lambda: WideRidge("ridge-wide"),
    "ridge-wide-matched": lambda: WideRidge("ridge-wide-matched", match_depth=True, scale=None),
    "pls": lambda: Learned("pls", pls),
    "mlp-977": lambda: Learned("mlp-977", mlp),
    "xgboost": XGBoost,
    "midgd-paper": Paper,
    "midgd": Midgd,
    "midgd-calibrated": CalibratedMidgd,
    "midgd-decoder": lambda: Midgd("midgd-decoder", readout="none"),
}


#: not run unless named: minutes for every training set, and midgd once more
SLOW = ("midgd-paper", "midgd-calibrated")


def make_methods(methods: Iterable[str | Method] | None = None) -> list[Method]:
    """Untrained methods from names and ready methods; for None all of :data:`METHODS` but the slow ones.

    Parameters
    ----------
    methods
        Names, objects with ``name``, ``fit`` and ``predict``, or both.

    Returns
    -------
    One object a method, in this order.

    Raises
    ------
    KeyError
        For an unknown name.
    ValueError
        When two methods share a name: their rows could not be told apart.
    """
    chosen = [name for name in METHODS if name not in SLOW] if methods is None else list(methods)
    unknown = [method for method in chosen if isinstance(method, str) and method not in METHODS]
    if unknown:
        raise KeyError(
            f"unknown methods {unknown}; choose from {', '.join(METHODS)}, or pass an object with fit and predict."
        )
    made = [METHODS[method]() if isinstance(method, str) else method for method in chosen]
    names = [method.name for method in made]
    if len(set(names)) < len(names):
        raise ValueError(f"methods need different names, got {names}.")
    return made


__all__ = [
    "METHODS",
    "CalibratedMidgd",
    "IntervalMethod",
    "Learned",
    "Method",
    "Midgd",
    "Paper",
    "Ridge",
    "WideRidge",
    "XGBoost",
    "log_share",
    "make_methods",
]
