"""Train the bundled reference: evaluate on held-out patients first, then fit on everything.

python scripts/train_reference.py            # minutes on 2 cores; writes src/midgd/reference/bundled/default
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import pandas as pd
from dev_data import Pairs, load_both_levels, load_pairs
from names import current_matures, gene_table, mature_pairs, stem_loop_table

from midgd import __version__
from midgd.metrics import per_feature_correlation
from midgd.nn import DecoderSpec
from midgd.reference import Arms, Reference
from midgd.train import (
    EncoderOptions,
    Mosaic,
    ReadoutOptions,
    TrainOptions,
    calibrate,
    fit,
    fit_arms,
    fit_encoder,
    fit_readout,
)
from midgd.train.calibrate import predict_held_out
from midgd.train.start import log1p_cpm

BUNDLED = Path(__file__).parents[1] / "src/midgd/reference/bundled/default"
SPEC = DecoderSpec(n_latent=128, n_hidden=0)
N_COMPONENTS = 20
OPTIONS = TrainOptions(max_epochs=40)
READOUT = ReadoutOptions()
ENCODER = EncoderOptions()
CITATIONS = [
    "Zamani et al. 2026, bioRxiv 10.64898/2026.05.29.727918 (miDGD)",
    "Schuster & Krogh 2023, Bioinformatics 39:btad497 (deep generative decoder)",
    "TCGA Research Network, https://www.cancer.gov/tcga (open-access tier: training data)",
    "Kozomara et al. 2019, NAR 47:D155 (miRBase v22 names)",
]
log = logging.getLogger("train_reference")


def train(mosaic: Mosaic, card: dict, arms: Arms) -> Reference:
    fitted = fit(mosaic, SPEC, n_components=N_COMPONENTS, options=OPTIONS)
    readout = fit_readout(fitted.decoder, fitted.prior, mosaic, READOUT)
    return Reference(card, fitted.decoder, fitted.prior, readout, arms)


def learn_arms(stem_loops: list[str]) -> tuple[Arms, dict]:
    """Fractions of mature miRNAs from samples with both levels, and their part of the card."""
    stem, counts = load_both_levels()
    mature, aliases = current_matures(counts)
    links, names = mature_pairs(stem_loops, mature)
    stem = stem.reindex(columns=stem_loops, fill_value=0)
    arms = fit_arms(stem.to_numpy(np.float32), mature[names["name"]].to_numpy(np.float32), links)
    return arms, names.to_dict("list") | {"aliases": aliases}


def accuracy(reference: Reference, mosaic: Mosaic, measured: np.ndarray) -> pd.DataFrame:
    """Spearman correlation of every stem-loop over held-out samples, as measured and at 1,000 counts."""
    truth = log1p_cpm(mosaic["mirna"])
    columns = {}
    for name, depth in (("bulk", None), ("umi_1000", 1_000.0)):
        share = predict_held_out(reference, mosaic, depth, np.random.default_rng(1)).share
        columns[name] = per_feature_correlation(truth, np.log1p(share * 1e6))
    table = pd.DataFrame(columns)
    table[~measured] = np.nan
    return table


def base_card(pairs: Pairs, matures: dict) -> dict:
    obs = pairs.obs
    return {
        "name": "default",
        "version": __version__,
        "description": "TCGA tumours and adjacent normal tissue, matched mRNA and miRNA sequencing",
        "licence": "BSD-3-Clause",
        "half_precision": True,
        "genes": gene_table(pairs.genes),
        "mirnas": {"level": "stem-loop"} | stem_loop_table(pairs.stem_loops),
        "matures": matures,
        "training": {
            "n_samples": len(obs),
            "cohorts": {str(k): int(v) for k, v in obs["cohort"].value_counts().items()},
            "tables": {str(k): int(v) for k, v in obs["table"].value_counts().items()},
            "n_components": N_COMPONENTS,
            "options": vars(OPTIONS),
            "readout": vars(READOUT),
            "encoder": vars(ENCODER),
        },
        "citations": CITATIONS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=BUNDLED)
    output = parser.parse_args().output
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    start = time.perf_counter()
    pairs = load_pairs()
    arms, matures = learn_arms(pairs.stem_loops)
    card = base_card(pairs, matures)

    development = train(pairs.mosaic.take(pairs.split("train")), card, arms)
    log.info("development model after %.0f s", time.perf_counter() - start)
    held_out = pairs.mosaic.take(pairs.split("val") | pairs.split("test"))
    calibration = calibrate(development, held_out)
    test = pairs.mosaic.take(pairs.split("test"))
    expressed = (np.expm1(log1p_cpm(pairs.mosaic["mirna"])) > 1).mean(0) > 0.1
    table = accuracy(development, test, test["mirna"].measured.all(0) & expressed)
    log.info("held-out Spearman: %s", table.mean().round(4).to_dict())

    final = train(pairs.mosaic, card | {"accuracy": _accuracy_card(table)}, arms)
    encoder = fit_encoder(final.decoder, final.prior, pairs.mosaic, ENCODER)
    final = Reference(final.card, final.decoder, final.prior, final.readout, arms, calibration, encoder)
    path = final.save(output)
    size = sum(f.stat().st_size for f in path.iterdir()) / 2**20
    log.info("wrote %s (%.1f MiB) after %.0f s", path, size, time.perf_counter() - start)


def _accuracy_card(table: pd.DataFrame) -> dict:
    return {
        "what": "Spearman correlation over held-out test patients of all cohorts, model trained on the train split",
        "mean": {name: round(float(value), 4) for name, value in table.mean().items()},
        "per_mirna": {name: [None if np.isnan(v) else round(float(v), 3) for v in table[name]] for name in table},
    }


if __name__ == "__main__":
    main()
