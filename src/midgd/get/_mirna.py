from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from midgd.adata.holder import holder
from midgd.adata.results import mirna_var, result_uns
from midgd.get._carry import carried_obsm, carried_obsp, carried_uns, is_ranking
from midgd.get._units import checked_units
from midgd.settings import logger

if TYPE_CHECKING:
    from mudata import MuData


def mirna(adata: AnnData | MuData, key: str = "mirna", *, min_accuracy: float | None = None) -> AnnData:
    """Inferred miRNAs as an AnnData, so that any scanpy function works on them.

    What the cells have comes along: ``obs``, embeddings as ``X_umap``, spatial coordinates, graphs and images,
    colours. What was computed from their genes does not, where a tool would use it without being asked to: ``X_pca``
    and ``X_diffmap``, neighbours, and in ``uns`` the notes on logarithms, neighbours, principal components, variable
    genes, marker genes and dendrograms. So ``sc.pp.neighbors`` finds neighbours by miRNA, and plots can still show
    miRNAs on the UMAP of the genes. All is copied: changes do not reach the cells.

    Parameters
    ----------
    adata
        After :func:`midgd.tl.infer_mirna`; of a MuData, its modality with the results is taken.
    key
        Its ``key_added``.
    min_accuracy
        Keep only miRNAs whose held-out correlation is at least this: ``spearman_cells_left_out`` where the rows were
        judged as cells, else ``spearman_bulk``. A miRNA without one goes.

    Returns
    -------
    AnnData, cells x miRNAs, with the values as ``X`` and their standard deviations as ``layers["sd"]`` where they were
    computed. ``var`` has the accession of each miRNA and how well the reference predicts it: its Spearman correlation
    over held-out samples, ``spearman_bulk`` as sequenced and ``spearman_umi_1000`` downsampled to 1,000 counts, and
    ``spearman_cells_left_out`` over kinds of cells, each predicted by a model that had seen no kind of its lineage (NaN
    where the miRNA is hardly ever present). After ``zero_shot=``, a flag and the evidence stand beside them, and
    the accuracies of flagged miRNAs are expected ones. All are matched by the name of the miRNA: the table in ``obsm``
    may have been sorted, cut or joined with another. Rankings of :func:`midgd.tl.rank_mirnas` are in ``uns`` where
    scanpy looks for them.

    Raises
    ------
    KeyError
        If there are no results under this key.
    ValueError
        If the table has no columns, or one of them twice, or parts in different units, or ``min_accuracy`` is asked of
        results without accuracies.

    Examples
    --------
    >>> sc.pl.umap(midgd.get.mirna(adata), color="hsa-miR-223-3p")  # doctest: +SKIP
    """
    adata = holder(adata, key)
    values = table_of(adata, key)
    carried = carried_uns(adata)
    entry = carried.get(key, {})
    rankings = {name: value for name, value in entry.items() if is_ranking(value)}
    uns = {name: value for name, value in entry.items() if name not in rankings}
    units = checked_units(values, uns, key)
    result = AnnData(
        values.to_numpy(np.float32, copy=True),
        obs=adata.obs.copy(),
        var=mirna_var(values.columns, uns),
        obsm=carried_obsm(adata, {key, f"{key}_sd"}),
        obsp=carried_obsp(adata),
        uns=carried | rankings | (result_uns(key, uns) if uns else {}),
    )
    if not uns:
        logger.warning(
            "adata.uns[%r] is missing (anndata.concat needs uns_merge='first'): there are no accessions, and the values"
            " are taken for log1p CPM",
            key,
        )
    if units != "log1p_cpm":
        logger.info("values are %s, no logarithms: call sc.pp.log1p before tools that compute fold changes", units)
    sd = adata.obsm.get(f"{key}_sd")
    if isinstance(sd, pd.DataFrame):
        result.layers["sd"] = sd.reindex(columns=values.columns).to_numpy(np.float32, copy=True)
    return result if min_accuracy is None else result[:, _accurate(result.var, uns, min_accuracy)].copy()


def _accurate(var: pd.DataFrame, uns: Mapping[str, Any], least: float) -> NDArray[np.bool_]:
    wanted = ["spearman_cells_left_out", "spearman_bulk"][uns.get("sample_kind") != "cell" :]
    known = [name for name in wanted if name in var]
    if not known:
        raise ValueError("min_accuracy= needs held-out accuracies; these results have none.")
    return (var[known[0]] >= least).to_numpy()


def table_of(adata: AnnData, key: str) -> pd.DataFrame:
    """The table of a result, of which every column is one miRNA."""
    values = adata.obsm.get(key)
    if not isinstance(values, pd.DataFrame):
        tables = [name for name, value in adata.obsm.items() if isinstance(value, pd.DataFrame)]
        raise KeyError(
            f"adata.obsm[{key!r}] holds no inferred miRNAs (tables in obsm: {tables or 'none'})."
            " Run midgd.tl.infer_mirna(adata) first, or pass its key_added as key=."
        )
    if values.columns.empty:
        raise ValueError(
            f"adata.obsm[{key!r}] has no columns left. anndata.concat keeps only the miRNAs that all parts have:"
            " infer all parts at the same level, or concatenate with join='outer'."
        )
    if not values.columns.is_unique:
        twice = values.columns[values.columns.duplicated()]
        raise ValueError(f"adata.obsm[{key!r}] has {twice[0]!r} more than once; keep one column of each miRNA.")
    return values
