"""Blocks of a dask array on whatever scheduler the user runs: threads, processes or a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from midgd.counts import OVERRIDE, CountCheck, as_chunk
from midgd.features import GeneAlignment
from midgd.infer import Prediction, Predictor

if TYPE_CHECKING:
    from midgd.counts import CountView

# Rows asked for at a time: enough to keep a cluster busy, few enough that their results fit in memory (about 1 GB).
ROWS_AT_ONCE = 200_000


def predict_blocks(view: CountView, alignment: GeneAlignment, predictor: Predictor, first: int) -> Iterator[Prediction]:
    """Predictions of consecutive rows from row ``first`` on, computed block by block where the blocks are."""
    import dask
    import dask.array as da

    matrix = view.matrix.rechunk({1: -1})
    sizes = matrix.chunks[0]
    if np.isnan(sizes).any():
        raise ValueError(f"{view.where} is a dask array of unknown length: call its compute_chunk_sizes() first")
    ends = np.cumsum(sizes)
    answers = da.map_blocks(
        _predict_block,
        matrix,
        # A task of its own: it is sent to a worker once, not with every block.
        work=dask.delayed(_Work(view, alignment, predictor), pure=False),
        chunks=((1,) * len(sizes), (1,)),
        dtype=object,
        meta=np.empty((0, 0), object),
    )
    unfinished = np.flatnonzero((ends > first) & (np.asarray(sizes) > 0))
    turn = ends[unfinished] // ROWS_AT_ONCE
    check = CountCheck(view.where, list(view.obs_names), view.trusted, view.hint, OVERRIDE)
    for some in (unfinished[turn == i] for i in np.unique(turn)):
        computed = answers[some].compute()
        for block, (prediction, seen) in zip(some, computed[:, 0], strict=True):
            check.add(seen)
            yield prediction[max(first - int(ends[block] - sizes[block]), 0) :]


class _Work:
    """What a worker needs for a block."""

    def __init__(self, view: CountView, alignment: GeneAlignment, predictor: Predictor) -> None:
        self.where, self.hint, self.trusted = view.where, view.hint, view.trusted
        self.alignment, self.predictor = alignment, predictor

    def __call__(self, block: Any, start: int) -> tuple[Prediction, Any]:
        # A worker sees one block: what it has seen goes back with the prediction. The first block warns for all.
        rows = as_chunk(block)
        check = CountCheck(self.where, None, self.trusted, self.hint, OVERRIDE, warns=start == 0)
        check.update(rows, start)
        check.finish()
        return self.predictor(self.alignment.apply(rows)), check.seen


def _predict_block(block: Any, work: _Work, block_info: dict[Any, Any] | None = None) -> NDArray[np.object_]:
    answer = np.empty((1, 1), object)
    if block_info and block.shape[0]:
        answer[0, 0] = work(block, int(block_info[0]["array-location"][0][0]))
    return answer
