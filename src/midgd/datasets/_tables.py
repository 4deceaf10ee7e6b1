"""Delimited tables of other people: reading them, and finding out which side the samples are on."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from midgd._text import one_line
from midgd.counts import check_counts
from midgd.features.columns import READ_SUMMARY
from midgd.settings import logger

if TYPE_CHECKING:
    from pathlib import Path

MAX_TEXT, PIECE = 2 << 30, 1 << 20  # bytes of one table, and of what is read of it at a time
Orientation = Literal["samples_by_features", "features_by_samples"]


def read_table(path: Path) -> pd.DataFrame:
    """Table with names in the first row and column; tab or comma, by the header; gzip by content, not by name.

    UTF-8 and UTF-16 are told by their first bytes; what is neither is read as Latin-1, with a warning. Names that stand
    in the header twice stay as they are.
    """
    text = read_text(path)
    header = text.partition("\n")[0]
    separator = "\t" if "\t" in header else ","
    if separator not in header:
        raise ValueError(f"{path}: the first line has neither a tab nor a comma; a table with a header is needed.")
    with parsed(path):
        names = pd.read_csv(io.StringIO(header), sep=separator, header=None, dtype=str, keep_default_na=False).iloc[0]
        table = pd.read_csv(io.StringIO(text), sep=separator, index_col=0)
    table.index = table.index.astype(str)
    # pandas tells columns of one name apart (P0, P0.1); a header of R lacks the name of the first column.
    if len(names) not in (table.shape[1], table.shape[1] + 1):
        raise ValueError(f"{path}: the header has {len(names)} names, the rows {table.shape[1] + 1} fields.")
    table.columns = pd.Index(names[len(names) - table.shape[1] :].str.strip(), dtype=str, name=None)
    return table


def read_text(path: Path) -> str:
    """Text of a file, perhaps gzipped.

    Raises
    ------
    ValueError
        If it is too long, also when it is unpacked, or its gzip is damaged.
    """
    content = bytearray()
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            with gzip.open(file) if packed else file as source:
                while piece := source.read(PIECE):  # to read it at once would set aside memory for the longest
                    content += piece
                    if len(content) > MAX_TEXT:
                        raise ValueError(
                            f"{path} holds more than {MAX_TEXT:,} bytes of text; split it, or use .h5ad for large data."
                        )
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path} is damaged or incomplete ({error}); get it again.") from error
    return _decoded(bytes(content), path)


@contextmanager
def parsed(path: Path) -> Iterator[None]:
    """Name the file in what pandas says about its content."""
    try:
        yield
    except (ValueError, OverflowError, IndexError) as error:
        raise ValueError(f"{path} cannot be read as a table: {one_line(error)}") from error


def _decoded(content: bytes, path: Path) -> str:
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is damaged or incomplete ({error}); get it again.") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        logger.warning("%s is not UTF-8: read as Latin-1; names with accents may come out wrong", path)
        return content.decode("latin-1")


def without_summary(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Samples x features without the counts of reads that are no gene's (htseq-count, STAR)."""
    summary = table.columns.str.fullmatch(READ_SUMMARY)
    if summary.any():
        logger.info("%s: left out %s, which are no features", path, ", ".join(table.columns[summary]))
    return table.loc[:, ~summary]


def numeric(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The table, or an error that says that it is empty or names a column with text."""
    if table.empty:
        raise ValueError(f"{path}: the table has a header, but no rows or no columns of numbers.")
    for name, column in table.items():
        if not pd.api.types.is_numeric_dtype(column):
            raise ValueError(
                f"{path}: column {name!r} holds text ({column.iloc[0]!r}); the table may only hold one column of "
                "names, then numbers."
            )
    return table


def check_table(table: pd.DataFrame, path: Path) -> None:
    """Refuse what cannot be counts of samples x features; warn about what is unlikely to be."""
    values = table.to_numpy(np.float64)
    hint = "Give raw counts, for instance those of featureCounts, STAR or htseq-count"
    check_counts(values, where=str(path), row_names=list(table.index), hint=hint)
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
