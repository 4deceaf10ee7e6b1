"""Whether rows are cells or tissues, and what a user must know of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from midgd.infer import Prediction
from midgd.infer.domain import OUTSIDE
from midgd.infer.predict import sample_kind_of
from midgd.reference import Reference
from midgd.settings import logger

FIRST_ROWS = 256  # by which "auto" decides
ENOUGH_STEPS = 5  # scores of ordinary cells are then those of the optimum (model card)


def judge(model: Reference, parts: Iterator[Prediction], asked: str) -> tuple[str, Iterator[Prediction]]:
    """What the rows are, as asked or by the first of them, and all the parts."""
    if asked != "auto":
        return asked, parts
    seen, n = [], 0
    for part in parts:
        seen.append(part)
        n += len(part)
        if n >= FIRST_ROWS:
            break
    kind = sample_kind_of(model, Prediction.concatenate(seen)[:FIRST_ROWS]) if seen else "tissue"
    return kind, chain(seen, parts)


def warn_of_rows(n_empty: int, ood: NDArray[np.float32], groupby: str | None = None, refine: int | None = None) -> None:
    """Warn where rows have no counts, or most are unlike what the reference knows."""
    if n_empty:
        logger.warning("%d %s without counts: the value is the prior's, the ood score 1", n_empty, groupby or "cells")
    few = refine is not None and refine < ENOUGH_STEPS
    outside = float((ood > OUTSIDE).mean()) if len(ood) else 0.0
    if outside > 0.5:
        logger.warning(
            "%.0f %% of the %s are not like the samples that the reference knows (out-of-domain score above %s):"
            " do not rely on their miRNAs%s",
            100.0 * outside,
            "cells" if groupby is None else "groups",
            OUTSIDE,
            f". With refine={refine} scores are too high: {ENOUGH_STEPS} steps give better ones" if few else "",
        )
