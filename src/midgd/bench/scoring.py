"""All scores of one method on one scenario, with the resamples that their intervals come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from midgd.bench.downstream import MIN_GROUP, answer, mean_known
from midgd.metrics import (
    bootstrap_values,
    fold_difference_correlation,
    per_feature_correlation,
    per_sample_correlation,
    within_group_correlation,
)

Floats = NDArray[np.floating[Any]]
#: scores where less is better
LOWER_IS_BETTER = frozenset({"rmse", "leak", "leak_others"})
OVER_SAMPLES = (
    "spearman",
    "spearman_within_cohort",
    "pearson",
    "pearson_within_cohort",
    "fold_difference",
    "fold_difference_sample_type",
)


@dataclass(frozen=True, eq=False)
class Answered:
    """What a method said about the samples of a scenario; tables ``(n, n_mirnas)`` in log1p CPM."""

    truth: Floats
    predicted: Floats
    obs: pd.DataFrame
    seconds_fit: float
    seconds_predict: float
    intervals: Mapping[float, tuple[Floats, Floats]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Outcome:
    """Scores by metric, their resamples ``(n_boot, n_metrics)``, and what they rest on."""

    value: pd.Series
    draws: pd.DataFrame
    n: int
    n_mirnas: int
    seconds_fit: float
    seconds_predict: float


@dataclass(frozen=True)
class Scoring:
    """How answers are scored: ``n_boot`` resamples over patients (0 for none), with the downstream questions or not."""

    n_boot: int = 200
    seed: int = 0
    downstream: bool = True

    def __call__(self, answered: Answered, scored: NDArray[np.bool_]) -> Outcome:
        """Score the miRNAs that count. A metric that these samples cannot answer is left out."""
        truth, predicted, obs = answered.truth[:, scored], answered.predicted[:, scored], answered.obs
        intervals = {k: (low[:, scored], high[:, scored]) for k, (low, high) in answered.intervals.items()}
        cohort, kind = (obs[column].astype(str).to_numpy() for column in ("cohort", "sample_type"))
        per_sample = _per_sample(truth, predicted, intervals)

        def values(rows: NDArray[np.int64]) -> list[float]:
            found = _over_samples(truth[rows], predicted[rows], cohort[rows], kind[rows])
            found |= {name: float(np.mean(column[rows])) for name, column in per_sample.items()}
            found["rmse"] **= 0.5
            return [found[name] for name in names]

        names = [*OVER_SAMPLES, *per_sample]
        value = pd.Series(values(np.arange(len(truth))), index=names).dropna()
        draws = np.empty((0, len(names)))
        if self.n_boot:
            draws = bootstrap_values(values, obs["patient"], self.n_boot, self.seed)
        if self.downstream:
            answers = {f"downstream/{k}": v for k, v in answer(truth, predicted, obs).items()}
            value = pd.concat([value, pd.Series(answers, dtype=float)])
        return Outcome(
            value,
            pd.DataFrame(draws, columns=names),
            len(truth),
            int(scored.sum()),
            answered.seconds_fit,
            answered.seconds_predict,
        )


def _over_samples(truth: Floats, predicted: Floats, cohort: NDArray[Any], kind: NDArray[Any]) -> dict[str, float]:
    """Scores that compare samples with each other, means over miRNAs."""
    out = {}
    for method in ("spearman", "pearson"):
        out[method] = mean_known(per_feature_correlation(truth, predicted, method))
        within = within_group_correlation(truth, predicted, cohort, method)
        out[f"{method}_within_cohort"] = mean_known(within)
    out["fold_difference"] = fold_difference_correlation(truth, predicted, cohort, MIN_GROUP)
    # Tumour against adjacent normal tissue, each cohort for itself.
    types = [
        fold_difference_correlation(truth[cohort == c], predicted[cohort == c], kind[cohort == c], MIN_GROUP)
        for c in np.unique(cohort)
    ]
    out["fold_difference_sample_type"] = mean_known(np.array(types))
    return out


def _per_sample(
    truth: Floats, predicted: Floats, intervals: Mapping[float, tuple[Floats, Floats]]
) -> dict[str, Floats]:
    """Scores that are means over samples: computed once, drawn many times."""
    out: dict[str, Floats] = {
        "profile_spearman": np.nan_to_num(per_sample_correlation(truth, predicted)),
        "rmse": np.mean((truth - predicted) ** 2, axis=1),
    }
    for level, (lower, upper) in intervals.items():
        out[f"coverage_{100 * level:.0f}"] = np.mean((truth >= lower) & (truth <= upper), axis=1)
    return out
