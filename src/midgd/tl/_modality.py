"""The modality of a MuData that a tool works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from anndata import AnnData

from midgd.counts import rna_modality

if TYPE_CHECKING:
    from mudata import MuData


def mrna_of(
    data: AnnData | MuData | pd.DataFrame, modality: str | None, copy: bool
) -> tuple[AnnData | pd.DataFrame, MuData | None]:
    """The counts of mRNA to write into; of a MuData they are in the copy, if one is asked for, which comes too.

    A MuData is told by its attributes, without importing mudata.
    """
    if isinstance(data, AnnData | pd.DataFrame) or not hasattr(data, "obsmap"):
        if modality is not None:
            raise ValueError(f"modality={modality!r} is for MuData, not for {type(data).__name__}.")
        return data, None
    name = rna_modality(data.mod) if modality is None else modality
    if name is None:
        raise ValueError(
            f"which modality of the MuData holds the mRNA is not clear; it has {list(data.mod)}: "
            "name one with modality=."
        )
    if name not in data.mod:
        raise KeyError(f"modality={name!r} is not in the MuData; it has {list(data.mod)}.")
    if data.is_view:
        raise ValueError("a subset of a MuData cannot take results: call its copy() first.")
    if copy and data.isbacked:
        raise ValueError("copy=True cannot copy a backed MuData: leave it out, or write to a file with output=.")
    copied = data.copy() if copy else None
    return (data if copied is None else copied).mod[name], copied
