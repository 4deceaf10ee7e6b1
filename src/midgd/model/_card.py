"""The part of a card that only the class reads: how to make the same model again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd
import scvi
from scvi.data._constants import (
    _FIELD_REGISTRIES_KEY,
    _MODEL_NAME_KEY,
    _SCVI_VERSION_KEY,
    _SETUP_ARGS_KEY,
    _SETUP_METHOD_NAME,
)

from midgd import __version__
from midgd.model._training_data import TrainingData
from midgd.reference.reference import Card
from midgd.train import TrainOptions

CARD_KEY = "midgd_model"
History = dict[str, pd.DataFrame]


def model_card(
    data: TrainingData,
    n_samples: int,
    options: TrainOptions,
    *,
    init: dict[str, Any],
    registry: dict[str, Any],
    history: History,
) -> Card:
    """Card of a model trained on ``n_samples`` rows of the data."""
    return {
        "name": "MIDGD",
        "version": __version__,
        "genes": data.genes,
        "mirnas": data.mirnas,
        "training": {"n_samples": n_samples, "options": asdict(options)},
        CARD_KEY: {
            "init": init,
            "setup": {key: registry[key] for key in (_SETUP_METHOD_NAME, _SETUP_ARGS_KEY)},
            "unmeasured": data.unmeasured,
            "history": {name: frame.reset_index().to_dict("list") for name, frame in history.items()},
        },
    }


def registry_of(setup: dict[str, Any]) -> dict[str, Any]:
    """A registry in the form of scvi-tools that knows how data were set up, and no data."""
    return {
        _SCVI_VERSION_KEY: scvi.__version__,
        _MODEL_NAME_KEY: "MIDGD",
        _FIELD_REGISTRIES_KEY: {},
        **setup,
    }


def history_of(saved: dict[str, Any]) -> History:
    """The course of training as it was written on the card."""
    return {name: pd.DataFrame(columns).set_index("epoch") for name, columns in saved["history"].items()}
