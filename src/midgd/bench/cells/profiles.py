"""mRNA profiles of kinds, from the tables of ``cells/`` and ``single_cell/`` of the development folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.sparse import issparse

from midgd.bench.data import data_folder
from midgd.features import GeneVocabulary, align_genes

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: short name -> file
TABLES = {
    "blood": "cells/mrna/hpa_blood18_nx",
    "tissue": "cells/mrna/hpa_tissue61_nx",
    "line": "cells/mrna/hpa_celllines_nx",
    "gtex": "cells/mrna/gtex54_mean_counts",
    "blue": "cells/mrna/bluecode34_rnaseq_tpm",
    "cage": "cells/mrna/fantom5_tissue_cage_ntpm",
    "zanini": "cells/single_cells/Zanini_2018",
    "aizarani": "cells/single_cells/Aizaran_2019",
    "darmanis": "cells/single_cells/Darmanis_2015",
    "croote": "cells/single_cells/Croote_2018",
    "smillie": "cells/single_cells/Smillie_2019_averages",
    "citeseq": "single_cell/pbmc_10k_citeseq_200cells",
}
#: tables of single cells, or of averages of them
SINGLE_CELL = ("zanini", "aizarani", "darmanis", "croote", "smillie", "citeseq")
#: blood without what white cells have: genes that they leave 80 % of unexplained
WHITE = ("neutrophil", "classical_monocyte", "naive_CD4_T_cell", "NK_cell", "naive_B_cell", "eosinophil")


class Profiles:
    """Profiles of kinds over the genes of a vocabulary.

    Parameters
    ----------
    genes
        The vocabulary.
    data_dir
        Development folder, see :func:`midgd.bench.data.data_folder`.
    """

    def __init__(self, genes: GeneVocabulary, data_dir: str | Path | None = None) -> None:
        self.genes, self.folder = genes, data_folder(data_dir)
        self._tables: dict[str, tuple[Floats, Mask, NDArray[Any]]] = {}

    def __call__(self, source: str) -> tuple[Floats, Mask]:
        """Shares (G,), and which genes were measured (G,), of a source such as ``blue:T.Cell.CD4``."""
        name, _, rows = source.partition(":")
        if name == "erythroid":
            return self._erythroid()
        values, measured, labels = self.table(name)
        shares, known = [], []
        for row in rows.split("&"):
            chosen = labels == row.strip()
            if not chosen.any():
                raise KeyError(f"{TABLES[name]} has no row {row.strip()!r}.")
            own = values[chosen]
            shares.append((own / np.maximum(own.sum(1, keepdims=True), 1e-9)).mean(0))
            known.append(measured[chosen].all(0))
        share, both = np.mean(shares, 0), np.all(known, 0)
        share = np.where(both, share, 0.0)
        return (share / share.sum()).astype(np.float32), both

    def table(self, name: str) -> tuple[Floats, Mask, NDArray[Any]]:
        """One table on the genes of the vocabulary.

        Parameters
        ----------
        name
            Short name in :data:`TABLES`.

        Returns
        -------
        Values (n, G), which of them were measured, and the labels (n,) of the rows.
        """
        if name not in self._tables:
            data = read_table(self.folder, name)
            x = np.asarray(data.X.toarray() if issparse(data.X) else data.X, dtype=np.float32)
            by_symbol = "symbol" in data.var and not any(self.genes.ensembl)
            names = data.var["symbol"] if by_symbol else data.var_names
            alignment = align_genes([str(name) for name in names], self.genes)
            values = np.zeros((len(x), len(self.genes.symbols)), np.float32)
            measured = np.zeros(values.shape, bool)
            values[:, alignment.present] = alignment.apply(np.nan_to_num(x)).toarray()
            unknown = alignment.apply(np.isnan(x).astype(np.float32)).toarray()
            measured[:, alignment.present] = unknown == 0
            labels = data.obs["cell_type"] if "cell_type" in data.obs else data.obs_names
            self._tables[name] = values, measured, np.asarray(labels, dtype=str)
        return self._tables[name]

    def _erythroid(self) -> tuple[Floats, Mask]:
        blood, measured = self("gtex:Whole Blood")
        white = [self(f"blood:{row}") for row in WHITE]
        measured = np.all([measured, *(known for _, known in white)], 0)
        roots = np.sqrt(np.stack([share for share, _ in white], 1)) * measured[:, None]
        part, _ = nnls(roots, np.sqrt(blood * measured))
        rest = np.where(blood > 5.0 * (roots @ part) ** 2, blood, 0.0) * measured
        return (rest / rest.sum()).astype(np.float32), measured


def read_table(folder: Path, name: str) -> ad.AnnData:
    """A table of :data:`TABLES`; cells of the CITE-seq table are labelled by their proteins.

    Parameters
    ----------
    folder
        The folder ``cells/mrna`` of the development data, or where its files lie.
    name
        Short name in :data:`TABLES`.

    Returns
    -------
    The table as it is in the file.
    """
    data = ad.read_h5ad(folder / f"{TABLES[name]}.h5ad")
    if name == "citeseq":
        data.obs["cell_type"] = cell_types_by_protein(data)
    return data


def cell_types_by_protein(data: ad.AnnData) -> list[str]:
    """Types of peripheral blood cells by surface proteins, ``"unknown"`` where these do not agree with one type.

    Thresholds lie between the two modes of each protein in these cells.

    Parameters
    ----------
    data
        Cells of the CITE-seq table with ``obsm["protein_expression"]``.

    Returns
    -------
    One type a cell.
    """
    names = [str(name).partition("_")[0] for name in data.uns["protein_names"]]
    protein = pd.DataFrame(np.asarray(data.obsm["protein_expression"], dtype=float), columns=names)
    t = protein["CD3"] > 300
    monocyte = (protein["CD14"] > 300) & ~t
    b = (protein["CD19"] > 100) & ~t & ~monocyte
    nk = (protein["CD56"] > 100) & ~t & ~monocyte & ~b
    ratio = (1 + protein["CD4"]) / (1 + protein["CD8a"])
    types = {
        "monocyte": monocyte,
        "B cell": b,
        "NK cell": nk,
        "CD4 T cell": t & (ratio > np.exp(0.5)) & (protein["CD4"] > 200),
        "CD8 T cell": t & (ratio < np.exp(-0.5)) & (protein["CD8a"] > 200),
    }
    return list(np.select(list(types.values()), list(types), "unknown"))
