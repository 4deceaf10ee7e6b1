"""How the time of inference grows with non-zeros and workers, and how fast other ways to the same answer are.

    python benchmarks/scaling.py                        # all three, on a machine with nothing else to do
    python benchmarks/scaling.py --only workers

Cells are drawn from the real TCGA profiles of ../shared/data, all 16,875 genes, AnnData in memory (workers: a dask
array of blocks of 2,048 cells, on processes of one thread each).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from dev_data import DATA

import midgd
from midgd.bench.methods import make_methods
from midgd.bench.study import Study
from midgd.train.downsampling import downsample

DEPTHS, WORKERS, N_CELLS, BLOCK = (500, 2_000, 10_000), (1, 2, 4), 8_192, 2_048
# Ways to all stem-loops, but for XGBoost, which answers the expressed ones.
METHODS = ("ridge", "ridge-matched", "mlp-977", "xgboost")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("nonzeros", "workers", "methods"))
    only = parser.parse_args().only
    midgd.settings.progress = False
    midgd.tl.infer_mirna(cells(64, 2_000))  # compiles the loops, reads the reference
    for name, rows in {"nonzeros": nonzeros, "workers": workers, "methods": methods}.items():
        if only in (None, name):
            print(f"\n== {name}\n{pd.DataFrame(rows()).to_string(index=False)}", flush=True)


def cells(n: int, depth: int) -> ad.AnnData:
    """Cells with a Poisson number of counts around ``depth``, of random profiles."""
    source = ad.read_h5ad(DATA / "tcga_counts_full" / "mrna.h5ad")
    rng = np.random.default_rng(depth)
    profile = np.asarray(source.X, np.float32)[rng.integers(source.n_obs, size=n)]
    names = [f"cell{i}" for i in range(n)]
    counts = sparse.csr_matrix(downsample(profile, float(depth), rng))
    return ad.AnnData(counts, pd.DataFrame(index=names), source.var[[]])


def seconds(work: Callable[[], object]) -> float:
    """The shorter of two runs."""
    found = []
    for _ in range(2):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def nonzeros() -> Iterator[dict[str, float]]:
    """Cells a second by non-zeros, and the exponent of the time between each depth and the one before."""
    before: tuple[float, float] | None = None
    for depth in DEPTHS:
        adata = cells(N_CELLS // 2, depth)
        took, n = seconds(lambda adata=adata: midgd.tl.infer_mirna(adata)), adata.X.nnz / adata.n_obs
        row = {"counts": depth, "non-zeros": round(n), "cells_per_s": round(adata.n_obs / took)}
        if before is not None:
            row["exponent"] = round(float(np.log(took / before[1]) / np.log(n / before[0])), 2)
        yield row
        before = n, took


def workers() -> Iterator[dict[str, float]]:
    """Cells a second by the number of dask workers, and how much faster than one."""
    import dask.array as da
    from distributed import Client, LocalCluster

    adata = cells(N_CELLS, 2_000)
    one = None
    for n in WORKERS:
        with LocalCluster(n_workers=n, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
            lazy = ad.AnnData(da.from_array(adata.X, chunks=(BLOCK, -1), asarray=False), adata.obs, adata.var)
            took = seconds(lambda lazy=lazy: midgd.tl.infer_mirna(lazy))
        one = took if one is None else one
        yield {"workers": n, "cells_per_s": round(adata.n_obs / took), "times": round(one / took, 2)}


def methods() -> Iterator[dict[str, object]]:
    """Seconds to train and cells a second of other ways to the same answer, and of midgd."""
    train, _ = Study().held_out("full")
    adata = cells(N_CELLS // 4, 2_000)
    dense, everything = adata.X.toarray(), np.ones(adata.n_vars, bool)
    for method in make_methods(METHODS):
        start = time.perf_counter()
        method.fit(train)
        fitted = time.perf_counter() - start
        took = seconds(lambda method=method: method.predict(dense, everything))
        yield {"method": method.name, "seconds_fit": round(fitted, 1), "cells_per_s": round(len(dense) / took)}
    for name, options in {"midgd, refine=0": {"refine": 0}, "midgd": {}}.items():
        took = seconds(lambda options=options: midgd.tl.infer_mirna(adata, level="stem-loop", **options))
        yield {"method": name, "seconds_fit": "", "cells_per_s": round(adata.n_obs / took)}


if __name__ == "__main__":
    main()
