"""Time, memory and accuracy of training, as a user trains: the class at its defaults, and with the reference's recipe.

    python benchmarks/training.py            # two or three minutes on 2 cores

Training patients of ../shared/data: for the class those with all 16,875 genes, judged on its validation patients as
sequenced and at 1,000 counts, for the recipe all of them. To compare two versions, run them in turn:
``PYTHONPATH=<other checkout>/src python benchmarks/training.py``.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import anndata as ad
import mudata
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from dev_data import Pairs, load_pairs

import midgd
from midgd.metrics import expressed, per_feature_correlation
from midgd.train import fit, fit_encoder, fit_readout
from midgd.train.downsampling import downsample
from midgd.train.recipe import ENCODER, OPTIONS, READOUT, SPEC

N_COMPONENTS = 60  # of the recipe, written here so that older versions can be timed with it


def main() -> None:
    midgd.settings.progress = False
    pairs = load_pairs()
    full = (pairs.obs["table"] == "tcga_counts_full").to_numpy()
    train, validation = (pairs.split(split) & full for split in ("train", "val"))
    print(midgd.__file__, f"{train.sum():,} training samples, {validation.sum()} judge")
    of_the_class(pairs, train, validation)
    of_the_recipe(pairs, pairs.split("train"))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


def of_the_class(pairs: Pairs, train: np.ndarray, validation: np.ndarray) -> None:
    mrna, mirna = (pairs.mosaic.take(train)[name].counts for name in ("mrna", "mirna"))
    names = [f"s{i}" for i in range(len(mrna))]
    tables = {"rna": (mrna, pairs.genes), "mirna": (mirna, pairs.stem_loops)}
    mdata = mudata.MuData(
        {name: ad.AnnData(x, pd.DataFrame(index=names), pd.DataFrame(index=of)) for name, (x, of) in tables.items()}
    )
    midgd.model.MIDGD.setup_mudata(mdata, modalities={"mrna": "rna", "mirna": "mirna"})
    model = midgd.model.MIDGD(mdata)
    start = time.perf_counter()
    model.train()
    seconds = time.perf_counter() - start
    held_out = pairs.mosaic.take(validation)
    truth = held_out["mirna"].log_cpm
    scored, found = expressed(truth), []
    for depth in (None, 1_000.0):
        counts = downsample(held_out["mrna"].counts, depth, np.random.default_rng(0))
        query = ad.AnnData(counts, var=pd.DataFrame(index=pairs.genes))
        answer = midgd.tl.infer_mirna(query, model.reference, level="stem-loop", copy=True).obsm["mirna"]
        predicted = answer[pairs.stem_loops].to_numpy()[:, scored]
        found.append(float(np.nanmean(per_feature_correlation(truth[:, scored], predicted))))
    print(f"class, defaults: {seconds:.1f} s, mean Spearman {found[0]:.3f} bulk, {found[1]:.3f} at 1,000 counts")


def of_the_recipe(pairs: Pairs, train: np.ndarray) -> None:
    mosaic, times = pairs.mosaic.take(train), [time.perf_counter()]
    fitted = fit(mosaic, SPEC, n_components=N_COMPONENTS, options=OPTIONS)
    times.append(time.perf_counter())
    fit_readout(fitted.decoder, fitted.prior, mosaic, READOUT)
    times.append(time.perf_counter())
    fit_encoder(fitted.decoder, fitted.prior, mosaic, ENCODER)
    times.append(time.perf_counter())
    decoder, readout, encoder = np.diff(times)
    total = times[-1] - times[0]
    print(f"recipe: decoder {decoder:.1f} s, readout {readout:.1f} s, encoder {encoder:.1f} s, together {total:.1f} s")


if __name__ == "__main__":
    main()
