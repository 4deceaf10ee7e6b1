from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from midgd.adata.obs import column, labels
from midgd.adata.results import SCORE, check_key, clear, is_result, latent_key, latents_of
from midgd.counts import check_counts, is_dask, read_counts
from midgd.infer.units import in_units
from midgd.nn.readout import MILLION
from midgd.settings import logger
from midgd.spatial import Process, smooth_map
from midgd.spatial.spots import coordinates, spacing
from midgd.tl._values import log_values

FEWEST = 10  # spots of a section


def smooth_spatial(
    adata: AnnData,
    key: str = "mirna",
    *,
    spatial_key: str = "spatial",
    sample_key: str | None = None,
    depth: str | None = None,
    at: NDArray[np.floating] | None = None,
    key_added: str | None = None,
) -> pd.DataFrame | None:
    r"""A continuous map of inferred miRNAs from the spots of a tissue section.

    A Gaussian process with kernel :math:`e^{-|x - x'| / \ell - |t - t'|^2 / 2}` on each of the 30 first principal
    components of log CPM (:mod:`midgd.spatial.process`). Here t is a first map, of the latents: places of the same kind
    of tissue say more about each other than places on two sides of a border. The noise of a spot with :math:`n` mRNA
    molecules has a variance in proportion to :math:`1 / (n + 1000)`, so shallow spots lean on their neighbours and deep
    ones keep their own value. How smooth each component is, and the length scale :math:`\ell` that all share, are those
    of the highest marginal likelihood (Rasmussen and Williams 2006). On five breast sections the maps predict
    spots that were left out better than means of neighbours do. What the other half of a spot's molecules says they
    match better than means of neighbours, and in four sections better than the spot alone. Regions one or two spots
    wide may be blurred: the user guide says where that happened. Spots of a smoothed map depend on each other: never
    take them for replicates.

    Parameters
    ----------
    adata
        Spots, after :func:`midgd.tl.infer_mirna`, without ``groupby``.
    key
        Its ``key_added``.
    spatial_key
        Name of the coordinates in ``obsm``, (n, 2), in any unit.
    sample_key
        Column of ``obs`` that tells sections apart, each of which gets a map of its own. Needed with several sections.
    depth
        Column of ``obs`` with the molecules of each spot, such as ``total_counts``; default: they are counted where
        the inference found its counts.
    at
        Coordinates (m, 2) of one section where the map is wanted, such as a fine grid. Then ``adata`` stays as it is.
    key_added
        Name of the results; default ``f"{key}_smoothed"``. An earlier result of the same name is replaced.

    Returns
    -------
    None, or with ``at`` a DataFrame (m x miRNAs) in the units of the results.

    ``obsm[key_added]``
        The map at the spots, in the units of the results; :func:`midgd.get.mirna` and :mod:`midgd.pl` take it with
        ``key=key_added``.
    ``obsm[f"{key_added}_map_sd"]``
        Standard deviation of the map, on the scale of log CPM: how little the spots around say about this place. The
        errors of the reference are not in it (``uncertainty=True`` of :func:`midgd.tl.infer_mirna` has those).
    ``uns[key_added]``
        As of the inference, and ``smoothing``: for each section its spots, and length scale in units of the
        coordinates, at most 16 distances of neighbours (NaN where no value varies); ``smoothed_from``: the name of the
        results it was made from.

    Raises
    ------
    KeyError
        If there are no results, latents or coordinates, or no such column.
    ValueError
        If two spots of a section are at the same place (several sections without ``sample_key``), a section has fewer
        than ten spots, values or depths are missing, or ``at`` is used with several sections.

    Examples
    --------
    >>> midgd.tl.infer_mirna(section)  # doctest: +SKIP
    >>> midgd.tl.smooth_spatial(section)  # doctest: +SKIP
    >>> midgd.pl.spatial(section, "hsa-miR-143-3p", key="mirna_smoothed")  # doctest: +SKIP
    """
    target = f"{key}_smoothed" if key_added is None else key_added
    check_key(target)
    if target == key:
        raise ValueError(f"key_added={target!r} is the name of the results themselves; choose another.")
    if target in adata.obsm and not is_result(adata.uns.get(target)):
        raise ValueError(f"adata.obsm[{target!r}] is not of an earlier call; key_added= chooses another name.")
    found = log_values(adata, key)
    where = coordinates(adata, spatial_key)
    params = adata.uns.get(key, {}).get("params", {})
    molecules = _molecules(adata, depth, params)
    latents = _latents(adata, key)
    sections = _sections(adata, sample_key, where)
    values = np.asarray(found.X, dtype=float)
    if not np.isfinite(values).all():
        raise ValueError(f"adata.obsm[{key!r}] has missing values; leave those spots or miRNAs out.")
    for name, rows in sections.items():
        if len(rows) < FEWEST or not (molecules[rows] > 0).any():
            raise ValueError(f"{name or 'the section'} has {len(rows)} spots, some with counts; {FEWEST} are needed.")
    units = params.get("units", "log1p_cpm")
    if at is not None:
        if len(sections) > 1:
            raise ValueError(f"at= needs one section, there are {len(sections)}: pass adata[adata.obs[...] == ...].")
        grid = _grid(at)
        centre, _, _ = smooth_map(values, latents, where, molecules, grid, spacing(where))
        return pd.DataFrame(_as(centre, units), columns=found.var_names)
    smoothed, sd = np.empty((2, *values.shape), np.float32)
    notes = []
    for name, rows in sections.items():
        here, unit = where[rows], spacing(where[rows])
        centre, deviation, process = smooth_map(values[rows], latents[rows], here, molecules[rows], here, unit)
        smoothed[rows], sd[rows] = centre, deviation
        notes.append(_note(name, len(rows), process))
        title = f"section {name!r}, " if name else ""
        logger.info("%s%d spots smoothed with a length scale of %.4g", title, len(rows), notes[-1]["length"])
    clear(adata, target)
    adata.obsm[target] = pd.DataFrame(_as(smoothed, units), adata.obs_names, found.var_names)
    adata.obsm[f"{target}_map_sd"] = pd.DataFrame(sd, adata.obs_names, found.var_names)
    if f"{key}_{SCORE}" in adata.obs:
        adata.obs[f"{target}_{SCORE}"] = adata.obs[f"{key}_{SCORE}"].to_numpy()
    adata.uns[target] = dict(adata.uns.get(key, {})) | {"smoothing": pd.DataFrame(notes), "smoothed_from": key}
    return None


