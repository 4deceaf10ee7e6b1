"""What of an AnnData of genes holds for the miRNAs of the same cells.

Cells, their coordinates, their pictures and colours do. Whatever tools take without being asked for it and was
computed from the genes does not: ``sc.pp.neighbors`` would take ``X_pca``, ``sc.tl.leiden`` the neighbours,
``sc.tl.rank_genes_groups`` the base of the logarithms, ``sc.pl.dotplot`` the dendrogram.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pandas as pd
from anndata import AnnData

_OBSM = ("X_pca", "X_diffmap")
_OBSP = ("connectivities", "distances")
_UNS = ("log1p", "pca", "hvg", "neighbors", "diffmap_evals", "umap", "tsne")
_UNS_PREFIXES = ("rank_genes_groups", "dendrogram", "_scvi")


def carried_obsm(adata: AnnData, own: set[str]) -> dict[str, Any]:
    """Embeddings and coordinates, without what tools take for the principal components of ``X``."""
    return {name: copy.copy(value) for name, value in adata.obsm.items() if name not in own and name not in _OBSM}


def carried_obsp(adata: AnnData) -> dict[str, Any]:
    """Graphs of the cells, without those of neighbours by their genes."""
    of_genes = set(_OBSP)
    for value in adata.uns.values():
        if _is_graph(value) and not _is_spatial(value):
            of_genes |= {value.get("connectivities_key"), value.get("distances_key")}
    return {name: copy.copy(value) for name, value in adata.obsp.items() if name not in of_genes}


def carried_uns(adata: AnnData) -> dict[str, Any]:
    """Notes, colours, images and graphs by coordinates, without what was computed from the genes."""
    return {name: copy.deepcopy(value) for name, value in adata.uns.items() if not _of_genes(name, value, adata)}


def _of_genes(name: str, value: Any, adata: AnnData) -> bool:
    if name in _UNS or name.startswith(_UNS_PREFIXES):
        return True
    if isinstance(value, pd.DataFrame):
        return bool(value.index.isin(adata.var_names).any() or value.columns.isin(adata.var_names).any())
    return (_is_graph(value) and not _is_spatial(value)) or is_ranking(value)


def is_ranking(value: Any) -> bool:
    """Whether this is a result of ``rank_genes_groups``, by its fields: users choose its name."""
    return isinstance(value, Mapping) and {"names", "scores"} <= set(value)


def _is_graph(value: Any) -> bool:
    return isinstance(value, Mapping) and "connectivities_key" in value


def _is_spatial(graph: Mapping[str, Any]) -> bool:
    """Whether squidpy made a graph from coordinates."""
    return "coord_type" in graph.get("params", {}) or str(graph["connectivities_key"]).startswith("spatial")
