"""Where inferred miRNA goes: obsm of an AnnData, a modality of a MuData."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray

from midgd._mudata import without_pulling
from midgd.adata.results import check_key, is_result, mirna_var, result_uns, write_obsm
from midgd.settings import logger


def check_target(data: AnnData | MuData | pd.DataFrame, key: str | None, setup: Mapping[str, Any]) -> None:
    """Whether results may be written there; before the work, not after."""
    if key is None:
        return
    check_key(key, "write_to")
    if isinstance(data, pd.DataFrame):
        raise ValueError(f"write_to={key!r} needs AnnData or MuData; from a DataFrame take the returned table.")
    taken = setup["modalities"].values() if "modalities" in setup else [setup["mirna_obsm_key"]]
    if key in taken:
        raise ValueError(f"write_to={key!r} holds the measured values of the training data; choose another name.")
    if isinstance(data, MuData) and data.is_view:
        raise ValueError("the MuData is a view, results cannot be written into it: call mdata = mdata.copy() first.")


def write(
    data: AnnData | MuData,
    key: str,
    arrays: Mapping[str, NDArray[np.float32]],
    names: list[str],
    uns: dict[str, Any],
) -> None:
    """Write values, latents, scores and deviations under a key."""
    if isinstance(data, MuData):
        _write_modality(data, key, arrays, names, uns)
    else:
        write_obsm(data, arrays, names, uns, key)


def _write_modality(
    mdata: MuData, key: str, arrays: Mapping[str, NDArray[np.float32]], names: list[str], uns: dict[str, Any]
) -> None:
    inferred = ~np.isnan(arrays["values"][:, 0])
    arrays = {name: values[inferred] for name, values in arrays.items()}
    result = AnnData(
        arrays["values"],
        obs=pd.DataFrame({"mirna_ood": arrays["ood"]}, index=mdata.obs_names[inferred]),
        var=mirna_var(names, uns),
        obsm={"X_midgd": arrays["latent"]},
        layers={"sd": arrays["sd"]} if "sd" in arrays else None,
        uns=result_uns("mirna", uns),
    )
    if key in mdata.mod and not is_result(mdata.mod[key].uns.get("mirna")):
        logger.warning("mdata[%r] did not come from an earlier result and is replaced", key)
    with warnings.catch_warnings(), without_pulling():
        # Measured and inferred miRNAs have the same names on purpose.
        warnings.filterwarnings("ignore", message=".*var_names.*", category=UserWarning)
        mdata.mod[key] = result
        mdata.update()
