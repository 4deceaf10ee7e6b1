"""The arms of the benchmark; scikit-learn and xgboost (extra ``bench``) are imported only when an arm trains."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from midgd.bench.methods.base import Arm, IntervalArm, log_share
from midgd.bench.methods.boosting import XGBoost
from midgd.bench.methods.learned import Learned, knn, mlp, pca_ridge, pls
from midgd.bench.methods.means import CohortMean, Mean
from midgd.bench.methods.midgd import CalibratedMidgd, Midgd
from midgd.bench.methods.paper import Paper
from midgd.bench.methods.ridge import Ridge, WideRidge

#: name -> a function that makes the untrained arm; a new arm is one line here
ARMS: dict[str, Callable[[], Arm]] = {
    "mean": Mean,
    "cohort-mean (oracle)": CohortMean,
    "knn": lambda: Learned("knn", knn),
    "pca-ridge": lambda: Learned("pca-ridge", pca_ridge),
    "ridge": Ridge,
    "ridge-matched": lambda: Ridge("ridge-matched", match_depth=True),
    # Four thinned copies and a log that fits the depth: stronger than the plain depth-matched ridge.
    "ridge-matched-x4": lambda: Ridge("ridge-matched-x4", match_depth=True, copies=4, scale=None),
    "ridge-wide": lambda: WideRidge("ridge-wide"),
    "ridge-wide-matched": lambda: WideRidge("ridge-wide-matched", match_depth=True, scale=None),
    "pls": lambda: Learned("pls", pls),
    "mlp-977": lambda: Learned("mlp-977", mlp),
    "xgboost": XGBoost,
    "midgd-paper": Paper,
    "midgd": Midgd,
    "midgd-calibrated": CalibratedMidgd,
    "midgd-decoder": lambda: Midgd("midgd-decoder", readout=False),
}


#: not run unless named: minutes for every training set, and midgd once more
SLOW = ("midgd-paper", "midgd-calibrated")


def make_arms(arms: Iterable[str | Arm] | None = None) -> list[Arm]:
    """Untrained arms from names and ready arms; for None all of :data:`ARMS` but the slow ones.

    Raises
    ------
    KeyError
        For an unknown name.
    ValueError
        When two arms share a name: their rows could not be told apart.
    """
    chosen = [name for name in ARMS if name not in SLOW] if arms is None else list(arms)
    unknown = [arm for arm in chosen if isinstance(arm, str) and arm not in ARMS]
    if unknown:
        raise KeyError(
            f"unknown arms {unknown}; choose from {', '.join(ARMS)}, or pass an object with fit and predict."
        )
    made = [ARMS[arm]() if isinstance(arm, str) else arm for arm in chosen]
    names = [arm.name for arm in made]
    if len(set(names)) < len(names):
        raise ValueError(f"arms need different names, got {names}.")
    return made


__all__ = [
    "ARMS",
    "Arm",
    "CalibratedMidgd",
    "IntervalArm",
    "Learned",
    "Midgd",
    "Paper",
    "Ridge",
    "WideRidge",
    "XGBoost",
    "log_share",
    "make_arms",
]
