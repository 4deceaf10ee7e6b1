"""Delimited tables of other people: reading them, and finding out which side the samples are on."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from midgd.settings import logger

if TYPE_CHECKING:
    from pathlib import Path

Orientation = Literal["samples_by_features", "features_by_samples"]


def read_table(path: Path) -> pd.DataFrame:
    """Table with names in the first row and column; tab or comma, by the header; gzip by content, not by name."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rt") if zipped else path.open() as text:
        header = text.readline()
    separator = "\t" if "\t" in header else ","
    if separator not in header:
        raise ValueError(f"{path}: the first line has neither a tab nor a comma; a table with a header is needed.")
    table = pd.read_csv(path, sep=separator, index_col=0, compression="gzip" if zipped else None)
    table.index = table.index.astype(str)
    table.columns = table.columns.astype(str)
    return table


def numeric(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The table, or an error that names a column with text."""
    for name, column in table.items():
        if not pd.api.types.is_numeric_dtype(column):
            raise ValueError(
                f"{path}: column {name!r} holds text ({column.iloc[0]!r}); the table may only hold one column of "
                "names, then numbers."
            )
    return table


def check_counts(table: pd.DataFrame, path: Path) -> None:
    """Refuse what cannot be counts; warn about what is unlikely to be."""
    values = table.to_numpy(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: {int((~np.isfinite(values)).sum())} values are missing or infinite; fill them in.")
    if (values < 0).any():
        raise ValueError(f"{path}: there are negative values (smallest {values.min():g}); raw counts are needed.")
    if (values != np.round(values)).any():
        logger.warning("%s: values are not all integers; raw counts are what the models are made for", path)


def sum_duplicates(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Samples x features with features of the same name summed; samples of the same name are an error."""
    if not table.index.is_unique:
        twice = list(table.index[table.index.duplicated()].unique()[:5])
        raise ValueError(f"{path}: sample names occur more than once: {twice}; make them different.")
    if table.columns.is_unique:
        return table
    names = table.columns[table.columns.duplicated()].unique()
    logger.info("%s: %d feature names occur more than once and were summed: %s", path, len(names), list(names[:5]))
    return table.T.groupby(level=0, sort=False).sum().T


def orient(table: pd.DataFrame, samples: set[str], path: Path) -> Orientation:
    """Which side of the table has the known sample names.

    Raises
    ------
    ValueError
        If neither side has any, or both have some.
    """
    rows, columns = len(samples.intersection(table.index)), len(samples.intersection(table.columns))
    if bool(rows) == bool(columns):
        raise ValueError(
            f"{path}: cannot tell samples from features: of {len(samples)} known sample names {rows} are row names "
            f"and {columns} are column names (rows begin {list(table.index[:3])}, columns {list(table.columns[:3])}, "
            f"samples {sorted(samples)[:3]}). Give orientation='samples_by_features' or 'features_by_samples', "
            "or make the names agree."
        )
    return "samples_by_features" if rows else "features_by_samples"
