"""From counts as the user has them to predictions: checking, alignment, chunks, groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse
from tqdm.auto import tqdm

from midgd._ahead import ahead
from midgd.adata.blocks import predict_blocks
from midgd.adata.obs import column
from midgd.counts import OVERRIDE, CountCheck, CountView, RowSource, is_dask
from midgd.features import GeneAlignment
from midgd.infer import Prediction, Predictor
from midgd.infer.parallel import rows_of_task
from midgd.settings import settings

# Rows from which on a progress bar is shown: about 3 seconds of work on 2 cores.
PROGRESS_FROM = 2_000


def pick_device(device: str) -> torch.device:
    """``"auto"`` is the setting of :data:`midgd.settings`, and failing that CUDA or MPS if there is one."""
    name = settings.device if device == "auto" else device
    if name == "auto":
        return torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={name!r} is not available here ({str(error).splitlines()[0]}); use device='cpu' or 'auto'."
        ) from error


@dataclass(frozen=True)
class Groups:
    """Rows to be summed before inference: names of the groups and the group of each row."""

    names: pd.Index
    codes: NDArray[np.int64]

    @classmethod
    def from_obs(cls, obs: pd.DataFrame, groupby: str) -> Groups:
        """From a column of ``obs``."""
        values = column(obs, groupby, "groupby")
        codes, names = pd.factorize(values.astype(str).where(values.notna()), sort=True)
        if (codes < 0).any():
            raise ValueError(
                f"obs[{groupby!r}] is missing for {(codes < 0).sum():,} of {len(obs):,} cells; fill it in or drop them."
            )
        return cls(pd.Index(names, name=groupby), codes.astype(np.int64))


def predict_rows(view: CountView, alignment: GeneAlignment, predictor: Predictor) -> Prediction:
    """Predictions of all rows."""
    return Prediction.concatenate(list(stream(view, alignment, predictor)))


def stream(
    view: CountView,
    alignment: GeneAlignment,
    predictor: Predictor,
    *,
    groups: Groups | None = None,
    batch_size: int | None = None,
    first: int = 0,
) -> Iterator[Prediction]:
    """Predictions of consecutive rows from row ``first`` on, a chunk at a time, or of the sums of groups of rows."""
    if groups is not None:
        yield _of_groups(view, alignment, predictor, groups, batch_size)
        return
    n = view.matrix.shape[0]
    hidden = not settings.progress or n < PROGRESS_FROM
    with tqdm(total=n, initial=first, desc="infer_mirna", unit="cell", disable=hidden) as bar:
        if is_dask(view.matrix):
            parts = predict_blocks(view, alignment, predictor, first)
        else:
            if predictor.device.type == "cpu":
                task = rows_of_task(n - first, predictor.device)
                batch_size = min(batch_size or task, task)
            chunks = ahead(_checked_chunks(view, alignment, batch_size))
            parts = predictor.each(
                rows if start >= first else rows[first - start :] for start, stop, rows in chunks if stop > first
            )
        for part in parts:
            yield part
            bar.update(len(part))


def _of_groups(
    view: CountView, alignment: GeneAlignment, predictor: Predictor, groups: Groups, batch_size: int | None
) -> Prediction:
    summed = np.zeros((len(groups.names), len(alignment.present)), np.float64)
    for start, stop, rows in ahead(_checked_chunks(view, alignment, batch_size)):
        summed += _sum_by_group(rows, groups.codes[start:stop], len(groups.names))
    return predictor(summed)


def _checked_chunks(
    view: CountView, alignment: GeneAlignment, batch_size: int | None
) -> Iterator[tuple[int, int, sparse.csr_matrix]]:
    """Chunks of counts, aligned to the reference."""
    check = CountCheck(view.where, list(view.obs_names), view.trusted, view.hint, OVERRIDE)
    for start, stop, chunk in RowSource(view.matrix, batch_size=batch_size):
        rows = sparse.csr_matrix(chunk)  # once for both
        check.update(rows, start)
        yield start, stop, alignment.apply(rows)
    check.finish()


def _sum_by_group(counts: sparse.csr_matrix, codes: NDArray[np.int64], n_groups: int) -> NDArray[np.float64]:
    member = sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(n_groups, len(codes)))
    return np.asarray((member @ counts).todense())
