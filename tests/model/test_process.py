"""Models travel to other processes, and training leaves the random numbers of the process alone."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from mudata import MuData

from midgd.model import MIDGD


def pickled(model: MIDGD) -> MIDGD:
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("twin", [copy.deepcopy, pickled])
def test_trained_models_are_copied_and_pickled(twin: Callable[[MIDGD], MIDGD], model: MIDGD, mdata: MuData) -> None:
    other = twin(model)
    pd.testing.assert_frame_equal(other.infer_mirna(), model.infer_mirna())
    pd.testing.assert_frame_equal(other.infer_mirna(mdata[::2].copy()), model.infer_mirna(mdata[::2].copy()))
    np.testing.assert_array_equal(other.validation_indices_, model.validation_indices_)


@pytest.mark.parametrize("twin", [copy.deepcopy, pickled])
def test_untrained_models_are_copied_and_pickled(
    twin: Callable[[MIDGD], MIDGD], make_model: Any, mdata: MuData
) -> None:
    model = make_model(mdata, source_key="cohort")
    other = twin(model)
    for one in (model, other):
        one.train(1, "cpu")
    pd.testing.assert_frame_equal(other.infer_mirna(), model.infer_mirna())


def test_random_numbers_are_the_users(make_model: Any, mdata: MuData) -> None:
    answers = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        before = random.getstate(), pickle.dumps(np.random.get_state()), torch.get_rng_state()
        model = make_model(mdata)
        model.train(1, "cpu")
        answers.append(model.infer_mirna())
        assert (random.getstate(), pickle.dumps(np.random.get_state())) == before[:2]
        assert torch.equal(torch.get_rng_state(), before[2])
    pd.testing.assert_frame_equal(*answers)
