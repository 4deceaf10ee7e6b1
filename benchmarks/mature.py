"""The mature level: one model of both levels, constant fractions of its stem-loops, and ridge on mature counts alone.

    python benchmarks/mature.py

Trained on the train split; mature miRNAs above 1 CPM in more than 10 % of the scored samples. The first row scores the
test patients. In the others, all mature counts of one cohort are withheld (its stem-loops are not), and its validation
and test patients are scored: a tissue whose matures nobody has counted.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from dev_data import Pairs, load_pairs
from train_reference import BothLevels

from midgd.infer.predict import at_level
from midgd.infer.units import in_units
from midgd.metrics import expressed, per_feature_correlation
from midgd.reference import Reference, minimal_card
from midgd.train import Modality, Mosaic, fit, fit_readout
from midgd.train.calibrate import predict_held_out
from midgd.train.recipe import N_COMPONENTS, OPTIONS, READOUT, SPEC
from midgd.train.ridge import centred, shared_ridge

COHORTS = ("BRCA", "LUAD", "PRAD", "CHOL")
PENALTIES = np.logspace(-3, 0, 7)


def main() -> None:
    pairs = load_pairs()
    levels = BothLevels.load(pairs.stem_loops)
    mosaic = Mosaic(pairs.mosaic.modalities | {"mature": levels.of(pairs.obs.index)})
    train, cohort = pairs.split("train"), pairs.obs["cohort"].astype(str).to_numpy()
    counted = mosaic["mature"].present
    fitted = fit(mosaic.take(train), SPEC, n_components=N_COMPONENTS, options=OPTIONS)
    rows = [{"scored": "test patients"} | compare(pairs, levels, mosaic, fitted, "", pairs.split("test") & counted)]
    for name in COHORTS:
        scored = (cohort == name) & ~train & counted
        rows.append({"scored": f"{name}, matures withheld"} | compare(pairs, levels, mosaic, fitted, name, scored))
    print(pd.DataFrame(rows).round(3).to_string())


def compare(pairs: Pairs, levels: BothLevels, mosaic: Mosaic, fitted, withheld: str, scored: np.ndarray) -> dict:
    """Mean Spearman of each arm over the scored samples."""
    train, cohort = pairs.split("train"), pairs.obs["cohort"].astype(str).to_numpy()
    known = train & (cohort != withheld)
    held_out = set(pairs.obs["patient"][~train])
    level = levels.fit(held_out, without_cohort=withheld)
    unpaired = {} if withheld else levels.unpaired(held_out)
    learned = mosaic.take(train)
    seen = (learned["mature"].present & (cohort[train] != withheld))[:, None] & learned["mature"].measured
    learned = Mosaic(learned.modalities | {"mature": Modality.from_mask(learned["mature"].counts, seen)})
    readout = fit_readout(fitted.decoder, fitted.prior, learned, READOUT, level, unpaired=unpaired).readout
    card = minimal_card("benchmark", pairs.genes, pairs.stem_loops)
    reference = Reference(card, fitted.decoder, fitted.prior, readout, level.arms)
    test = mosaic.take(scored)
    truth = test["mature"].log_cpm
    scored_mirnas = expressed(truth)

    def score(answer: np.ndarray) -> float:
        return float(np.nanmean(per_feature_correlation(truth[:, scored_mirnas], answer[:, scored_mirnas])))

    result: dict[str, float] = {"n": len(test), "miRNAs": int(scored_mirnas.sum())}
    for depth in (None, 1_000.0):
        share = predict_held_out(reference, test, depth, np.random.default_rng(1)).share
        both = {name: at_level(reference, share, name) for name in ("stem-loop", "mature")}
        at = "bulk" if depth is None else f"{depth:.0f}"
        result[f"constant fractions, {at}"] = score(in_units(level.arms.of(both["stem-loop"]), "log1p_cpm"))
        result[f"one model, {at}"] = score(in_units(both["mature"], "log1p_cpm"))
        result[f"  not bound, {at}"] = score(in_units(share[:, reference.outputs("mature")], "log1p_cpm"))
    result["ridge, bulk"] = ridge(mosaic.take(known & mosaic["mature"].present), test, score)
    return result


def ridge(train: Mosaic, test: Mosaic, score) -> float:
    """On the genes that all samples measured; the penalty that is best on the scored samples."""
    common = train["mrna"].measured.all(0)
    x, query = (Modality.from_mask(part["mrna"].counts[:, common]).log_cpm for part in (train, test))
    sample = centred(x, train["mature"].log_cpm)
    size = float(sample.profile.square().sum()) / len(x)
    maps = [shared_ridge(sample, penalty * size) for penalty in PENALTIES]
    return max(score(query @ m.slopes + m.intercept) for m in maps)


if __name__ == "__main__":
    main()
