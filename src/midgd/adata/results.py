"""Predictions as the arrays, tables and notes that are written into AnnData."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from midgd import __version__
from midgd.features import GeneReport
from midgd.infer import predict
from midgd.infer.predict import Prediction, at_level
from midgd.infer.units import in_units, log1p_cpm_of
from midgd.infer.weights import PARTS
from midgd.reference import Reference
from midgd.settings import logger

# Rows of 2,000 miRNAs: 2 MB. Measured: binding arms to stem-loops took 62 us a row in one piece, 15 in pieces of 256.
ROWS_AT_A_TIME = 256
SCORE = "ood"  # column of obs of the out-of-domain score
# Columns of obs beside it, for references that know kinds of samples.
NEAREST = ("nearest", "nearest_probability")
# How an answer was made: the parts that were mixed, and the part of each count that was taken for molecules.
WEIGHTS = (*PARTS, "counts_kept")


class Details(dict[str, Any]):
    """What goes with a DataFrame of miRNAs, in its ``attrs["midgd"]``, with the names of its rows.

    As a dictionary it holds which reference and parameters made the table, which is what a file of pandas keeps.
    pandas compares and deep-copies ``attrs`` at every turn: this compares by identity and is shared, not copied.
    """

    def __init__(
        self, values: pd.DataFrame, arrays: Mapping[str, NDArray[np.float32]], provenance: Mapping[str, Any]
    ) -> None:
        super().__init__({name: provenance[name] for name in ("params", "reference", "midgd_version")})
        self.ood = pd.Series(arrays["ood"], values.index, name="ood")
        self.nearest = pd.DataFrame(obs_columns(arrays, provenance, "mirna"), values.index).iloc[:, 1:]
        self.latent = pd.DataFrame(arrays["latent"], values.index)
        self.sd = pd.DataFrame(arrays["sd"], values.index, values.columns) if "sd" in arrays else None
        self.weights = pd.DataFrame(arrays["weights"], values.index, WEIGHTS) if "weights" in arrays else None
        self.provenance = provenance

    def __eq__(self, other: object) -> bool:
        return self is other

    def __deepcopy__(self, memo: dict[int, Any]) -> Details:
        return self


def result_arrays(
    model: Reference, prediction: Prediction, level: str, units: str, with_sd: bool, sample_kind: str = "tissue"
) -> dict[str, NDArray[Any]]:
    """Values at a level and in units, latents, scores, nearest kinds, weights and, if asked for, deviations."""
    # Some rows at a time: what is computed in between stays in the cache of the processor.
    parts = [
        _arrays(model, prediction[first : first + ROWS_AT_A_TIME], level, units, with_sd, sample_kind)
        for first in range(0, max(1, len(prediction)), ROWS_AT_A_TIME)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _arrays(
    model: Reference, prediction: Prediction, level: str, units: str, with_sd: bool, sample_kind: str
) -> dict[str, NDArray[Any]]:
    values = in_units(at_level(model, prediction.share, level), units)
    ood = predict.domain_score(model, prediction, sample_kind)
    arrays: dict[str, NDArray[Any]] = {"values": values, "latent": prediction.latent, "ood": ood}
    if model.kind_names:
        arrays["nearest"] = prediction.kind
        arrays["nearest_probability"] = prediction.kind_probability
    if model.readout is not None:
        arrays["weights"] = np.column_stack([prediction.weights, prediction.counts_kept])
    if with_sd:
        arrays["sd"] = predict.uncertainty(model, prediction, level, units, sample_kind)
    return arrays


def provenance(model: Reference, genes: GeneReport, level: str, params: Mapping[str, object]) -> dict[str, Any]:
    """What ``uns`` keeps about a result; parameters that are None are left out, for h5ad has no None."""
    table = model.mirna_table(level)
    accuracy = {f"spearman_{depth}": values for depth, values in model.accuracy(level).items()}
    return {
        "params": {name: value for name, value in params.items() if value is not None},
        "reference": {"name": model.name, "sha256": model.sha256, "version": str(model.card.get("version", ""))},
        "midgd_version": __version__,
        "kinds": np.array(model.kind_names, dtype=str),
        "weights": np.array(WEIGHTS, dtype=str),
        "genes": genes.to_dict(),
        # One table: tools that merge uns part by part cannot mix the miRNAs of one reference with those of another.
        "mirnas": pd.DataFrame({"accession": table["accession"]} | accuracy, index=table["name"]),
    }


def judged_as(model: Reference, sample_kind: str) -> dict[str, Any]:
    """What ``uns`` keeps about the errors that a result is judged by: of cells or tissues, and their tails."""
    calibration = predict.calibration_of(model, sample_kind)
    tails = None if calibration is None else calibration.tails
    return {"sample_kind": sample_kind} | ({} if tails is None else {"tails": tails})


def mirna_var(names: Iterable[str], uns: Mapping[str, Any]) -> pd.DataFrame:
    """The miRNAs of a result, matched by name with their accessions and held-out accuracies in its ``uns``.

    A name that the result did not have gets no accession and no accuracy.
    """
    index = pd.Index([str(name) for name in names])
    known = uns.get("mirnas")
    if not isinstance(known, pd.DataFrame) or not known.index.is_unique:
        return pd.DataFrame(index=index)
    var = known.reindex(index)
    if "accession" in var:
        var["accession"] = var["accession"].astype(object).where(var["accession"].notna(), "").astype(str)
    return var


def result_uns(key: str, uns: Mapping[str, Any]) -> dict[str, Any]:
    """``uns`` of an AnnData of miRNAs; scanpy finds the base of logarithms in ``log1p``."""
    logarithms = uns.get("params", {}).get("units") == "log1p_cpm"
    return {key: dict(uns)} | ({"log1p": {"base": None}} if logarithms else {})


def is_result(uns: object) -> bool:
    """Whether an entry of ``uns`` is about a result of this package."""
    return isinstance(uns, Mapping) and "midgd_version" in uns


def units_of(uns: Mapping[str, Any]) -> str:
    """Units of a result, from its ``uns``; those of a default call where they were lost."""
    return str(uns.get("params", {}).get("units", "log1p_cpm"))


def log_cpm(mirna: AnnData, key: str) -> NDArray[np.float32]:
    """Values of an AnnData of miRNAs as natural log1p CPM, whatever their units."""
    return log1p_cpm_of(np.asarray(mirna.X, dtype=np.float32), units_of(mirna.uns.get(key, {})))


def latent_key(key: str) -> str:
    """Where in ``obsm`` the latents of a result are."""
    return "X_midgd" if key == "mirna" else f"X_{key}"


def latents_of(adata: AnnData, key: str) -> NDArray[np.floating[Any]]:
    """The latents of a result, (n, d).

    Raises
    ------
    KeyError
        If they are missing.
    """
    name = latent_key(key)
    if name not in adata.obsm:
        raise KeyError(f"adata.obsm has no {name!r}, the latents of the results: run midgd.tl.infer_mirna again.")
    return np.asarray(adata.obsm[name])


def check_key(key: str, argument: str = "key_added") -> None:
    """Refuse a name that files of AnnData cannot have."""
    if not isinstance(key, str) or not key.strip("."):
        raise ValueError(f"{argument}={key!r} must be a name.")
    if wrong := [character for character in "/\0" if character in key]:
        raise ValueError(f"{argument}={key!r} must be a name without {wrong[0]!r}, which files of AnnData cannot hold.")


def write_obsm(
    adata: AnnData, arrays: Mapping[str, NDArray[np.float32]], names: list[str], uns: dict[str, Any], key: str
) -> None:
    """Write results into ``obsm``, ``obs`` and ``uns`` of an AnnData; a view becomes an AnnData of its own.

    What an earlier call left under the same key goes, all of it. What somebody else left there is replaced with a
    warning.
    """
    if adata.is_view:
        adata._init_as_actual(adata.to_memory() if adata.isbacked else adata.copy())
    cells = adata.obs_names
    new: dict[tuple[str, str], Any] = {
        ("obsm", key): pd.DataFrame(arrays["values"], cells, names),
        ("obsm", latent_key(key)): arrays["latent"],
        ("uns", key): uns,
    }
    new |= {("obs", name): values for name, values in obs_columns(arrays, uns, key).items()}
    if "weights" in arrays:
        new["obsm", f"{key}_weights"] = pd.DataFrame(arrays["weights"], cells, WEIGHTS)
    if "sd" in arrays:
        new["obsm", f"{key}_sd"] = pd.DataFrame(arrays["sd"], cells, names)
    clear(adata, key)
    for (attribute, name), value in new.items():
        getattr(adata, attribute)[name] = value


def obs_columns(arrays: Mapping[str, NDArray[Any]], uns: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The columns of ``obs`` of a result; nearest kinds as categories, those that occur."""
    columns: dict[str, Any] = {f"{key}_{name}": arrays[name] for name in (SCORE, *NEAREST) if name in arrays}
    if "nearest" in arrays:
        kinds = pd.Categorical.from_codes(arrays["nearest"], pd.Index(uns["kinds"], dtype=str))
        columns[f"{key}_nearest"] = kinds.remove_unused_categories()
    return columns


def _places(key: str) -> list[tuple[str, str]]:
    """All that a result can consist of."""
    obsm = [("obsm", name) for name in (key, f"{key}_sd", f"{key}_map_sd", f"{key}_weights", latent_key(key))]
    return [*obsm, *(("obs", f"{key}_{name}") for name in (SCORE, *NEAREST)), ("uns", key)]


def clear(adata: AnnData, key: str) -> None:
    """Remove what is in the places of a result, so that no part of an older one stays beside the new one."""
    owners = {place: key for place in _places(key) if is_result(adata.uns.get(key))}
    others = [name for name, value in adata.uns.items() if is_result(value) and name != key]
    owners |= {place: other for other in others for place in _places(other)}
    occupied = [place for place in _places(key) if place[1] in getattr(adata, place[0])]
    foreign = [f"adata.{attribute}[{name!r}]" for attribute, name in occupied if owners.get((attribute, name)) != key]
    if foreign:
        logger.warning(
            "%s did not come from an earlier result %r and %s replaced; key_added= chooses another name",
            ", ".join(foreign),
            key,
            "is" if len(foreign) == 1 else "are",
        )
    for attribute, name in occupied:
        del getattr(adata, attribute)[name]
