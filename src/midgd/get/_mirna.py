from __future__ import annotations

import pandas as pd
from anndata import AnnData

from midgd.tl._results import mirna_var


def mirna(adata: AnnData, key: str = "mirna") -> AnnData:
    """Inferred miRNAs as an AnnData, so that any scanpy function works on them.

    Parameters
    ----------
    adata
        After :func:`midgd.tl.infer_mirna`.
    key
        Its ``key_added``.

    Returns
    -------
    AnnData, cells x miRNAs, with the values as ``X``, their standard deviations as ``layers["sd"]`` where they were
    computed, and the ``obs``, ``obsm``, ``obsp`` and ``uns`` of the cells. ``var`` has the accession of each miRNA and
    how well the reference predicts it: its Spearman correlation over held-out samples, ``spearman_bulk`` as sequenced
    and ``spearman_umi_1000`` thinned to 1,000 counts (NaN where it is hardly ever present).

    Raises
    ------
    KeyError
        If there are no results under this key.

    Examples
    --------
    >>> sc.pl.umap(midgd.get.mirna(adata), color="hsa-miR-223-3p")  # doctest: +SKIP
    """
    if key not in adata.obsm or not isinstance(adata.obsm[key], pd.DataFrame):
        tables = [name for name, value in adata.obsm.items() if isinstance(value, pd.DataFrame)]
        raise KeyError(
            f"adata.obsm[{key!r}] holds no inferred miRNAs (tables in obsm: {tables or 'none'})."
            " Run midgd.tl.infer_mirna(adata) first, or pass its key_added as key=."
        )
    values = adata.obsm[key]
    own = {key, f"{key}_sd"}
    result = AnnData(
        values.to_numpy(),
        obs=adata.obs.copy(),
        var=mirna_var(values.columns, adata.uns.get(key, {})),
        obsm={name: value for name, value in adata.obsm.items() if name not in own},
        obsp=dict(adata.obsp),
        uns=dict(adata.uns),
    )
    if f"{key}_sd" in adata.obsm:
        result.layers["sd"] = adata.obsm[f"{key}_sd"].to_numpy()
    return result
