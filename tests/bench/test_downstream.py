from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from midgd.bench.downstream import QUESTIONS, answer

N_COHORTS, N_EACH, N_MIRNAS = 3, 16, 60


@pytest.fixture(scope="module")
def measured() -> tuple[np.ndarray, pd.DataFrame]:
    rng = np.random.default_rng(0)
    cohort = np.repeat(np.arange(N_COHORTS), N_EACH)
    kind = np.tile(["primary_tumor", "normal_adjacent"], N_COHORTS * N_EACH // 2)
    tumour = (kind == "primary_tumor")[:, None]
    profile, change = 1.5 * rng.normal(size=(N_COHORTS, N_MIRNAS)), rng.normal(size=N_MIRNAS)
    truth = 5 + profile[cohort] + tumour * change + 0.3 * rng.normal(size=(len(cohort), N_MIRNAS))
    patient = [f"p{i // 2}" for i in range(len(cohort))]
    return truth, pd.DataFrame({"cohort": cohort.astype(str), "sample_type": kind, "patient": patient})


def test_the_truth_answers_well_and_noise_does_not(measured: tuple[np.ndarray, pd.DataFrame]) -> None:
    truth, obs = measured
    best = answer(truth, truth, obs)
    noise = answer(truth, np.random.default_rng(1).normal(size=truth.shape), obs)
    assert set(best) == set(noise) == set(QUESTIONS) - {"ordering"}
    for name in best:
        assert best[name] > 0.5, name
        assert noise[name] < 0.45, name


def test_a_constant_answer_earns_nothing(measured: tuple[np.ndarray, pd.DataFrame]) -> None:
    truth, obs = measured
    flat = answer(truth, np.tile(truth[:24].mean(0), (len(truth), 1)), obs)
    assert flat["clustering"] == flat["differential_expression"] == flat["markers"] == 0
    assert abs(flat["recovery"]) < 0.2
    assert flat["annotation"] == pytest.approx(1 / N_COHORTS, abs=0.05)


def test_annotation_does_not_look_at_the_same_patient() -> None:
    rng = np.random.default_rng(2)
    patient = np.repeat(np.arange(20), 2)
    truth = rng.normal(size=(20, 30))[patient] + 0.01 * rng.normal(size=(40, 30))
    obs = pd.DataFrame({"cohort": rng.permutation(np.arange(20) % 2)[patient], "patient": patient.astype(str)})
    assert QUESTIONS["annotation"](truth, truth, obs) < 0.8  # cohorts are unrelated to the profiles


def test_ordering_of_mixtures() -> None:
    fraction = np.tile(np.linspace(0, 1, 6), 2)
    obs = pd.DataFrame({"pair": np.repeat([0, 1], 6), "fraction": fraction})
    ends = np.random.default_rng(3).normal(size=(2, 20))
    truth = (1 - fraction)[:, None] * ends[0] + fraction[:, None] * ends[1]
    assert answer(truth, truth, obs) == {"ordering": pytest.approx(1)}
    assert answer(truth, truth[::-1], obs) == {"ordering": pytest.approx(-1)}
    assert answer(truth, np.ones_like(truth), obs) == {"ordering": 0}
