"""A user's own tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pandas as pd

from midgd.datasets._pairs import paired_mudata
from midgd.datasets._tables import (
    Orientation,
    check_table,
    numeric,
    orient,
    read_table,
    sum_duplicates,
    without_summary,
)
from midgd.settings import logger

if TYPE_CHECKING:
    from mudata import MuData

_ENDINGS = (".tsv", ".tsv.gz", ".txt", ".txt.gz", ".csv", ".csv.gz")


def _find(folder: Path, stem: str) -> Path | None:
    found = [folder / (stem + ending) for ending in _ENDINGS if (folder / (stem + ending)).is_file()]
    if len(found) > 1:
        raise ValueError(f"{folder} has more than one table for {stem}: {[p.name for p in found]}; keep one.")
    return found[0] if found else None


def _needed(folder: Path, stem: str) -> Path:
    if path := _find(folder, stem):
        return path
    raise FileNotFoundError(f"{folder} has no {stem} table; looked for {', '.join(stem + e for e in _ENDINGS)}.")


def _orientation(tables: dict[Path, pd.DataFrame], obs: pd.DataFrame | None) -> dict[Path, Orientation]:
    """By the sample names of obs; without obs, the samples are the side that both tables share."""
    if obs is not None:
        return {path: orient(table, set(obs.index), path) for path, table in tables.items()}
    (mrna_path, mrna), (mirna_path, mirna) = tables.items()
    either = set(mirna.index) | set(mirna.columns)
    first = orient(mrna, either, mrna_path)
    samples = mrna.index if first == "samples_by_features" else mrna.columns
    return {mrna_path: first, mirna_path: orient(mirna, set(samples), mirna_path)}


def _full_obs(obs: pd.DataFrame | None, samples: pd.Index, cohort: str) -> pd.DataFrame:
    full = pd.DataFrame(
        {"cohort": cohort, "patient": samples, "sample_type": "unknown", "sample": samples}, index=samples
    )
    return full if obs is None else obs.loc[samples].join(full[full.columns.difference(obs.columns, sort=False)])


def read_folder(path: Path | str, *, orientation: Orientation | None = None) -> MuData:
    """Your own pairs, from a folder of tables of raw counts.

    Parameters
    ----------
    path
        Folder with ``mrna`` and ``mirna`` and perhaps ``obs``, each as ``.tsv``, ``.txt`` or ``.csv``, also
        ``.gz``. The first row and the first column are names. Rows of ``obs`` are samples.
    orientation
        ``"samples_by_features"`` or ``"features_by_samples"``, for both tables. By default found out for each
        table, from the sample names in ``obs`` or, without it, from the names that both tables share.

    Returns
    -------
    MuData with ``"rna"`` and ``"mirna"``, float32 CSR, of the samples that all tables have, in the order of the
    mRNA table. ``obs``: the columns of the obs table, and where it lacks them ``cohort`` (name of the folder),
    ``patient`` and ``sample`` (name of the sample) and ``sample_type`` (``"unknown"``). Features of the same name
    are summed; rows of htseq-count that sum up reads of no gene (``__no_feature``) are left out.

    Raises
    ------
    FileNotFoundError
        If the folder or a needed table is missing.
    ValueError
        If a table holds text or negative, missing or infinite values, logarithms or other values that are no counts,
        if the samples cannot be found or no sample is in all tables, or if sample names occur more than once.

    Examples
    --------
    >>> mdata = midgd.datasets.read_folder("my_pairs")  # holds mrna.csv and mirna.csv # doctest: +SKIP
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder.")
    if orientation is not None and orientation not in get_args(Orientation):
        raise ValueError(f"orientation is {orientation!r}; choose one of {list(get_args(Orientation))} or None.")
    paths = [_needed(folder, "mrna"), _needed(folder, "mirna")]
    obs_path = _find(folder, "obs")
    obs = read_table(obs_path) if obs_path else None
    if obs is not None and not obs.index.is_unique:
        twice = list(obs.index[obs.index.duplicated()].unique()[:5])
        raise ValueError(f"{obs_path}: sample names occur more than once: {twice}; make them different.")
    tables = {path: read_table(path) for path in paths}
    sides = dict.fromkeys(paths, orientation) if orientation else _orientation(tables, obs)
    mrna, mirna = (_counts(table, path, sides[path]) for path, table in tables.items())
    samples = _common([mrna.index, mirna.index] + ([] if obs is None else [obs.index]), folder)
    return paired_mudata(
        _full_obs(obs, samples, folder.resolve().name),
        mrna.loc[samples].to_numpy(),
        pd.DataFrame(index=mrna.columns),
        mirna.loc[samples].to_numpy(),
        pd.DataFrame(index=mirna.columns),
    )


def _counts(table: pd.DataFrame, path: Path, orientation: Orientation | None) -> pd.DataFrame:
    table = numeric(table, path)
    table = without_summary(table if orientation == "samples_by_features" else table.T, path)
    check_table(table, path)
    return sum_duplicates(table, path)


def _common(names: list[pd.Index], folder: Path) -> pd.Index:
    common = names[0]
    for others in names[1:]:
        common = common[common.isin(others)]
    if common.empty:
        examples = [list(index[:3]) for index in names]
        raise ValueError(f"{folder}: no sample is in all tables; their sample names begin {examples}.")
    if any(len(index) > len(common) for index in names):
        logger.warning("%s: %d samples are in all tables, of %s", folder, len(common), [len(i) for i in names])
    return common
