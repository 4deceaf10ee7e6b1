"""From counts as the user has them to predictions: checking, alignment, chunks, groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse
from tqdm.auto import tqdm

from midgd.data import CountCheck, CountView, RowSource
from midgd.features import GeneAlignment
from midgd.infer import Prediction, Predictor
from midgd.settings import settings

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
        if groupby not in obs:
            raise KeyError(f"groupby={groupby!r} is not a column of obs; it has {list(obs.columns)}.")
        codes, names = pd.factorize(obs[groupby].astype(str).where(obs[groupby].notna()), sort=True)
        if (codes < 0).any():
            raise ValueError(
                f"obs[{groupby!r}] is missing for {(codes < 0).sum():,} of {len(obs):,} cells; fill it in or drop them."
            )
        return cls(pd.Index(names, name=groupby), codes.astype(np.int64))


def predict_rows(
    view: CountView, alignment: GeneAlignment, predictor: Predictor, *, batch_size: int | None, groups: Groups | None
) -> Prediction:
    """Predictions of all rows, or of all groups of rows, reading one chunk at a time."""
    source = RowSource(view.matrix, batch_size=batch_size)
    check = CountCheck(where=view.where, row_names=list(view.obs_names), hint=view.hint)
    summed = None if groups is None else np.zeros((len(groups.names), len(alignment.present)), np.float64)
    parts = []
    n = source.shape[0]
    with tqdm(total=n, desc="infer_mirna", unit="cell", disable=not settings.progress or n < PROGRESS_FROM) as bar:
        for start, stop, chunk in source:
            check.update(chunk, start)
            aligned = alignment.apply(chunk)
            if summed is not None and groups is not None:
                summed += _sum_by_group(aligned, groups.codes[start:stop], len(groups.names))
            else:
                parts.append(predictor(aligned))
            bar.update(stop - start)
    check.finish()
    return Prediction.concatenate(parts) if summed is None else predictor(summed)


def _sum_by_group(counts: sparse.csr_matrix, codes: NDArray[np.int64], n_groups: int) -> NDArray[np.float64]:
    member = sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(n_groups, len(codes)))
    return np.asarray((member @ counts).todense())
