"""Results that do not fit in memory: chunk by chunk into a file, which an interrupted run goes on with.

Chunks go to a zarr store ``<output>.partial`` in the layout of AnnData, with a note of how many rows are done. The
finished store takes the place of ``output``, as it is or copied to ``.h5ad``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata.io import write_elem
from numpy.typing import NDArray

from midgd.settings import logger

PLACES = {"values": "X", "latent": "obsm/X_midgd", "weights": "obsm/mirna_weights", "sd": "layers/sd"}
ROWS = 1_024
NOTE = "progress.json"


class PartialOutput:
    """An AnnData file that grows.

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
        Rows that an earlier run has written.
    columns
        Columns of ``obs`` by name.
    decided
        What was decided by the first rows; kept for a run that goes on.
    """

    def __init__(self, path: Path, made_with: Mapping[str, Any], n_rows: int) -> None:
        if path.suffix not in (".zarr", ".h5ad"):
            raise ValueError(f"output={str(path)!r} must end in .zarr or .h5ad")
        if path.exists():
            raise FileExistsError(f"output={str(path)!r} exists already; choose a new name or delete it.")
        self.path, self.n_rows = path, n_rows
        self.partial = path.with_name(path.name + ".partial")
        text = json.dumps(made_with, sort_keys=True, default=str)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self.columns: dict[str, NDArray[Any]] = {}
        self.decided: dict[str, str] = {}
        self.n_done = self._resume()

    def _resume(self) -> int:
        if not self.partial.exists():
            self.partial.parent.mkdir(parents=True, exist_ok=True)
            _open(self.partial, "w")
            self._note(0)
            return 0
        try:
            note = json.loads((self.partial / NOTE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.partial} is not an unfinished output of midgd; delete it.") from error
        if note["made_with"] != self.fingerprint:
            raise ValueError(
                f"{self.partial} was begun with other cells, genes, parameters or another reference; delete it to start"
                " anew."
            )
        done, self.decided = int(note["rows"]), dict(note.get("decided", {}))
        if done:
            group = _open(self.partial, "r")
            for name in group.get("columns", {}):
                stored = group["columns"][name]
                self._column(name, stored.dtype)[:done] = stored[:done]
        logger.info("going on after %d of %d cells in %s", done, self.n_rows, self.partial)
        return done

    def _note(self, rows: int) -> None:
        new = self.partial / f"{NOTE}.new"
        new.write_text(
            json.dumps({"made_with": self.fingerprint, "rows": rows, "decided": self.decided}), encoding="utf-8"
        )
        os.replace(new, self.partial / NOTE)

    def write(self, start: int, stop: int, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Write the results of the rows ``start:stop``."""
        group = _open(self.partial, "r+")
        for name, values in arrays.items():
            if name not in PLACES:
                self._column(name, values.dtype)[start:stop] = values
            place = PLACES.get(name, f"columns/{name}")
            if place not in group:
                shape = (self.n_rows, *values.shape[1:])
                new = group.create_array(place, shape=shape, chunks=(ROWS, *values.shape[1:]), dtype=values.dtype)
                new.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
            group[place][start:stop] = values
        self._note(stop)

    def _column(self, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        """A column of ``obs``, in memory, for it is written at the end."""
        return self.columns.setdefault(name, np.zeros(self.n_rows, dtype))

    def finish(self, obs: pd.DataFrame, var: pd.DataFrame, uns: Mapping[str, Any]) -> None:
        """Add names and notes, and move the file to its place."""
        group = _open(self.partial, "r+")
        _describe(group, obs, var, uns)
        if self.path.suffix == ".zarr":
            del group["columns"]
            (self.partial / NOTE).unlink()
            os.replace(self.partial, self.path)
            return
        import h5py

        new = self.path.with_name(f".{self.path.name}.new")
        with h5py.File(new, "w") as file:
            _copy(group, file)
            _describe(file, obs, var, uns)
        os.replace(new, self.path)
        shutil.rmtree(self.partial)


def _open(path: Path, mode: Literal["r", "r+", "w"]) -> Any:
    import zarr

    return zarr.open_group(path, mode=mode, zarr_format=2)


def _describe(group: Any, obs: pd.DataFrame, var: pd.DataFrame, uns: Mapping[str, Any]) -> None:
    """The parts of AnnData beside the arrays."""
    group.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    for name, value in {"obs": obs, "var": var, "uns": dict(uns)}.items():
        write_elem(group, name, value)
    for name in ("layers", "obsm", "varm", "obsp", "varp"):
        part = group.require_group(name)
        part.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})


def _copy(source: Any, target: Any) -> None:
    """Copy the arrays from zarr to HDF5, some rows at a time."""
    for place in PLACES.values():
        if place in source:
            old = source[place]
            chunks = (min(ROWS, old.shape[0]), *old.shape[1:])
            new = target.create_dataset(place, shape=old.shape, dtype=old.dtype, chunks=chunks)
            new.attrs.update(dict(old.attrs))
            for start in range(0, old.shape[0], ROWS):
                new[start : start + ROWS] = old[start : start + ROWS]
