"""Time and memory of inference from 1,000 to 1,000,000 cells, read from and written to files.

    python benchmarks/million.py folder                     # 1 k, 10 k, 100 k and 1 M cells, each in its own process
    python benchmarks/million.py folder --cells 1000 10000

The cells are downsampled from the real TCGA profiles of ../shared/data, about 2,000 counts each, written once as CSR in
``.h5ad`` (11 GB for a million) and read backed. Results go to zarr (``output=``). Peak memory is that of the process.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem
from scipy import sparse

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from dev_data import DATA

import midgd

DEPTH, CHUNK = 2_000.0, 5_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, nargs="+", default=[10**3, 10**4, 10**5, 10**6])
    parser.add_argument("--infer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.infer:
        infer(options.infer)
        return
    rows = []
    for n in options.cells:
        path = options.folder / f"cells{n}.h5ad"
        if not path.exists():
            write_cells(path, n)
        rows.append(infer_in_own_process(path, n))
        print(pd.DataFrame(rows).to_string(index=False), flush=True)


def write_cells(path: Path, n_cells: int) -> None:
    """Cells as a CSR .h5ad, in chunks; every chunk has cells of all profiles."""
    source = ad.read_h5ad(DATA / "tcga_counts_full" / "mrna.h5ad")
    profiles = np.asarray(source.X, np.float64)
    cumulative = np.cumsum(profiles / profiles.sum(1, keepdims=True), 1)
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        write_elem(file, "obs", pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]))
        write_elem(file, "var", source.var[[]])
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        for start in range(0, n_cells, CHUNK):
            chunk = downsampled(cumulative, min(CHUNK, n_cells - start), rng)
            if start == 0:
                write_elem(file, "X", chunk)
            else:
                ad.io.sparse_dataset(file["X"]).append(chunk)


def downsampled(cumulative: np.ndarray, n: int, rng: np.random.Generator) -> sparse.csr_matrix:
    """Cells with a log-normal number of counts, drawn from profiles given by their cumulative shares."""
    depth = rng.lognormal(np.log(DEPTH), 0.3, n).astype(int)
    profile = rng.integers(len(cumulative), size=n)
    genes = [np.searchsorted(cumulative[p], np.sort(rng.random(d))) for p, d in zip(profile, depth, strict=True)]
    columns = np.concatenate(genes).clip(max=cumulative.shape[1] - 1)
    cells = sparse.csr_matrix(
        (np.ones(len(columns), np.float32), columns, np.concatenate([[0], np.cumsum(depth)])),
        shape=(n, cumulative.shape[1]),
    )
    cells.sum_duplicates()
    return cells


def infer_in_own_process(path: Path, n: int) -> dict[str, object]:
    command = [sys.executable, __file__, str(path.parent), "--infer", str(path)]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    seconds, peak = float(text[0]), float(text[1])
    return {"cells": n, "seconds": round(seconds, 1), "cells_per_s": round(n / seconds), "peak_gib": round(peak, 2)}


def infer(path: Path) -> None:
    """Seconds and peak GiB of this process, printed."""
    midgd.settings.progress = False
    output = path.with_suffix(".zarr")
    shutil.rmtree(output, ignore_errors=True)
    start = time.perf_counter()
    midgd.tl.infer_mirna(ad.read_h5ad(path, backed="r"), level="stem-loop", output=output)
    print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


if __name__ == "__main__":
    main()
