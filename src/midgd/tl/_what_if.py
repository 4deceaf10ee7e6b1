from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from midgd.adata.holder import holder
from midgd.adata.names import outputs_of, positions
from midgd.adata.results import latent_key, latents_of
from midgd.generate.answer import Answers
from midgd.generate.change import Change, smallest_change
from midgd.generate.draw import density_of
from midgd.get import mirna as get_mirna
from midgd.infer.weights import PARTS
from midgd.reference import Reference, load
from midgd.settings import logger

if TYPE_CHECKING:
    from mudata import MuData

# Rows at a time: the changes of all genes of one are 68 kB.
ROWS = 4_096


def what_if(
    adata: AnnData | MuData,
    shifts: Mapping[str, float],
    reference: str | Path | Reference = "default",
    *,
    key: str = "mirna",
    genes: Sequence[str] | None = None,
    whole: bool = False,
) -> AnnData:
    r"""What goes with it when some miRNAs of each cell are higher or lower by so much.

    The answer is **association, not cause**: how mRNA and other miRNAs usually differ between samples of one kind that
    differ in these miRNAs. It is no experiment: giving a cell this miRNA may do something else, or nothing.

    Of all changes of a cell that shift the miRNAs as asked, the most probable one is taken, by how samples of one kind
    differ in the training data: a change of its latent, from which mRNA and miRNA follow, and a deviation of the miRNAs
    that mRNA does not show (:mod:`midgd.generate.change`).

    Parameters
    ----------
    adata
        After :func:`midgd.tl.infer_mirna`; of a MuData, its modality with the results is taken. It is not changed.
    shifts
        miRNA to wanted shift of its natural log1p CPM: ``{"hsa-miR-21-5p": 0.69}`` doubles one that is well expressed,
        2.0 is about sevenfold. Names are those of the level that was inferred.
    reference
        That the results came from.
    key
        ``key_added`` of the results.
    genes
        Genes of the result, symbols of the reference; None for all of them, which needs 68 kB a cell.
    whole
        Whether the latent must make the whole shift. By default it makes the most probable part, on average about
        40 % of it, and the differences are as large as those of real samples; with True they are larger.

    Returns
    -------
    AnnData of differences, cells x genes, changed less unchanged:

    ``X``
        Difference of the natural logs of the shares of mRNA, float32.
    ``obsm[key]``
        DataFrame of differences of natural log1p CPM, cells x miRNAs. The named ones have the shifts that were asked
        for, where ``obs["reached"]``; one that is absent may fall below 0 CPM by these numbers: it stays absent.
    ``obsm["X_midgd"]``, ``obsm[f"X_{key}"]`` for another ``key``
        Changed latents.
    ``obs["distance"]``
        How improbable the change is: its length where 1 is one standard deviation within a kind. Above about 3 the
        cell would be unlike its own kind.
    ``obs["reached"]``
        Whether the shifts were reached. Some cannot be, by the latent alone (``whole=True``) or several at once.
    ``obsm["in_latent"]``
        DataFrame, cells x named miRNAs: the part of each shift that the latent makes.
    ``uns[key]``
        ``shifts``, ``whole`` and the reference.

    Raises
    ------
    KeyError
        If there are no results under ``key``, or a miRNA or gene is unknown; names close ones.
    ValueError
        If the results came from another reference, or a shift is not a number of a possible size.

    Examples
    --------
    >>> found = midgd.tl.what_if(adata, {"hsa-miR-21-5p": 0.69})  # doctest: +SKIP
    >>> found.to_df().mean().nlargest(20)  # genes that usually go with it  # doctest: +SKIP
    """
    model = load(reference)
    source = holder(adata, key)
    inferred = get_mirna(source, key)  # says what is wrong with the results, if anything is
    level = _level(model, inferred.uns.get(key, {}), key)
    outputs, wanted = outputs_of(model, shifts, level, "shifts")
    symbols = model.genes.symbols
    chosen = slice(None) if genes is None else positions(list(genes), symbols, "genes", f"genes of {model.name!r}")
    latents, deep = _latents(model, source, key)
    answers, density = Answers(model), density_of(model)
    known = np.isfinite(latents).all(1)
    n_columns = (
        len(symbols if genes is None else list(genes)),
        len(model.mirna_table(level)["name"]),
        latents.shape[1],
    )
    sizes = dict(zip(("X", "mirna", "latent"), n_columns, strict=True))
    arrays: dict[str, NDArray[Any]]
    arrays = {name: np.full((len(latents), size), np.nan, np.float32) for name, size in sizes.items()}
    arrays |= {"distance": np.full(len(latents), np.nan, np.float32)}
    arrays |= {"in_latent": np.full((len(latents), len(outputs)), np.nan, np.float32)}
    reached = np.ones(len(latents), bool)
    for rows in np.array_split(np.flatnonzero(known), max(1, -(-int(known.sum()) // ROWS))):
        own = None if deep is None else deep[rows]
        change = smallest_change(answers, density, latents[rows], outputs, wanted, deep=own, whole=whole)
        _fill(arrays, rows, change, chosen, model.outputs(level))
        reached[rows] = change.reached
    if not reached.all():
        missed = int((~reached).sum())
        logger.warning("what_if: the shifts were not reached in %d of %d rows (obs['reached'])", missed, len(latents))
    arrays["reached"] = reached
    return _result(source, arrays, model, key, level, list(symbols) if genes is None else list(genes), shifts, whole)


def _level(model: Reference, uns: Mapping[str, Any], key: str) -> str:
    """The level of the results, if they came from this reference."""
    made_by = uns.get("reference", {})
    if made_by and made_by.get("sha256") != model.sha256:
        raise ValueError(
            f"adata.obsm[{key!r}] came from reference {made_by.get('name')!r} (sha256"
            f" {str(made_by.get('sha256'))[:12]}…), not from {model.name!r} ({model.sha256[:12]}…): pass that one as"
            " reference=, or run midgd.tl.infer_mirna again."
        )
    level = str(uns.get("params", {}).get("level", model.levels[0]))
    return level if level in model.levels else model.levels[0]


def _latents(model: Reference, adata: AnnData, key: str) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Latents of the results, and the part of the map for deep samples in each answer."""
    latents = latents_of(adata, key).astype(np.float32)
    if latents.ndim != 2 or latents.shape[1] != model.prior.n_latent:
        raise ValueError(
            f"adata.obsm[{latent_key(key)!r}] has the shape {latents.shape}; latents of {model.name!r} have"
            f" {model.prior.n_latent} columns."
        )
    weights = adata.obsm.get(f"{key}_weights")
    return latents, None if weights is None else np.asarray(weights, np.float32)[:, PARTS.index("deep_map")]


def _fill(
    arrays: dict[str, NDArray[Any]],
    rows: NDArray[np.int64],
    change: Change,
    genes: slice | NDArray[np.int64],
    outputs: slice,
) -> None:
    arrays["X"][rows] = change.log_share[:, genes]
    arrays["mirna"][rows] = change.mirna[:, outputs]
    arrays["latent"][rows], arrays["distance"][rows] = change.latent, change.distance
    arrays["in_latent"][rows] = change.in_latent


def _result(
    source: AnnData,
    arrays: dict[str, NDArray[Any]],
    model: Reference,
    key: str,
    level: str,
    genes: list[str],
    shifts: Mapping[str, float],
    whole: bool,
) -> AnnData:
    cells, names = source.obs_names, model.mirna_table(level)["name"]
    wanted = {str(name): float(shift) for name, shift in shifts.items()}
    uns = {
        "shifts": pd.DataFrame({"shift": wanted}),
        "whole": whole,
        "level": level,
        "reference": {"name": model.name, "sha256": model.sha256},
    }
    return AnnData(
        arrays["X"],
        obs=source.obs.assign(distance=arrays["distance"], reached=arrays["reached"]),
        var=pd.DataFrame(index=pd.Index(genes)),
        obsm={
            key: pd.DataFrame(arrays["mirna"], cells, names),
            latent_key(key): arrays["latent"],
            "in_latent": pd.DataFrame(arrays["in_latent"], cells, list(wanted)),
        },
        uns={key: uns},
    )
