"""In which units a table of results is, and whether all of it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from midgd.adata.results import units_of

# No logarithm of CPM and no share is as large; of CPM, the most abundant miRNA of every cell is larger.
_LARGEST = 100.0


def checked_units(values: pd.DataFrame, uns: Mapping[str, Any], key: str) -> str:
    """The units of a result, by what is noted about it.

    Parameters
    ----------
    values
        Its table.
    uns
        Its notes, ``adata.uns[key]``; empty if they are lost.
    key
        Its name, for messages.

    Raises
    ------
    ValueError
        If the table was put together from parts in different units.
    """
    params = uns.get("params", {})
    advice = "infer all parts in the same units before they are concatenated"
    if params and "units" not in params:
        raise ValueError(f"the parts of adata.obsm[{key!r}] are in different units, of which uns has none: {advice}.")
    units = units_of(uns)
    if units != "cpm" and (largest := np.nanmax(values.to_numpy(), initial=0.0)) > _LARGEST:
        what = f"adata.obsm[{key!r}] holds values up to {largest:.6g}, which are no {units}"
        raise ValueError(f"{what}: {advice}.")
    return units
