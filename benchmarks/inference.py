"""Speed, accuracy and distance from the optimum of inference, by depth and by how far it goes.

    python benchmarks/inference.py

Held-out test samples of ../shared/data, all 16,875 genes, downsampled; the bundled reference. One run, so that speeds
can be compared with each other. `exact` is the optimum in float64 (tolerance 1e-8), from the better of the encoder's
and the component's start; gaps of objective (log units) and of shares (mean absolute log ratio of CPM + 1) are to it.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import sparse

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from dev_data import load_pairs

import midgd
from midgd.infer import InferenceOptions, Prediction, Predictor
from midgd.infer.units import in_units
from midgd.metrics import expressed, per_feature_correlation
from midgd.reference import Reference
from midgd.train.downsampling import downsample

DEPTHS = {"bulk": (None, 1), "10,000": (10_000.0, 2), "2,000": (2_000.0, 4), "1,000": (1_000.0, 4)}
WAYS = {
    "encoder only (refine=0)": InferenceOptions(max_steps=0),
    "refine=3": InferenceOptions(max_steps=3),
    "default (tolerance 0.5)": InferenceOptions(),
    "tolerance 1e-1": InferenceOptions(tolerance=1e-1),
    "tolerance 1e-2": InferenceOptions(tolerance=1e-2),
    "tolerance 1e-3": InferenceOptions(tolerance=1e-3),
}
EXACT = InferenceOptions(tolerance=1e-8)


def main() -> None:
    pairs = load_pairs()
    rows = pairs.split("test") & (pairs.obs["table"] == "tcga_counts_full").to_numpy()
    mrna, truth = pairs.mosaic.take(rows)["mrna"].counts, pairs.mosaic.take(rows)["mirna"].log_cpm
    scored = np.flatnonzero(expressed(truth))  # of the outputs, stem-loops come first
    reference, table = midgd.reference.load("default"), []
    for depth, (library, copies) in DEPTHS.items():
        counts = np.concatenate([downsample(mrna, library, np.random.default_rng(seed)) for seed in range(copies)])
        query = sparse.csr_matrix(counts)
        found = np.tile(truth, (copies, 1))[:, scored]
        exact, seconds = timed(reference, query, EXACT)
        best = objective(reference, counts, exact)
        other, _ = timed(dataclasses.replace(reference, encoder=None), query, EXACT)
        table.append(describe("exact", depth, seconds, exact, exact, found, scored, best * 0))
        gap = objective(reference, counts, other) - best
        table.append(describe("exact, without encoder", depth, np.nan, other, exact, found, scored, -gap))
        for name, options in WAYS.items():
            answer, seconds = timed(reference, query, options)
            gap = best - objective(reference, counts, answer)
            table.append(describe(name, depth, seconds, answer, exact, found, scored, gap))
        print(pd.DataFrame(table).to_string(index=False), flush=True)


def timed(reference: Reference, query: sparse.csr_matrix, options: InferenceOptions) -> tuple[Prediction, float]:
    predictor = Predictor(reference, np.arange(query.shape[1]), options=options)
    predictor(query[:64])
    start = time.perf_counter()
    answer = predictor(query)
    return answer, time.perf_counter() - start


def objective(reference: Reference, counts: np.ndarray, answer: Prediction) -> np.ndarray:
    """Log posterior of the latents found, in float64."""
    posterior = Predictor(reference, np.arange(counts.shape[1])).infer.exact_posterior
    x = torch.from_numpy(counts).double()
    return posterior(torch.from_numpy(answer.latent).double(), x, x.sum(1, keepdim=True))[0].numpy()


def describe(
    way: str,
    depth: str,
    seconds: float,
    answer: Prediction,
    exact: Prediction,
    truth: np.ndarray,
    scored: np.ndarray,
    gap: np.ndarray,
) -> dict[str, object]:
    predicted, reference = (in_units(p.share, "log1p_cpm")[:, scored] for p in (answer, exact))
    spearman, best = (float(np.nanmean(per_feature_correlation(truth, p))) for p in (predicted, reference))
    return {
        "depth": depth,
        "way": way,
        "cells_per_s": round(len(truth) / seconds) if np.isfinite(seconds) else "",
        "spearman": round(spearman, 4),
        "loss": round(best - spearman, 4),
        "objective_gap": round(float(gap.mean()), 3),
        "gap_above_1": round(float((gap > 1).mean()), 3),
        "log_share_gap": round(float(np.abs(predicted - reference).mean()), 4),
    }


if __name__ == "__main__":
    main()
