"""What a file of results says of its rows, and of the run that made it."""

from __future__ import annotations

import hashlib
from typing import Any

import pandas as pd
from anndata import AnnData

from midgd.counts import CountView


def obs_of(data: AnnData | pd.DataFrame, view: CountView) -> pd.DataFrame:
    """The user's obs; that of a lazily read AnnData is still in its file."""
    obs = data.obs if isinstance(data, AnnData) else pd.DataFrame(index=view.obs_names)
    return obs if isinstance(obs, pd.DataFrame) else obs.to_memory()


def made_with(view: CountView, uns: dict[str, Any], uncertainty: bool) -> dict[str, Any]:
    """What a run that goes on must share with the one that was interrupted."""
    names = (view.gene_names, view.obs_names)
    return {
        "params": uns["params"] | {"uncertainty": uncertainty},
        "reference": uns["reference"],
        "names": [hashlib.sha256("\n".join(map(str, part)).encode()).hexdigest() for part in names],
        "shape": list(view.matrix.shape),
    }
