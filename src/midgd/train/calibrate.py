"""How wrong a model is on samples it was not trained on, at several depths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from midgd.infer.domain import expected_sd
from midgd.infer.predict import Prediction, Predictor, in_units
from midgd.reference.reference import Calibration, Reference
from midgd.train.initialise import log1p_cpm
from midgd.train.mosaic import Mosaic
from midgd.train.thinning import thin

DEPTHS = (None, 100_000.0, 10_000.0, 3_000.0, 1_000.0, 300.0, 100.0, 30.0, 10.0, 3.0)
MIN_MEASURED = 10


def calibrate(
    reference: Reference, mosaic: Mosaic, *, depths: tuple[float | None, ...] = DEPTHS, seed: int = 0
) -> Calibration:
    """Held-out errors and misfits of a reference.

    Parameters
    ----------
    reference
        The trained model (its own calibration is ignored).
    mosaic
        Held-out samples with both modalities, and with ``"mature"`` if the reference has that level.
    depths
        Expected libraries that the samples are thinned to; None is as measured.
    seed
        Of the thinning.
    """
    paired = mosaic.take(mosaic["mrna"].present & mosaic["mirna"].present)
    levels = [paired["mirna"]] if reference.arms is None else [paired["mirna"], paired["mature"]]
    truth, measured = np.hstack([log1p_cpm(m) for m in levels]), np.hstack([m.measured for m in levels])
    generator = np.random.default_rng(seed)
    evidence, sd, misfit = [], [], []
    for depth in depths:
        prediction = predict_held_out(reference, paired, depth, generator)
        error = np.where(measured, in_units(prediction.share, "log1p_cpm") - truth, 0.0)
        evidence.append(np.median(prediction.evidence))
        sd.append(_root_mean_square(error, measured.sum(0)))
        misfit.append(np.quantile(prediction.misfit, (0.5, 0.95)))
    order = np.argsort(evidence)
    return Calibration(*(np.asarray(values, np.float32)[order] for values in (evidence, sd, misfit)))


def at_least(calibration: Calibration, other: Calibration) -> Calibration:
    """A calibration whose errors are not below those of another one at the same evidence.

    Held-out samples of few kinds never show some miRNAs: that they were right there says nothing about other kinds.
    """
    nothing = np.zeros_like(calibration.evidence)
    return replace(calibration, sd=np.maximum(calibration.sd, expected_sd(other, calibration.evidence, nothing)))


def predict_held_out(
    reference: Reference, mosaic: Mosaic, depth: float | None, generator: np.random.Generator
) -> Prediction:
    """Predictions of the samples of a mosaic, thinned to a depth, from the genes that each measured."""
    mrna = mosaic["mrna"]
    parts, order = [], []
    for rows, genes in mrna.groups(np.arange(len(mosaic))):
        counts = thin(mrna.counts[np.ix_(rows, genes)], depth, generator)
        parts.append(Predictor(reference, genes)(counts))
        order.append(rows)
    stacked, back = Prediction.concatenate(parts), np.argsort(np.concatenate(order))
    return Prediction(*(getattr(stacked, name)[back] for name in Prediction.__dataclass_fields__))


def _root_mean_square(error: NDArray[np.float32], n_measured: NDArray[np.int64]) -> NDArray[np.float32]:
    """Per feature; the median of the others where too few samples measured it."""
    sd = np.sqrt((error**2).sum(0) / np.maximum(n_measured, 1))
    known = n_measured >= MIN_MEASURED
    return np.where(known, sd, np.median(sd[known]) if known.any() else np.nan).astype(np.float32)
