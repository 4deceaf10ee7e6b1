"""Predictions for whatever a user has: the same data, other data, fewer genes, rows without mRNA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray
from scipy import sparse

from midgd.adata.stream import predict_rows
from midgd.counts import CountView, read_counts
from midgd.features import GeneAlignment, GeneReport, align_genes
from midgd.infer import Prediction, Predictor
from midgd.reference import Reference
from midgd.settings import logger


@dataclass(frozen=True)
class Query:
    """Counts of a query and the rows its result will have.

    Attributes
    ----------
    view
        Counts, gene names and the rows of the matrix.
    obs_names
        Rows of the result: those of the MuData, or of the view.
    sources
        Source of each row of the view; None if the data does not say.
    """

    view: CountView
    obs_names: pd.Index
    sources: NDArray[Any] | None

    @classmethod
    def read(cls, data: AnnData | MuData | pd.DataFrame, setup: Mapping[str, Any]) -> Query:
        """Find the mRNA of a query as the model was set up: modality by name, layer, column of sources."""
        layer = setup["mrna_layer"] if "modalities" in setup else setup["layer"]
        if isinstance(data, pd.DataFrame):
            view = read_counts(data)
            return cls(view, view.obs_names, None)
        owner = data
        if isinstance(data, MuData):
            owner = data.mod[_mrna_modality(data, setup)]
        view = read_counts(owner, layer=layer)
        names = data.obs_names if isinstance(data, MuData) else view.obs_names
        key = setup["source_key"]
        known = key is not None and key in data.obs
        sources = data.obs[key].astype(str).reindex(view.obs_names).to_numpy() if known else None
        return cls(view, names, sources)


def _mrna_modality(mdata: MuData, setup: Mapping[str, Any]) -> str:
    if "modalities" not in setup:
        raise TypeError(f"the model was set up with AnnData: pass the mRNA modality of {list(mdata.mod)} alone.")
    name = str(setup["modalities"]["mrna"])
    if name not in mdata.mod:
        raise KeyError(f"the MuData has no modality {name!r} with the mRNA; it has {list(mdata.mod)}.")
    return name


def predict(
    reference: Reference, query: Query, unmeasured: Mapping[str, list[int]], device: torch.device
) -> tuple[Prediction, GeneReport]:
    """Predict all rows of a query; rows without mRNA are NaN.

    Parameters
    ----------
    reference
        The trained model.
    query
        Its data.
    unmeasured
        Source to indices of the reference genes that it did not measure.
    device
        Where to compute.
    """
    alignment = align_genes(query.view.gene_names, reference.genes, query.view.annotation)
    alignment.report.log()
    parts = []
    for rows, view, part in _patterns(query, alignment, unmeasured):
        predictor = Predictor(reference, part.present, device=device)
        parts.append((rows, predict_rows(view, part, predictor)))
    n = len(query.view.obs_names)
    if n_missing := n - sum(len(rows) for rows, _ in parts):
        logger.warning("%d of %d rows have no mRNA: their results are NaN", n_missing, n)
    return _in_order(parts, query.view.obs_names.get_indexer(query.obs_names), n, reference), alignment.report


def _patterns(
    query: Query, alignment: GeneAlignment, unmeasured: Mapping[str, list[int]]
) -> Iterator[tuple[NDArray[np.int64], CountView, GeneAlignment]]:
    """Rows of the matrix that measured the same genes, with their counts and alignment."""
    view = query.view
    missing, code = _missing_patterns(view.matrix)
    sources = ["" for _ in code] if query.sources is None else [s if s in unmeasured else "" for s in query.sources]
    if not missing.any() and not any(sources):
        yield np.arange(len(code)), view, alignment
        return
    source_code, names = pd.factorize(np.asarray(sources))
    combined = code * len(names) + source_code
    for key in np.unique(combined):
        rows, (pattern, source) = np.flatnonzero(combined == key), divmod(key, len(names))
        part = alignment.without(missing[pattern], unmeasured.get(names[source], []))
        if len(part.present):
            matrix = _without_missing(view.matrix, rows, missing[pattern])
            yield rows, replace(view, matrix=matrix, obs_names=view.obs_names[rows]), part


def _missing_patterns(matrix: Any) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Distinct masks of NaN columns, (P, G), and the mask of each row, (n,).

    A matrix in a file or of dask is not searched: the check for counts refuses NaN there.
    """
    n, n_genes = matrix.shape
    values = matrix.data if sparse.issparse(matrix) else matrix
    if isinstance(matrix, pd.DataFrame):
        values = matrix.to_numpy(np.float64)
    # A sum needs no second array; it is NaN if any value is.
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or not np.isnan(values.sum()):
        return np.zeros((1, n_genes), dtype=bool), np.zeros(n, np.int64)
    dense = values if values.ndim == 2 else matrix.toarray()
    masks, code = np.unique(np.isnan(dense), axis=0, return_inverse=True)
    return masks, code.reshape(-1)


def _without_missing(matrix: Any, rows: NDArray[np.int64], missing: NDArray[np.bool_]) -> Any:
    chosen = matrix.iloc[rows].to_numpy() if isinstance(matrix, pd.DataFrame) else matrix[rows]
    if not missing.any():
        return chosen
    dense = chosen if isinstance(chosen, np.ndarray) else chosen.toarray()
    return np.where(missing, 0, dense)


def _in_order(
    parts: list[tuple[NDArray[np.int64], Prediction]], position: NDArray[np.int64], n: int, reference: Reference
) -> Prediction:
    """Predictions in the order of the result's rows; NaN where there is none."""
    if not parts:
        raise ValueError(f"no row of the query has mRNA counts that {reference.name!r} could use.")
    fields = {}
    for name in Prediction.__dataclass_fields__:
        first = getattr(parts[0][1], name)
        blank = {"b": False, "i": -1}.get(first.dtype.kind, np.nan)
        full = np.full((n + 1, *first.shape[1:]), blank, first.dtype)  # the last row is what position -1 takes
        for rows, prediction in parts:
            full[rows] = getattr(prediction, name)
        fields[name] = full[position]
    return Prediction(**fields)
