"""Steps around the fit: options, course, held-out errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from midgd.model._card import History
from midgd.model._training_data import TrainingData
from midgd.reference import Calibration, Reference
from midgd.settings import logger
from midgd.train import HeldOut, TrainOptions, calibrate


def train_options(plan_kwargs: Mapping[str, Any] | None, **arguments: Any) -> TrainOptions:
    """Options from the arguments of ``train`` and further fields."""
    plan = dict(plan_kwargs or {})
    known = {field.name for field in fields(TrainOptions)} - set(arguments)
    if unknown := sorted(set(plan) - known):
        raise ValueError(f"plan_kwargs= has {unknown}; it may have {sorted(known)}.")
    return TrainOptions(**arguments, **plan)


def history_frames(history: Mapping[str, list[float]]) -> History:
    """The course of a fit as scvi-tools keeps it: one DataFrame per quantity, indexed by epoch."""
    objective = history["objective"]
    frames = {"objective_train": _by_epoch("objective_train", range(len(objective)), objective)}
    if "validation" in history:
        name = "mirna_log_likelihood_validation"
        frames[name] = _by_epoch(name, history["validation_epoch"], history["validation"])
    return frames


def _by_epoch(name: str, epochs: Sequence[float], values: list[float]) -> pd.DataFrame:
    return pd.DataFrame({name: values}, index=pd.Index([int(epoch) for epoch in epochs], name="epoch"))


def held_out_errors(reference: Reference, data: TrainingData, rows: NDArray[np.int64]) -> Calibration | None:
    """Calibration on the rows held out; None if they are too few to tell."""
    if not len(rows):
        logger.info("no validation samples: the model has no standard deviations and no out-of-domain scores")
        return None
    if not reference.decoder.head("mrna").rates_scatter:
        logger.info("a Poisson likelihood of mRNA has no evidence: no standard deviations and no out-of-domain scores")
        return None
    calibration = calibrate(HeldOut(reference, data.mosaic.take(rows)))
    if not np.isfinite(calibration.sd).all():
        logger.warning("%d validation samples are too few for standard deviations and out-of-domain scores", len(rows))
        return None
    return calibration
