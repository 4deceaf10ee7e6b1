"""The measured pairs the benchmark runs on, read from the development folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import issparse

from midgd.metrics import expressed, log1p_cpm

ENV = "MIDGD_DEV_DATA"
#: name of a table -> folder, gene file (none for miRNA alone), miRNA file
TABLES: dict[str, tuple[str, str | None, str]] = {
    "full": ("tcga_counts_full", "mrna.h5ad", "mirna_stemloop.h5ad"),
    "common": ("tcga_unified_common", "mrna.h5ad", "mirna_stemloop.h5ad"),
    "rsem": ("tcga_rsem_full", "mrna.h5ad", "mirna_stemloop.h5ad"),
    "tpm": ("tcga_lihc_tpm", "mrna.h5ad", "mirna_stemloop.h5ad"),
    "mature": ("tcga_counts_full", "mrna.h5ad", "mirna_mature.h5ad"),
    "mature-common": ("tcga_unified_common", "mrna.h5ad", "mirna_mature.h5ad"),
    "mirna-only": ("tcga_mirna_only", None, "mirna_stemloop.h5ad"),
    "mature-only": ("tcga_mirna_only", None, "mirna_mature.h5ad"),
}
#: Tables of pairs that overlap in their samples, the one with most genes first.
PAIRED = ("full", "rsem", "common")


@dataclass(frozen=True, eq=False)
class PairedData:
    """Gene and miRNA counts of the same samples.

    Parameters
    ----------
    x, y
        ``(n, n_genes)`` and ``(n, n_mirnas)``; counts, or TPM for ``x``. Without genes ``x`` has no columns.
    genes, mirnas
        Names of the columns.
    obs
        One row per sample with at least ``cohort`` and ``patient``.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    genes: pd.Index
    mirnas: pd.Index
    obs: pd.DataFrame

    def __post_init__(self) -> None:
        expected = {"x": (len(self.obs), len(self.genes)), "y": (len(self.obs), len(self.mirnas))}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"PairedData: {name} has shape {getattr(self, name).shape}, its names say {shape}.")

    def __len__(self) -> int:
        return len(self.obs)

    @property
    def log_cpm(self) -> NDArray[np.float64]:
        """The measured miRNAs as log1p CPM, ``(n, n_mirnas)``."""
        return log1p_cpm(self.y)

    def subset(self, rows: NDArray[Any]) -> PairedData:
        """The samples of a boolean mask or of row numbers.

        Parameters
        ----------
        rows
            Mask (n,) or row numbers.

        Returns
        -------
        Their pairs, in that order.
        """
        return replace(self, x=self.x[rows], y=self.y[rows], obs=self.obs.iloc[np.arange(len(self))[rows]])

    def select(self, genes: pd.Index | None = None, mirnas: pd.Index | None = None) -> PairedData:
        """The given genes and miRNAs in the given order; all must be there.

        Parameters
        ----------
        genes, mirnas
            Names; None leaves them as they are.

        Returns
        -------
        The pairs with these columns.

        Raises
        ------
        KeyError
            If the table lacks one of them.
        """
        out = self
        if genes is not None and not genes.equals(self.genes):
            out = replace(out, x=self.x[:, _positions(self.genes, genes, "genes")], genes=genes)
        if mirnas is not None and not mirnas.equals(self.mirnas):
            out = replace(out, y=self.y[:, _positions(self.mirnas, mirnas, "miRNAs")], mirnas=mirnas)
        return out


def data_folder(data_dir: str | Path | None = None) -> Path:
    """The development folder: the argument, else ``MIDGD_DEV_DATA``, else ``../shared/data``.

    Parameters
    ----------
    data_dir
        Folder; None for ``MIDGD_DEV_DATA`` or ``../shared/data``.

    Returns
    -------
    The folder, which is there.

    Raises
    ------
    FileNotFoundError
        If it is not there; names ``MIDGD_DEV_DATA``.
    """
    folder = Path(data_dir or os.environ.get(ENV) or "../shared/data").expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no development data at {folder.resolve()}; set {ENV} to the folder that holds "
            "tcga_counts_full/ and patient_splits.csv, or pass data_dir."
        )
    return folder


def load(name: str, data_dir: str | Path | None = None) -> PairedData:
    """One table of :data:`TABLES`; its arrays are shared between calls and cannot be written to.

    Parameters
    ----------
    name
        A name in :data:`TABLES`.
    data_dir
        See :func:`data_folder`.

    Returns
    -------
    The pairs, in the order of the miRNA file.

    Raises
    ------
    KeyError
        For an unknown name.
    FileNotFoundError
        When the folder or a file of the table is not there; names ``MIDGD_DEV_DATA``.
    """
    if name not in TABLES:
        raise KeyError(f"unknown table {name!r}; choose one of {', '.join(TABLES)}.")
    return _load(name, data_folder(data_dir).resolve())


