"""Results that do not fit in memory: chunk by chunk into a file, which an interrupted run goes on with.

What holds when a process is killed, the power is cut or the disk is full, at any moment:

- At ``output`` there is nothing or the finished file. It is written under another name, flushed to the disk, renamed.
- Finished rows are kept. They are in the folder ``<output>.partial``, in one file of records to which every chunk is
  added; a note beside it says how many rows are sure to be on the disk. The same call goes on after these.
- A folder of another run, or one that is damaged, is an error that names it; it is never changed.
- One process writes an output at a time: another one is refused at once.
- The folder is removed when the output is there. What a killed process left is removed by the next call with the same
  ``output``, which is also the case if that call finds the output finished.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from anndata.io import write_elem
from numpy.typing import NDArray

from midgd._files import locked, make_folder, named_errors, remove, replacing, sync, temporary
from midgd.settings import logger

PLACES = {"values": "X", "latent": "obsm/X_midgd", "weights": "obsm/mirna_weights", "sd": "layers/sd"}
AT_ONCE = 1_024  # rows
NOTE, RECORDS = "progress.json", "rows.bin"


class PartialOutput:
    """An AnnData file that grows; used in a ``with`` block, in which it is locked.

    Parameters
    ----------
    path
        Name of the file: ``.zarr`` or ``.h5ad``.
    made_with
        What the run depends on; an unfinished file of another run is refused.
    n_rows
        Number of cells.

    Attributes
    ----------
    n_done
        Rows that are on the disk.
    decided
        What was decided by the first rows; kept for a run that goes on.

    Raises
    ------
    FileExistsError
        If the output exists.
    BlockingIOError
        If another process writes it.
    ValueError
        If there is an unfinished output of another run.
    """

    def __init__(self, path: Path, made_with: Mapping[str, Any], n_rows: int) -> None:
        if path.suffix not in (".zarr", ".h5ad"):
            raise ValueError(f"output={str(path)!r} must end in .zarr or .h5ad")
        self.path, self.n_rows, self.n_done = path, n_rows, 0
        self.partial = path.with_name(path.name + ".partial")
        text = json.dumps(made_with, sort_keys=True, default=str)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self.decided: dict[str, str] = {}
        self._fields: list[tuple[str, str, tuple[int, ...]]] = []
        self._held = ExitStack()

    def __enter__(self) -> PartialOutput:
        with ExitStack() as held:
            held.enter_context(locked(self.path, wait=False))
            if self.path.exists():
                if self._is_own():
                    self._discard()  # of a run that was killed after its last step but one
                raise FileExistsError(f"output={str(self.path)!r} exists already; choose a new name or delete it.")
            self._resume()
            self._held = held.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def _is_own(self) -> bool:
        """Whether the folder holds files of ours only, perhaps not all of them."""
        own = {NOTE, RECORDS, temporary(self.partial / NOTE).name}
        return self.partial.is_dir() and {p.name for p in self.partial.iterdir()} <= own

    def _resume(self) -> None:
        if not self.partial.exists() or (self._is_own() and not (self.partial / NOTE).exists()):
            self._discard()
            with replacing(self.partial) as new:
                make_folder(new)
                (new / NOTE).write_text(self._note(), encoding="utf-8")
            return
        try:
            note = json.loads((self.partial / NOTE).read_text(encoding="utf-8"))
            made_with, n_done, self.decided = str(note["made_with"]), int(note["rows"]), dict(note["decided"])
            self._fields = [(str(name), _number(dtype), tuple(map(int, size))) for name, dtype, size in note["fields"]]
            n_bytes = n_done * self._dtype.itemsize
        except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
            raise ValueError(f"{self.partial} is not an unfinished output of midgd; delete it.") from error
        if made_with != self.fingerprint:
            raise ValueError(
                f"{self.partial} was begun with other cells, genes, parameters or another reference; delete it to start"
                " anew."
            )
        records = self.partial / RECORDS
        found = records.stat().st_size if records.exists() else 0
        if not 0 <= n_done <= self.n_rows or found < n_bytes:
            raise ValueError(f"{self.partial} is damaged: rows that were written are missing; delete it to start anew.")
        if found > n_bytes:  # a chunk that was not written to its end
            os.truncate(records, n_bytes)
        self.n_done = n_done
        logger.info("going on after %d of %d cells in %s", n_done, self.n_rows, self.partial)

    @property
    def _dtype(self) -> np.dtype[Any]:
        return np.dtype(self._fields)

    def _note(self) -> str:
        fields = {"rows": self.n_done, "decided": self.decided, "fields": self._fields}
        return json.dumps({"made_with": self.fingerprint, **fields})

    def append(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write the results of the next rows."""
        self._fields = [(name, values.dtype.str, values.shape[1:]) for name, values in arrays.items()]
        rows = np.empty(len(arrays["values"]), self._dtype)
        for name, values in arrays.items():
            rows[name] = values
        with named_errors(self.partial / RECORDS):
            with (self.partial / RECORDS).open("ab") as file:
                file.write(rows.tobytes())
            sync(self.partial / RECORDS)
        self.n_done += len(rows)
        with replacing(self.partial / NOTE) as new:  # after the rows: it must not say more than there is
            new.write_text(self._note(), encoding="utf-8")

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """Columns of ``obs`` by name, in one pass over the file."""
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name, *_ in self._fields if name not in PLACES}
        with (self.partial / RECORDS).open("rb") as file:
            for start in range(0, max(self.n_done, 1), AT_ONCE):
                rows = np.fromfile(file, self._dtype, min(AT_ONCE, self.n_done - start))
                for name, found in parts.items():
                    found.append(rows[name].copy())  # a view would hold all fields of its rows
        return {name: np.concatenate(found) for name, found in parts.items()}

    def finish(self, obs: pd.DataFrame, var: pd.DataFrame, uns: Mapping[str, Any]) -> None:
        """Put the rows, names and notes into a file of AnnData at the place of the output."""
        try:
            with (self.partial / RECORDS).open("rb") as file, replacing(self.path) as new:
                fields = [name for name, *_ in self._fields if name in PLACES]
                arrays = {PLACES[name]: _Field(file, self._dtype, name, self.n_done) for name in fields}
                _write(new, arrays, {"obs": obs, "var": var, "uns": dict(uns)})
        except (OSError, RuntimeError) as error:  # RuntimeError: HDF5, when a file cannot be closed on a full disk
            number = getattr(error, "errno", None)
            what = f"{error}; the rows are kept in {self.partial.name}: call again to go on"
            raise OSError(number, what, str(self.path)) if number else OSError(f"{self.path}: {what}") from error
        self._discard()

    def _discard(self) -> None:
        """Remove the folder; the note goes last, by it a rest is known for ours."""
        for name in (RECORDS, temporary(Path(NOTE)).name, NOTE):
            (self.partial / name).unlink(missing_ok=True)
        remove(self.partial)


