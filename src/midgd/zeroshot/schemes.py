"""What is hidden when zero-shot predictions are judged, and predictions with it hidden."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from midgd.zeroshot.facts import Descriptors, MirnaFacts, kin
from midgd.zeroshot.fit import Rows, ZeroShotOptions, fit_zero_shot

#: Scheme to what is hidden together with a miRNA beside itself: its stem-loop, its family, its cluster.
SCHEMES: dict[str, tuple[bool, bool, bool]] = {
    "alone": (False, False, False),
    "stem-loop": (True, False, False),
    "cluster": (True, False, True),
    "family and cluster": (True, True, True),
}
# As many models are fitted to judge; with more, less is hidden from each and the time grows.
N_FOLDS = 8


def groups_of(scheme: str, names: list[str], facts: MirnaFacts) -> NDArray[np.int64]:
    """Groups that are hidden together, (M,)."""
    stem_loop, family, cluster = SCHEMES[scheme]
    return kin(names, facts, family=family, cluster=cluster) if stem_loop else np.arange(len(names))


def folds(groups: NDArray[np.int64], n: int = N_FOLDS, seed: int = 0) -> Iterator[NDArray[np.bool_]]:
    """Masks of what is left out: every group in one of n folds as a whole."""
    found, index = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(found)) % n
    for number in range(n):
        yield fold[index] == number


def left_out(
    rows: Rows,
    queries: Rows,
    known: Descriptors,
    visible: NDArray[np.bool_],
    kinship: NDArray[np.int64],
    groups: NDArray[np.int64],
    options: ZeroShotOptions | None = None,
) -> NDArray[np.float32]:
    """log1p CPM of every known miRNA in the queries, (n, n_outputs), each learned without its group.

    Parameters
    ----------
    rows
        Training samples.
    queries
        Other samples; their targets and weights are not used.
    known, visible, kinship, options
        See :func:`~midgd.zeroshot.fit.fit_zero_shot`.
    groups
        (n_outputs,) what is left out together.
    """
    answer = np.zeros(queries.outputs.shape, np.float32)
    profile, outputs = torch.from_numpy(queries.profile), torch.from_numpy(queries.outputs)
    for out in folds(groups):
        maps = fit_zero_shot(rows, known, known.take(out), visible, kinship, options, left_out=out)
        answer[:, out] = maps(profile, outputs).numpy()
    return answer
