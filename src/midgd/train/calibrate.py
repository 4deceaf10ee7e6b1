"""How wrong a model is on samples it was not trained on, at several depths, and what makes it more wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from midgd.infer.domain import Signs, excess
from midgd.infer.predict import Prediction, Predictor
from midgd.infer.uncertainty import TAIL_LEVELS, TAIL_PARTS, conditions, expected_sd, nearest_tail_level
from midgd.infer.units import in_units
from midgd.reference.reference import Calibration, Reference
from midgd.train.downsampling import downsample
from midgd.train.mosaic import Mosaic

Floats = NDArray[np.float32]
# Counts at which errors are measured: as sequenced, then down to three molecules.
DEPTHS = (None, 100_000.0, 10_000.0, 3_000.0, 1_000.0, 300.0, 100.0, 30.0, 10.0, 3.0)
# Samples that must have measured a miRNA for an error of its own.
MIN_MEASURED = 10
# Part of the weight that strangers have together. Users have known kinds and unknown ones; too narrow is the worse
# fault of an interval.
STRANGERS = 2.0 / 3.0
# Log units that a miRNA is never known more precisely than: where it was always absent, no error was seen.
SMALLEST_ERROR = 0.05
# On the squared coefficients of the widening.
WIDENING_PENALTY = 1e-3


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Samples that a model was not trained on.

    Parameters
    ----------
    reference
        The trained model (its own calibration is ignored).
    mosaic
        Samples with both modalities, and with ``"mature"`` if the reference has that level.
    depths
        Expected libraries that the samples are downsampled to; None is as measured.
    strangers
        Whether the model has not seen their kinds or cohorts either. Those tell errors, not what is usual.
    all_molecules
        Whether every count is taken for a molecule, also where it is a read (:mod:`midgd.infer.molecules`). Cells of
        Smart-seq2 then tell what is usual of deep cells, of which there are no others. At the evidence of their
        molecules they would set it for cells with UMIs: of 3,900 counts with permuted genes 48 % were found, not 98 %.
    """

    reference: Reference
    mosaic: Mosaic
    depths: tuple[float | None, ...] = DEPTHS
    strangers: bool = False
    all_molecules: bool = False


@dataclass(frozen=True, eq=False)
class Answered:
    """Predictions of some samples at one depth.

    Log1p CPM as predicted, and its errors, (n, n_outputs) both; NaN where nothing was measured.
    """

    prediction: Prediction
    log_cpm: Floats
    error: Floats
    strangers: bool
    #: index into the depths of the calibration, (n,)
    at: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def signs(self) -> Signs:
        """How unlike what the model knows each sample is."""
        return self.prediction.signs

    @property
    def known(self) -> tuple[Signs, Floats, Floats]:
        """What is known of each sample: signs, evidence, reliability."""
        return self.prediction.signs, self.prediction.evidence, self.prediction.reliability

    @property
    def evidence(self) -> Floats:
        """Evidence of each sample, (n,)."""
        return self.prediction.evidence


def calibrate(*held_out: HeldOut, seed: int = 0) -> Calibration:
    """Held-out errors by depth and miRNA, what goes with larger ones, and the usual signs of known kinds.

    Parameters
    ----------
    held_out
        At least one set that is not of strangers; its depths become those of the calibration.
    seed
        Of the downsampling.

    Returns
    -------
    The calibration, as a reference keeps it.
    """
    rng = np.random.default_rng(seed)
    groups = [answered(own, depth, rng) for own in held_out for depth in own.depths]
    known = sorted((g for g in groups if not g.strangers), key=lambda g: float(np.median(g.evidence)))
    evidence = np.array([np.median(g.evidence) for g in known], np.float32)
    placed = [replace(g, at=np.full(len(g.error), i)) for i, g in enumerate(known)]
    placed += [replace(g, at=_nearest(evidence, g.evidence)) for g in groups if g.strangers]
    usual = {
        name: np.array([np.quantile(getattr(g.signs, name), (0.5, 0.95)) for g in known], np.float32)
        for name in Signs._fields
    }
    usual = {name: values for name, values in usual.items() if np.isfinite(values).all()}
    reliability = np.array([np.median(g.prediction.reliability) for g in known], np.float32)
    found = Calibration(evidence, _errors(placed, len(known)), reliability=reliability, **usual)
    unusual = [np.quantile(excess(found, *g.known), 0.95) for g in known]
    found = replace(found, excess=np.array(unusual, np.float32))
    found = replace(found, widening=_widening(found, placed))
    return replace(found, tails=_tails(found, placed))


def answered(held_out: HeldOut, depth: float | None, rng: np.random.Generator) -> Answered:
    """What a model says of held-out samples downsampled to a depth, and how wrong that is.

    Parameters
    ----------
    held_out
        A model and samples that it has not seen.
    depth
        Expected total of the mRNA counts of a sample; None is as measured.
    rng
        Source of randomness.

    Returns
    -------
    Predictions and errors of the samples that have mRNA and miRNA.
    """
    mosaic = held_out.mosaic
    paired = mosaic.take(mosaic["mrna"].present & mosaic["mirna"].present)
    levels = [paired["mirna"]] if held_out.reference.arms is None else [paired["mirna"], paired["mature"]]
    truth, measured = np.hstack([m.log_cpm for m in levels]), np.hstack([m.measured for m in levels])
    prediction = predict_held_out(held_out.reference, paired, depth, rng, all_molecules=held_out.all_molecules)
    log_cpm = in_units(prediction.share, "log1p_cpm")
    error = np.where(measured, log_cpm - truth, np.nan)
    return Answered(prediction, log_cpm, error.astype(np.float32), held_out.strangers)


