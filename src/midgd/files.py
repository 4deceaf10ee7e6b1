"""Files of the command line: read by the readers of anndata, scanpy and mudata, written whole or not at all."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from midgd._files import new_file

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

READS = ".h5ad, .h5 (10x), .h5mu, .zarr, .loom, .csv, .tsv, .txt (also .gz) or a folder with matrix.mtx.gz (10x)"
_TABLES = {".csv": ",", ".tsv": "\t", ".txt": "\t"}


def read_file(path: Path, *, modality: str | None = None, transpose: bool = False) -> AnnData:
    """Read counts of cells from a file or folder.

    Parameters
    ----------
    path
        AnnData (``.h5ad``, ``.zarr``), MuData (``.h5mu``, ``.zarr``), 10x (``.h5``, folder with ``matrix.mtx.gz``),
        ``.loom``, or a table of cells x genes (``.csv``, ``.tsv``, ``.txt``, also ``.gz``).
    modality
        Modality of a MuData that holds the mRNA; found by its name if None.
    transpose
        A table has genes as rows.

    Raises
    ------
    FileNotFoundError
        If there is nothing at ``path``.
    ValueError
        If the kind of file is not known, or the modality with the mRNA is unclear.
    ImportError
        If a package that reads the file is not installed.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist.")
    separator = _TABLES.get(path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix)
    if transpose and separator is None:
        raise ValueError(f"--transpose is for tables ({', '.join(_TABLES)}), and {path.name} is none.")
    with warnings.catch_warnings():
        # For programmers, not for those who run a command; midgd speaks of columns of the same name itself.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", "Variable names are not unique")
        if separator is not None:
            return _read_table(path, separator, transpose)
        data = _read_folder(path) if path.is_dir() else _read_one_file(path)
    return _mrna(data, path, modality)


def _read_table(path: Path, separator: str, transpose: bool) -> AnnData:
    import pandas as pd
    from anndata import AnnData
    from scipy import sparse

    table = pd.read_csv(path, sep=separator, index_col=0)
    table = table.T if transpose else table
    text = [str(name) for name, dtype in zip(table.columns, table.dtypes, strict=True) if dtype.kind not in "biuf"]
    if text:
        raise ValueError(
            f"{path.name}: {len(text):,} columns are not numbers, {text[0]!r} for example; keep a column of names and "
            "the counts of genes only."
        )
    values = sparse.csr_matrix(table.to_numpy())
    obs, var = pd.DataFrame(index=table.index.astype(str)), pd.DataFrame(index=table.columns.astype(str))
    return AnnData(values, obs=obs, var=var)


def _read_folder(path: Path) -> AnnData | MuData:
    import anndata as ad

    if any((path / name).exists() for name in (".zgroup", "zarr.json", ".zattrs", ".zmetadata")):
        if (path / "mod").is_dir():
            import mudata

            return mudata.read_zarr(path)
        return ad.read_zarr(path)
    matrices = [name for name in os.listdir(path) if name.endswith(("matrix.mtx", "matrix.mtx.gz"))]
    if len(matrices) != 1:
        found = f"{len(matrices)} matrices" if matrices else "neither a zarr store nor matrix.mtx.gz"
        raise ValueError(f"{path} has {found}; midgd reads {READS}.")
    prefix = matrices[0].split("matrix.mtx")[0]
    if matrices[0].endswith(".mtx") and not (path / f"{prefix}genes.tsv").is_file():
        raise ValueError(
            f"{path} has {matrices[0]} without genes.tsv: the layout of Cell Ranger 3 is compressed; run "
            f"gzip on {prefix}matrix.mtx, {prefix}features.tsv and {prefix}barcodes.tsv."
        )
    import scanpy as sc

    return sc.read_10x_mtx(path, gex_only=False, make_unique=False, prefix=prefix)


def _read_one_file(path: Path) -> AnnData | MuData:
    import anndata as ad

    if path.suffix == ".h5ad":
        return ad.read_h5ad(path)
    if path.suffix == ".h5mu":
        import mudata

        return mudata.read_h5mu(path)
    if path.suffix == ".loom":
        try:
            return ad.io.read_loom(path)
        except ImportError as error:
            raise ImportError(
                "reading .loom needs the package loompy: install it, or convert the file to .h5ad"
            ) from error
    if path.suffix in (".h5", ".hdf5"):
        import scanpy as sc

        return sc.read_10x_h5(path, gex_only=False)
    raise ValueError(f"{path.name} is of no kind that midgd reads: {READS}.")


def _mrna(data: AnnData | MuData, path: Path, modality: str | None) -> AnnData:
    from anndata import AnnData

    from midgd.counts import rna_modality

    if isinstance(data, AnnData):
        if modality is not None:
            raise ValueError(f"--modality is for MuData, and {path.name} holds one table.")
        return data
    name = modality if modality is not None else rna_modality(data.mod)
    if name not in data.mod:
        why = "which one holds the mRNA is unclear" if modality is None else f"there is no {modality!r}"
        raise ValueError(f"{path.name} has the modalities {list(data.mod)}: {why}; name it with --modality.")
    return data.mod[name]


def check_output(path: Path, overwrite: bool, endings: tuple[str, ...] = (".h5ad", ".zarr")) -> None:
    """Refuse before the work what could not be written after it.

    Raises
    ------
    ValueError
        If the name has another ending.
    FileNotFoundError
        If the folder is missing.
    FileExistsError
        If something is there and may not be replaced.
    """
    if path.suffix not in endings:
        raise ValueError(f"the output {path.name} must end in {' or '.join(endings)}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} of the output does not exist; make it first.")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"the folder {path.parent} of the output cannot be written to.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists already; choose a new name or replace it with --overwrite.")


def write_file(adata: AnnData, path: Path) -> None:
    """Write ``.h5ad`` or ``.zarr``; what was there is replaced when the new file is complete, others wait."""
    with new_file(path) as new:
        if path.suffix == ".zarr":
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Writing zarr v2 data")
                adata.write_zarr(new)
        else:
            adata.write_h5ad(new)
