"""Predictions as the arrays, tables and notes that are written into AnnData."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from midgd import __version__
from midgd.features import GeneReport
from midgd.infer import predict
from midgd.infer.predict import Prediction, at_level, in_units
from midgd.reference import Reference


@dataclass(frozen=True, eq=False)
class Details:
    """What goes with a DataFrame of miRNAs, in its ``attrs["midgd"]``.

    pandas compares and deep-copies ``attrs`` at every turn: this compares by identity and is shared, not copied.
    """

    ood: NDArray[np.float32]
    latent: NDArray[np.float32]
    sd: NDArray[np.float32] | None
    provenance: dict[str, Any]

    def __deepcopy__(self, memo: dict[int, Any]) -> Details:
        return self


def result_arrays(
    model: Reference, prediction: Prediction, level: str, units: str, with_sd: bool
) -> dict[str, NDArray[np.float32]]:
    """Values at a level and in units, latents, out-of-domain scores and, if asked for, standard deviations."""
    values = in_units(at_level(model, prediction.share, level), units)
    arrays = {"values": values, "latent": prediction.latent, "ood": prediction.ood}
    if with_sd:
        arrays["sd"] = predict.uncertainty(model, prediction, level, units)
    return arrays


def provenance(model: Reference, genes: GeneReport, level: str, params: Mapping[str, object]) -> dict[str, Any]:
    """What ``uns`` keeps about a result; parameters that are None are left out, for h5ad has no None."""
    return {
        "params": {name: value for name, value in params.items() if value is not None},
        "reference": {"name": model.name, "sha256": model.sha256, "version": str(model.card.get("version", ""))},
        "midgd_version": __version__,
        "genes": genes.to_dict(),
        "accessions": np.array(model.mirna_table(level)["accession"], dtype=str),
        "accuracy": model.accuracy(level),
    }


def mirna_var(names: Iterable[str], uns: Mapping[str, Any]) -> pd.DataFrame:
    """The miRNAs of a result with their accessions and held-out accuracies, from its ``uns``."""
    columns = {"accession": uns["accessions"]} if "accessions" in uns else {}
    accuracy = {f"spearman_{depth}": values for depth, values in uns.get("accuracy", {}).items()}
    return pd.DataFrame(columns | accuracy, index=pd.Index(names, dtype=str))


def write_obsm(
    adata: AnnData, arrays: Mapping[str, NDArray[np.float32]], names: list[str], uns: dict[str, Any], key: str
) -> None:
    """Write results into ``obsm``, ``obs`` and ``uns`` of an AnnData; a view becomes an AnnData of its own."""
    if adata.is_view:
        adata._init_as_actual(adata.copy())
    adata.obsm[key] = pd.DataFrame(arrays["values"], index=adata.obs_names, columns=names)
    adata.obsm["X_midgd"] = arrays["latent"]
    adata.obs[f"{key}_ood"] = arrays["ood"]
    adata.uns[key] = uns
    if "sd" in arrays:
        adata.obsm[f"{key}_sd"] = pd.DataFrame(arrays["sd"], index=adata.obs_names, columns=names)
