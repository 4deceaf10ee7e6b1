"""Accuracy and time of training and inference on ../shared/data, beside kernel ridge and the cohort mean.

    python benchmarks/accuracy.py

Test split of patient_splits.csv, `tcga_counts_full`, stem-loops above 1 RPM in more than 10 % of its training samples.
One run, so that times can be compared with each other. `mosaic` trains on every table of the train split, as the
bundled reference does; `full` on the 479 samples with all genes alone.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from dev_data import Pairs, load_pairs
from train_reference import N_COMPONENTS, OPTIONS, READOUT, SPEC

from midgd.metrics import per_feature_correlation, within_group_correlation
from midgd.reference import Reference
from midgd.train import Mosaic, fit, fit_readout
from midgd.train.calibrate import predict_held_out
from midgd.train.depths import thin
from midgd.train.start import log1p_cpm

DEPTHS = (None, 10_000.0, 1_000.0)
ALPHAS = np.logspace(-4, 0, 9)


def main() -> None:
    pairs = load_pairs()
    wide = (pairs.obs["table"] == "tcga_counts_full").to_numpy()
    train, test = (pairs.mosaic.take(wide & pairs.split(name)) for name in ("train", "test"))
    cohorts = {name: pairs.obs["cohort"][wide & pairs.split(name)].to_numpy() for name in ("train", "test")}
    rpm = np.expm1(log1p_cpm(train["mirna"]))
    scored = ((rpm > 1).mean(0) > 0.1) & train["mirna"].measured.all(0)
    truth = log1p_cpm(test["mirna"])
    rows = []

    def score(arm: str, depth: float | None, predicted: np.ndarray, train_s: float, infer_s: float) -> None:
        rows.append(
            {
                "arm": arm,
                "depth": "bulk" if depth is None else f"{depth:,.0f}",
                "spearman": np.nanmean(per_feature_correlation(truth, predicted)[scored]),
                "within_cohort": np.nanmean(within_group_correlation(truth, predicted, cohorts["test"])[scored]),
                "train_s": train_s,
                "infer_ms_per_sample": 1e3 * infer_s / len(truth),
            }
        )

    target = log1p_cpm(train["mirna"])
    means = {cohort: target[cohorts["train"] == cohort].mean(0) for cohort in np.unique(cohorts["train"])}
    score("cohort mean (oracle)", None, np.stack([means[c] for c in cohorts["test"]]), 0.0, 0.0)
    for depth in DEPTHS:
        score("kernel ridge, full depth", depth, *ridge(train, test, target, None, depth))
        if depth is not None:
            score("kernel ridge, same depth", depth, *ridge(train, test, target, depth, depth))
    for name, mosaic in (("midgd full", train), ("midgd mosaic", pairs.mosaic.take(pairs.split("train")))):
        start = time.perf_counter()
        reference = fit_reference(pairs, mosaic)
        trained = time.perf_counter()
        for depth in DEPTHS:
            start_inference = time.perf_counter()
            share = predict_held_out(reference, test, depth, np.random.default_rng(1)).share
            score(name, depth, np.log1p(share * 1e6), trained - start, time.perf_counter() - start_inference)
    print(
        f"{scored.sum()} stem-loops, {len(train)} training samples (mosaic: {pairs.split('train').sum()}), {len(test)} test"
    )
    print(
        pd.DataFrame(rows)
        .round({"spearman": 4, "within_cohort": 4, "train_s": 2, "infer_ms_per_sample": 2})
        .to_string()
    )


def fit_reference(pairs: Pairs, mosaic: Mosaic) -> Reference:
    fitted = fit(mosaic, SPEC, n_components=N_COMPONENTS, options=OPTIONS)
    readout = fit_readout(fitted.decoder, fitted.prior, mosaic, READOUT)
    names = {"name": pairs.stem_loops, "accession": [""] * len(pairs.stem_loops)}
    genes = {"symbol": pairs.genes, "ensembl": [""] * len(pairs.genes)}
    return Reference({"name": "benchmark", "genes": genes, "mirnas": names}, fitted.decoder, fitted.prior, readout)


def ridge(
    train: Mosaic, test: Mosaic, target: np.ndarray, train_depth: float | None, depth: float | None
) -> tuple[np.ndarray, float, float]:
    """Kernel ridge on log CPM; the penalty that is best on the test samples, so that nobody can say it was weak."""
    query = profile(test["mrna"].counts, depth, seed=1)
    truth = log1p_cpm(test["mirna"])
    start = time.perf_counter()
    x = profile(train["mrna"].counts, train_depth, seed=2)
    mean, offset = x.mean(0), target.mean(0)
    values, vectors = np.linalg.eigh((x - mean) @ (x - mean).T)
    projected = vectors.T @ (target - offset)
    trained = time.perf_counter()
    kernel = (query - mean) @ (x - mean).T
    predictions = [kernel @ (vectors @ (projected / (values + a * values.mean())[:, None])) + offset for a in ALPHAS]
    seconds = (time.perf_counter() - trained) / len(ALPHAS)
    best = max(predictions, key=lambda p: np.nanmean(per_feature_correlation(truth, p)))
    return best, trained - start, seconds


def profile(counts: np.ndarray, depth: float | None, seed: int) -> np.ndarray:
    thinned = thin(counts, depth, np.random.default_rng(seed))
    return np.log1p(thinned / thinned.sum(1, keepdims=True) * 1e6)


if __name__ == "__main__":
    main()