@lru_cache(maxsize=len(TABLES))
def _load(name: str, folder: Path) -> PairedData:
    sub, gene_file, mirna_file = TABLES[name]
    mirna = _read(folder / sub / mirna_file)
    if "patient" not in mirna.obs:
        mirna.obs["patient"] = mirna.obs_names.str[:12]  # the patient part of a TCGA barcode
    y = _frozen(mirna.X)
    if gene_file is None:
        return PairedData(_frozen(np.zeros((len(y), 0))), y, pd.Index([]), mirna.var_names, mirna.obs)
    mrna = _read(folder / sub / gene_file)
    rows = mrna.obs_names.get_indexer(mirna.obs_names)
    if (rows < 0).any():
        raise ValueError(f"{folder / sub}: {int((rows < 0).sum())} samples of {mirna_file} are not in {gene_file}.")
    same = np.array_equal(rows, np.arange(mrna.n_obs))
    x = mrna.X if same else mrna.X[rows]
    return PairedData(_frozen(x), y, mrna.var_names, mirna.var_names, mrna.obs.iloc[rows])


def has(name: str, data_dir: str | Path | None = None) -> bool:
    """Whether the files of a table are there: a folder that was rebuilt from public data has some of the tables.

    Parameters
    ----------
    name
        A name in :data:`TABLES`.
    data_dir
        See :func:`data_folder`.

    Returns
    -------
    True if all its files are there.
    """
    sub, *files = TABLES[name]
    return all((data_folder(data_dir) / sub / file).is_file() for file in files if file)


def load_splits(data_dir: str | Path | None = None) -> pd.Series:
    """``patient_splits.csv`` as a Series: patient to "train", "val" or "test".

    Parameters
    ----------
    data_dir
        See :func:`data_folder`.

    Returns
    -------
    ``"train"``, ``"val"`` or ``"test"``, by patient.

    Raises
    ------
    FileNotFoundError
        If the file is not there.
    """
    path = data_folder(data_dir) / "patient_splits.csv"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; set {ENV} to the folder that holds it.")
    return pd.read_csv(path, dtype=str).set_index("patient")["split"]


def split(data: PairedData, splits: pd.Series, name: str) -> PairedData:
    """The samples whose patient belongs to split ``name``; patients never fall into two splits.

    Parameters
    ----------
    data
        Pairs with the column ``patient``.
    splits
        From :func:`load_splits`.
    name
        ``"train"``, ``"val"`` or ``"test"``.

    Returns
    -------
    The pairs of that split.

    Raises
    ------
    KeyError
        If no patient is in such a split.
    """
    known = sorted(set(splits))
    if name not in known:
        raise KeyError(f"no split {name!r}; patient_splits.csv has {', '.join(known)}.")
    return data.subset((data.obs["patient"].astype(str).map(splits) == name).to_numpy())


def each_once(tables: Iterable[PairedData]) -> list[PairedData]:
    """Every sample once, from the first table that has it.

    Parameters
    ----------
    tables
        Tables that overlap in their samples, the best first.

    Returns
    -------
    The same tables in the same order, each without the samples of those before it.
    """
    taken: set[str] = set()
    fresh = []
    for table in tables:
        names = table.obs.index.astype(str)
        fresh.append(table.subset(~names.isin(taken)))
        taken |= set(names)
    return fresh


def scored_mirnas(train: PairedData) -> NDArray[np.bool_]:
    """Which miRNAs are scored: above 1 read per million in more than 10 % of the training samples.

    Parameters
    ----------
    train
        Training pairs.

    Returns
    -------
    (n_mirnas,) True for those that are scored.
    """
    return expressed(train.log_cpm)


def _positions(have: pd.Index, want: pd.Index, what: str) -> NDArray[np.intp]:
    positions = have.get_indexer(want)
    if (positions < 0).any():
        missing = list(want[positions < 0][:3])
        raise KeyError(
            f"{int((positions < 0).sum())} of {len(want)} {what} are not in the table, {missing} for example."
        )
    return positions


def _read(path: Path) -> ad.AnnData:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; set {ENV} to a folder laid out like shared/data.")
    return ad.read_h5ad(path)


def _frozen(values: Any) -> NDArray[Any]:
    array = np.asarray(values.toarray() if issparse(values) else values)
    array.setflags(write=False)
    return array
