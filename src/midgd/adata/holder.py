"""Where in the user's object the results are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from anndata import AnnData

if TYPE_CHECKING:
    from mudata import MuData


def holder(data: AnnData | MuData, key: str) -> AnnData:
    """The AnnData that has the results ``key``: the data, or their one modality that has them."""
    if isinstance(data, AnnData):
        return data
    if not hasattr(data, "mod"):
        raise TypeError(f"AnnData or MuData with inferred miRNAs is needed, got {type(data).__name__}.")
    names = [name for name, table in data.mod.items() if isinstance(table.obsm.get(key), pd.DataFrame)]
    if len(names) != 1:
        found = "none" if not names else ", ".join(map(repr, names))
        raise KeyError(
            f"one modality of the MuData must have obsm[{key!r}] with inferred miRNAs, found {found} of "
            f"{list(data.mod)}. Run midgd.tl.infer_mirna(mdata) first, or pass one modality, such as mdata['rna']."
        )
    return data.mod[names[0]]
