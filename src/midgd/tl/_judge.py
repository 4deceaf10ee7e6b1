"""Answers to rows: whether they are cells or tissues, the arrays of the answer, and what a user must know of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from midgd.adata.results import judged_as
from midgd.infer import Prediction
from midgd.infer.domain import OUTSIDE
from midgd.infer.predict import sample_kind_of
from midgd.reference import Reference
from midgd.settings import logger
from midgd.tl._request import Request

FIRST_ROWS = 256  # by which "auto" decides
ENOUGH_STEPS = 5  # scores of ordinary cells are then those of the optimum (model card)


class Answers(Protocol):
    """Where answers are kept: in memory, or in the file of :class:`midgd.tl._output.PartialOutput`.

    Attributes
    ----------
    n_done
        Rows that have answers.
    decided
        What was decided by the first rows and holds for all.
    """

    n_done: int
    decided: dict[str, str]

    def append(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep the answers to the next rows."""

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """Columns of ``obs`` of all rows by name."""


class InMemory:
    """Answers in memory; ``columns`` are all arrays."""

    def __init__(self) -> None:
        self.n_done = 0
        self.decided: dict[str, str] = {}
        self.chunks: list[Mapping[str, NDArray[Any]]] = []

    def append(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep the answers to the next rows."""
        self.chunks.append(arrays)

    @cached_property
    def columns(self) -> dict[str, NDArray[Any]]:
        """All arrays, when the last rows are there."""
        return {name: np.concatenate([chunk[name] for chunk in self.chunks]) for name in self.chunks[0]}


def answer_rows(answers: Answers, rows: Callable[..., Iterator[Prediction]], request: Request) -> dict[str, Any]:
    """Answer the rows that have no answer yet, a chunk at a time, and warn of what a user must know of them.

    Parameters
    ----------
    answers
        Where the answers are kept.
    rows
        Makes predictions of consecutive rows, from row ``first=`` on.
    request
        What is asked for.

    Returns
    -------
    What ``uns`` keeps about the errors that the rows are judged by.
    """
    # A run that goes on must judge as it began.
    asked = answers.decided.get("sample_kind", request.sample_kind)
    kind, predictions = judge(request.model, rows(first=answers.n_done), asked)
    answers.decided["sample_kind"] = kind
    n_empty, kept = 0, []
    for part in predictions:
        answers.append(request.arrays(part, kind))
        n_empty += int((part.evidence == 0).sum())
        kept.append(part.counts_kept)
    report_scaled(np.concatenate(kept) if kept else np.ones(0), request.groupby)
    warn_of_rows(n_empty, answers.columns["ood"], request.groupby, request.refine)
    return judged_as(request.model, kind)


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


def report_scaled(counts_kept: NDArray[np.floating[Any]], groupby: str | None = None) -> None:
    """Say how many rows were scaled down, and how far."""
    scaled = counts_kept[counts_kept < 1.0]
    if len(scaled):
        logger.info(
            "%d of %d %s have more counts than so few genes allow (reads, or scaled values): of a count, %.2g %% is"
            " taken for a molecule (median)",
            len(scaled),
            len(counts_kept),
            "cells" if groupby is None else "groups",
            100.0 * float(np.median(scaled)),
        )


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