def _nearest(known: Floats, evidence: Floats) -> NDArray[np.int64]:
    """Index of the nearest of the known evidences on the log scale, (n,)."""
    distance = np.log(np.maximum(evidence, 1e-6))[:, None] - np.log(np.maximum(known, 1e-6))
    return np.abs(distance).argmin(1)


def _weights(groups: Sequence[Answered]) -> list[float]:
    """Weight of a sample of each group: all strangers together have :data:`STRANGERS`."""
    n = {kind: sum(len(g.error) for g in groups if g.strangers == kind) for kind in (False, True)}
    part = {False: 1.0 - STRANGERS, True: STRANGERS} if all(n.values()) else {False: 1.0, True: 1.0}
    return [part[g.strangers] / n[g.strangers] for g in groups]


def _errors(groups: Sequence[Answered], n_depths: int) -> Floats:
    """Root mean square error, (n_depths, n_outputs); the median of the others where too few samples measured it."""
    found = []
    for depth in range(n_depths):
        own = [replace(g, error=g.error[g.at == depth]) for g in groups]
        squares, total, count = np.zeros(1), np.zeros(1), np.zeros(1, int)
        for group, weight in zip(own, _weights(own) if any(len(g.error) for g in own) else (), strict=False):
            measured = np.isfinite(group.error)
            squares = squares + weight * np.nansum(group.error**2, axis=0, dtype=np.float64)
            total, count = total + weight * measured.sum(0), count + measured.sum(0)
        sd = np.maximum(np.sqrt(squares / np.maximum(total, 1e-30)), SMALLEST_ERROR)
        enough = count >= MIN_MEASURED
        found.append(np.where(enough, sd, np.median(sd[enough]) if enough.any() else np.nan))
    return np.array(found, np.float32)


def _widening(calibration: Calibration, groups: Sequence[Answered]) -> Floats:
    """Coefficients of a regression of squared errors, relative to those of their depth and miRNA, on the signs.

    The likelihood is that of Gamma distributed squares with a log link (McCullagh & Nelder 1989, chapter 8).
    """
    x = np.concatenate([conditions(calibration, *g.known) for g in groups])
    square = np.concatenate([_mean_square(calibration, g) for g in groups])
    weight = np.repeat(_weights(groups), [len(g.error) for g in groups])
    usable = np.isfinite(square)
    x, square, weight = x[usable], square[usable], weight[usable] / max(weight[usable].sum(), 1e-30)

    def loss(beta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        relative = square * np.exp(-(x @ beta))
        value = float(weight @ (x @ beta + relative) + WIDENING_PENALTY * beta @ beta)
        return value, x.T @ (weight * (1.0 - relative)) + 2.0 * WIDENING_PENALTY * beta

    return minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x.astype(np.float32)


def _mean_square(calibration: Calibration, group: Answered) -> NDArray[np.float64]:
    """Mean squared error of every sample relative to that of its depth, (n,)."""
    sd = np.maximum(expected_sd(calibration, *group.known), 1e-3)
    measured = np.isfinite(group.error)
    squares = np.where(measured, group.error / sd, 0.0) ** 2
    return squares.sum(1, dtype=np.float64) / np.where(measured.any(1), measured.sum(1), np.nan)


def _tails(calibration: Calibration, groups: Sequence[Answered]) -> Floats:
    """Deviations that hold the parts :data:`TAIL_PARTS` of the errors of predictions near each of the levels, (20,).

    Where nothing was predicted near a level, those of all predictions.
    """
    deviations, weights, levels = [], [], []
    for group, weight in zip(groups, _weights(groups), strict=True):
        measured = np.isfinite(group.error)
        sd = np.maximum(expected_sd(calibration, *group.known)[measured], 1e-6)
        deviations.append(np.abs(group.error[measured]) / sd)
        weights.append(np.full(len(sd), weight * len(group.error) / max(len(sd), 1)))
        levels.append(nearest_tail_level(group.log_cpm[measured]))
    deviation, weight_of, level = (np.concatenate(parts) for parts in (deviations, weights, levels))
    nearest = [level == i for i in range(len(TAIL_LEVELS))]
    used = [own if own.any() else np.ones_like(own) for own in nearest]
    return np.concatenate([_quantiles(deviation[own], weight_of[own]) for own in used]).astype(np.float32)


def _quantiles(values: Floats, weights: NDArray[np.float64]) -> Floats:
    """Weighted quantiles at :data:`TAIL_PARTS`, (4,)."""
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    positions = np.searchsorted(below, np.array(TAIL_PARTS) * below[-1])
    return values[order][np.minimum(positions, len(order) - 1)]


def predict_held_out(
    reference: Reference,
    mosaic: Mosaic,
    depth: float | None,
    generator: np.random.Generator,
    *,
    all_molecules: bool = False,
) -> Prediction:
    """Predictions of the samples of a mosaic, downsampled to a depth, from the genes that each measured.

    Parameters
    ----------
    reference
        The model.
    mosaic
        Samples with ``"mrna"``.
    depth
        Expected total of the mRNA counts of a sample; None is as measured.
    generator
        Source of randomness of the downsampling.
    all_molecules
        See :class:`midgd.infer.Predictor`.

    Returns
    -------
    Predictions in the order of the samples.
    """
    mrna = mosaic["mrna"]
    parts, order = [], []
    for rows, genes in mrna.groups(np.arange(len(mosaic))):
        counts = downsample(mrna.counts[np.ix_(rows, genes)], depth, generator)
        parts.append(Predictor(reference, genes, all_molecules=all_molecules)(counts))
        order.append(rows)
    stacked, back = Prediction.concatenate(parts), np.argsort(np.concatenate(order))
    return Prediction(*(getattr(stacked, name)[back] for name in Prediction.__dataclass_fields__))
