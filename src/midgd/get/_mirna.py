from __future__ import annotations

import pandas as pd
from anndata import AnnData


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
    computed, accessions in ``var``, and the ``obs``, ``obsm``, ``obsp`` and ``uns`` of the cells.

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
    var = pd.DataFrame(index=values.columns.astype(str))
    if key in adata.uns and "accessions" in adata.uns[key]:
        var["accession"] = adata.uns[key]["accessions"]
    own = {key, f"{key}_sd"}
    result = AnnData(
        values.to_numpy(),
        obs=adata.obs.copy(),
        var=var,
        obsm={name: value for name, value in adata.obsm.items() if name not in own},
        obsp=dict(adata.obsp),
        uns=dict(adata.uns),
    )
    if f"{key}_sd" in adata.obsm:
        result.layers["sd"] = adata.obsm[f"{key}_sd"].to_numpy()
    return result
