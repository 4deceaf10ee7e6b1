from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from midgd.bench.scoring import Answered

Scored = NDArray[np.bool_]


class Pool:
    """Answers of a family put together: tissues that were each left out, compared with each other.

    Differences between cohorts that were never trained on can only be seen in this way.
    """

    def __init__(self) -> None:
        self._parts: dict[str, dict[str, list[tuple[Answered, Scored]]]] = defaultdict(lambda: defaultdict(list))

    def add(self, family: str, method: str, answered: Answered, scored: Scored) -> None:
        """Keep one answer; all answers of a family have the same miRNAs in the same order.

        Parameters
        ----------
        family
            Family of the scenario.
        method
            Name of the method.
        answered
            What it said.
        scored
            (n_mirnas,) True for the miRNAs that are scored.
        """
        self._parts[family][method].append((answered, scored))

    def families(self) -> Iterator[tuple[str, dict[str, tuple[Answered, Scored]]]]:
        """Families of at least two scenarios: method to joint answer and the miRNAs that count in all of them."""
        for family, methods in self._parts.items():
            joint = {method: _join(parts) for method, parts in methods.items() if len(parts) > 1}
            if joint:
                yield family, joint


def _join(parts: list[tuple[Answered, Scored]]) -> tuple[Answered, Scored]:
    answers = [answered for answered, _ in parts]
    levels = set.intersection(*(set(a.intervals) for a in answers))
    joint = Answered(
        np.concatenate([a.truth for a in answers]),
        np.concatenate([a.predicted for a in answers]),
        pd.concat([a.obs.astype(str) for a in answers]),
        sum(a.seconds_fit for a in answers),
        sum(a.seconds_predict for a in answers),
        {level: _ends([a.intervals[level] for a in answers]) for level in levels},
    )
    return joint, np.logical_and.reduce([scored for _, scored in parts])


def _ends(pairs: list[tuple[Any, Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    return np.concatenate([low for low, _ in pairs]), np.concatenate([high for _, high in pairs])
