"""From registered data to a mosaic with names: what was not measured is masked, never zero."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray
from scvi.data import AnnDataManager

from midgd.counts import CountCheck, RowSource
from midgd.features import left_out_notes
from midgd.model._names import gene_card, mirna_card
from midgd.model._setup import MIRNA_KEY, MRNA_KEY, training_columns
from midgd.reference.reference import Card
from midgd.settings import logger
from midgd.train import Modality, Mosaic


@dataclass(frozen=True)
class TrainingData:
    """Rows of the data that have mRNA, miRNA or both.

    Attributes
    ----------
    mosaic
        Their counts.
    rows
        (n,) their positions in the data.
    genes, mirnas
        Names, as a card has them.
    unmeasured
        Source to indices of the genes that it did not measure; sources that measured all are left out.
    """

    mosaic: Mosaic
    rows: NDArray[np.int64]
    genes: Card
    mirnas: Card
    unmeasured: dict[str, list[int]]

    @property
    def paired(self) -> NDArray[np.bool_]:
        """(n,) rows with both modalities."""
        return self.mosaic["mrna"].present & self.mosaic["mirna"].present


@dataclass(frozen=True)
class _Table:
    """A registered matrix, with its own rows, of which some columns are features to train on; var is theirs."""

    matrix: Any
    obs_names: pd.Index
    var: pd.DataFrame
    columns: NDArray[np.int64]
    where: str


def read_training_data(manager: AnnDataManager, source_key: str | None) -> TrainingData:
    """Read both modalities of registered data; rows that have neither are left out."""
    obs = manager.adata.obs
    sources = None if source_key is None else obs[source_key].astype(str).to_numpy()
    tables = {"mrna": _registered(manager, MRNA_KEY), "mirna": _registered(manager, MIRNA_KEY)}
    mosaic = Mosaic({name: _modality(_values(table, obs.index), sources) for name, table in tables.items()})
    present = mosaic["mrna"].present | mosaic["mirna"].present
    if not (mosaic["mrna"].present & mosaic["mirna"].present).any():
        raise ValueError("no row has counts of both mRNA and miRNA: nothing relates the two. Are the names the same?")
    if not present.all():
        logger.warning("%d rows have neither mRNA nor miRNA counts and are left out", (~present).sum())
    return TrainingData(
        mosaic.take(present),
        np.flatnonzero(present),
        gene_card(tables["mrna"].var),
        mirna_card(tables["mirna"].var),
        {} if sources is None else _unmeasured(mosaic["mrna"], sources),
    )


def check_registered(manager: AnnDataManager) -> None:
    """Refuse what is not counts at set-up, not after the training has begun, and say which columns are no genes."""
    for key in (MRNA_KEY, MIRNA_KEY):
        for _ in _checked_chunks(_registered(manager, key)):
            pass
    var = _owner(manager, MRNA_KEY).var
    for note in left_out_notes(list(map(str, var.index)), training_columns(var).reasons):
        logger.info("%s", note)


def _owner(manager: AnnDataManager, key: str) -> AnnData:
    """The AnnData that a registered matrix belongs to."""
    whole = manager.adata
    return whole.mod[manager.data_registry[key]["mod_key"]] if isinstance(whole, MuData) else whole


def _registered(manager: AnnDataManager, key: str) -> _Table:
    """A matrix of the manager with the names it has now."""
    place = manager.data_registry[key]
    matrix = manager.get_from_registry(key)
    owner = _owner(manager, key)
    where = f"mdata[{place['mod_key']!r}]" if isinstance(manager.adata, MuData) else "adata"
    suffix = "" if place["attr_key"] is None else f"[{place['attr_key']!r}]"
    var = pd.DataFrame(index=matrix.columns) if isinstance(matrix, pd.DataFrame) else owner.var
    columns = np.flatnonzero(training_columns(var).gene >= 0) if key == MRNA_KEY else np.arange(len(var))
    return _Table(matrix, owner.obs_names, var.iloc[columns], columns, f"{where}.{place['attr_name']}{suffix}")


def _checked_chunks(table: _Table) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Rows of a table as dense float32; NaN is what was not measured, everything else must be counts."""
    check = CountCheck(table.where, list(table.obs_names))
    for start, stop, chunk in RowSource(table.matrix):
        dense = np.asarray(chunk if isinstance(chunk, np.ndarray) else chunk.toarray(), np.float32)
        if len(table.columns) < dense.shape[1]:
            dense = dense[:, table.columns]
        check.update(np.where(np.isnan(dense), np.float32(0), dense), start)
        yield start, stop, dense
    check.finish()


def _values(table: _Table, obs_names: pd.Index) -> NDArray[np.float32]:
    """(n, F) values in the order of the data's rows; NaN where the modality lacks a row."""
    own = np.empty((len(table.obs_names), len(table.var)), np.float32)
    for start, stop, chunk in _checked_chunks(table):
        own[start:stop] = chunk
    position = table.obs_names.get_indexer(obs_names)
    if np.array_equal(position, np.arange(len(own))):
        return own
    values = own[position]
    values[position < 0] = np.nan
    return values


def _modality(values: NDArray[np.float32], sources: NDArray[Any] | None) -> Modality:
    measured = ~np.isnan(values)
    counts = np.where(measured, values, np.float32(0))
    seen = counts > 0
    # A row without any count is padding, not a sample that expresses nothing.
    measured &= seen.any(axis=1, keepdims=True)
    for source in np.unique(sources) if sources is not None else ():
        rows = sources == source
        measured[rows] &= seen[rows].any(axis=0)
    return Modality.from_mask(counts, None if measured.all() else measured)


def _unmeasured(mrna: Modality, sources: NDArray[Any]) -> dict[str, list[int]]:
    hidden = {}
    for source in np.unique(sources[mrna.present]):
        patterns = np.unique(mrna.pattern[(sources == source) & mrna.present])
        hidden[str(source)] = np.flatnonzero(~mrna.patterns[patterns].any(axis=0)).tolist()
    return {source: genes for source, genes in hidden.items() if genes}


def held_out_rows(
    candidates: NDArray[np.bool_], fraction: float, labels: NDArray[Any] | None, seed: int
) -> NDArray[np.int64]:
    """Random rows for validation, ``fraction`` of the candidates, from every label in proportion."""
    order = np.random.default_rng(seed).permutation(np.flatnonzero(candidates))
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    n = min(round(fraction * len(order)), len(order) - 1)
    # Evenly spaced in an order sorted by label: every label gives its share.
    return np.sort(order[np.floor((np.arange(n) + 0.5) * len(order) / max(n, 1)).astype(np.int64)])
