"""Inference into a file, which goes on where it was interrupted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
from anndata import AnnData

from midgd.adata.results import judged_as
from midgd.counts import CountView
from midgd.infer import Prediction
from midgd.reference import Reference
from midgd.tl._judge import judge, warn_of_rows
from midgd.tl._output import PartialOutput


def fill(
    file: PartialOutput,
    rows: Callable[..., Iterator[tuple[int, int, Prediction]]],
    answer: Callable[..., dict[str, Any]],
    model: Reference,
    sample_kind: str,
    refine: int | None,
) -> dict[str, Any]:
    """Write the answers to the rows that the file lacks, a chunk at a time.

    Parameters
    ----------
    file
        The open file.
    rows
        Makes predictions of consecutive rows, from row ``first=`` on.
    answer
        Makes the arrays of a prediction, for ``sample_kind=``.
    model
        The reference.
    sample_kind
        ``"auto"``, ``"cell"`` or ``"tissue"``.
    refine
        The limit of steps that was asked for.

    Returns
    -------
    What ``uns`` keeps about the errors that the rows are judged by.
    """
    predictions: Iterator[Prediction] = (part for *_, part in rows(first=file.n_done))
    # A run that goes on must judge as it began.
    kind, predictions = judge(model, predictions, file.decided.get("sample_kind", sample_kind))
    file.decided["sample_kind"] = kind
    n_empty = 0
    for part in predictions:
        file.append(answer(part, sample_kind=kind))
        n_empty += int((part.evidence == 0).sum())
    warn_of_rows(n_empty, file.columns["ood"], None, refine)
    return judged_as(model, kind)


def obs_of(data: AnnData | pd.DataFrame, view: CountView) -> pd.DataFrame:
    """The user's obs; that of a lazily read AnnData is still in its file."""
    obs = data.obs if isinstance(data, AnnData) else pd.DataFrame(index=view.obs_names)
    return obs if isinstance(obs, pd.DataFrame) else obs.to_memory()


def made_with(view: CountView, uns: dict[str, Any], uncertainty: bool) -> dict[str, Any]:
    """What a run that goes on must share with the one that was interrupted."""
    names = (view.gene_names, view.obs_names)
    return {
        "params": uns["params"] | {"uncertainty": uncertainty},
        "reference": uns["reference"],
        "names": [hashlib.sha256("\n".join(map(str, part)).encode()).hexdigest() for part in names],
        "shape": list(view.matrix.shape),
    }