def _latents(adata: AnnData, key: str) -> NDArray[np.float64]:
    latents = latents_of(adata, key).astype(float)
    if not np.isfinite(latents).all():
        raise ValueError(f"adata.obsm[{latent_key(key)!r}] has missing values; leave those spots out.")
    return latents


def _note(name: str, n_spots: int, process: Process | None) -> dict[str, Any]:
    return {"section": name, "spots": n_spots, "length": np.nan if process is None else float(process.length)}


def _as(log_cpm: NDArray[np.floating], units: str) -> NDArray[np.float32]:
    return in_units((np.expm1(np.maximum(log_cpm, 0.0)) / MILLION).astype(np.float32), units)


def _grid(at: NDArray[np.floating]) -> NDArray[np.float64]:
    grid = np.asarray(at, dtype=float)
    if grid.ndim != 2 or grid.shape[1] != 2 or not np.isfinite(grid).all():
        raise ValueError(f"at= has shape {grid.shape}; finite coordinates are needed, one row a place, x and y.")
    return grid


def _sections(adata: AnnData, sample_key: str | None, where: NDArray[np.float64]) -> dict[str, NDArray[np.int64]]:
    """Rows of each section by its name; a single one without ``sample_key`` has none."""
    if sample_key is None:
        sections = {"": np.arange(adata.n_obs)}
    else:
        samples = labels(adata.obs, sample_key, "sample_key")
        names = samples.categories.astype(str)
        sections = {name: np.flatnonzero(samples.codes == code) for code, name in enumerate(names)}
    for name, rows in sections.items():
        twice = len(rows) - len(np.unique(where[rows], axis=0))
        if twice:
            raise ValueError(
                f"{twice:,} spots{' of ' + repr(name) if name else ''} are at the place of another. If these are "
                "several sections, say with sample_key= which column of obs tells them apart; else keep one spot of "
                "each place."
            )
    return sections


def _molecules(adata: AnnData, depth: str | None, params: dict[str, Any]) -> NDArray[np.float64]:
    if depth is not None:
        molecules = column(adata.obs, depth, "depth").to_numpy(dtype=float)
        if not np.isfinite(molecules).all() or (molecules < 0).any():
            raise ValueError(f"obs[{depth!r}] has missing or negative values; it holds the molecules of each spot.")
        return molecules
    if params.get("groupby") is not None:
        raise ValueError("these results are of groups (groupby=), whose spots share one value: infer each spot.")
    view = read_counts(adata, layer=params.get("layer"), use_raw=bool(params.get("use_raw", False)))
    if adata.isbacked or is_dask(view.matrix):
        raise TypeError("counting molecules needs the counts in memory: call adata.to_memory(), or pass depth=.")
    hint = f"{view.hint} Or pass depth=, a column of obs with the counts of each spot."
    check_counts(view.matrix, where=view.where, hint=hint)
    return np.asarray(view.matrix.sum(1), dtype=float).ravel()
