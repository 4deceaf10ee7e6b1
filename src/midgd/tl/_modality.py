"""The modality of a MuData that a tool works on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from anndata import AnnData

from midgd.counts import rna_modality

if TYPE_CHECKING:
    from mudata import MuData


def is_mudata(data: Any) -> TypeGuard[MuData]:
    """Whether this is a MuData, without importing mudata."""
    return hasattr(data, "mod") and hasattr(data, "obsmap")


def mrna_of(mdata: MuData, modality: str | None, copy: bool) -> tuple[MuData, AnnData]:
    """The MuData to write into, a copy if asked for, and its modality with the mRNA."""
    name = rna_modality(mdata.mod) if modality is None else modality
    if name is None:
        raise ValueError(
            f"which modality of the MuData holds the mRNA is not clear; it has {list(mdata.mod)}: "
            "name one with modality=."
        )
    if name not in mdata.mod:
        raise KeyError(f"modality={name!r} is not in the MuData; it has {list(mdata.mod)}.")
    if mdata.is_view:
        raise ValueError("a subset of a MuData cannot take results: call its copy() first.")
    if copy and mdata.isbacked:
        raise ValueError("copy=True cannot copy a backed MuData: leave it out, or write to a file with output=.")
    target = mdata.copy() if copy else mdata
    return target, target.mod[name]