class _Field:
    """One field of the records in a file, read some rows at a time: a file that is mapped counts as memory in use."""

    def __init__(self, file: BinaryIO, records: np.dtype[Any], name: str, n_rows: int) -> None:
        self.file, self.records, self.name, self.n_rows = file, records, name, n_rows
        field = records[name]
        self.dtype, self.shape = field.base, (n_rows, *field.shape)

    def __len__(self) -> int:
        return self.n_rows

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        start, stop, _ = rows.indices(self.n_rows)
        self.file.seek(start * self.records.itemsize)
        return np.fromfile(self.file, self.records, stop - start)[self.name]


def _number(dtype: str) -> str:
    """The name of a type of numbers, from a file."""
    if not re.fullmatch(r"[<>|][fiu][1248]", dtype):
        raise ValueError(f"{dtype[:20]!r} is no type of numbers")
    return dtype


def _write(path: Path, arrays: Mapping[str, _Field], tables: Mapping[str, Any]) -> None:
    """Write an AnnData, its matrices some rows at a time."""
    if path.suffix == ".zarr":
        import zarr

        _fill(zarr.open_group(path, mode="w", zarr_format=2), arrays, tables)
        return
    import h5py

    with h5py.File(path, "w") as file:
        _fill(file, arrays, tables)


def _fill(group: Any, arrays: Mapping[str, _Field], tables: Mapping[str, Any]) -> None:
    group.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    for name, value in tables.items():
        write_elem(group, name, value)
    for name in ("layers", "obsm", "varm", "obsp", "varp"):
        group.require_group(name).attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
    create = getattr(group, "create_array", None) or group.create_dataset  # zarr, h5py
    for place, values in arrays.items():
        chunks = (max(min(AT_ONCE, len(values)), 1), *values.shape[1:])
        new = create(place, shape=values.shape, dtype=values.dtype, chunks=chunks)
        new.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        for start in range(0, len(values), AT_ONCE):
            new[start : start + AT_ONCE] = values[start : start + AT_ONCE]
