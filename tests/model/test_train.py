"""Training: what is held out, what is recorded, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from midgd.metrics import per_feature_correlation
from midgd.model import MIDGD
from midgd.model._training_data import held_out_rows

QUICK: dict[str, Any] = {"max_epochs": 20, "batch_size": 16, "accelerator": "cpu"}


def test_trained_model_predicts_held_out_patients(model: MIDGD, toy_pairs: Any) -> None:
    inferred = model.infer_mirna().to_numpy()[~toy_pairs.train]
    counts = toy_pairs.mirna[~toy_pairs.train]
    truth = np.log1p(counts / counts.sum(1, keepdims=True) * 1e6)
    assert per_feature_correlation(truth, inferred).mean() > 0.6


def test_history_and_indices(model: MIDGD, toy_pairs: Any) -> None:
    assert model.is_trained_ and model.is_trained
    objective = model.history_["objective_train"]["objective_train"]
    assert objective.index.name == "epoch" and objective.iloc[-1] < objective.iloc[0]
    held_out = model.history["mirna_log_likelihood_validation"]
    assert list(held_out.index) == [4, 9, 14, 19]
    np.testing.assert_array_equal(model.validation_indices_, np.flatnonzero(~toy_pairs.train))
    np.testing.assert_array_equal(model.train_indices_, np.flatnonzero(toy_pairs.train))


def test_same_numbers_as_the_functions_it_stands_on(make_model: Any, mdata: Any, toy_pairs: Any) -> None:
    from midgd.nn import DecoderSpec
    from midgd.train import TrainOptions, fit

    model = make_model(mdata, readout=False)
    model.train(**QUICK, train_size=1.0)
    options = TrainOptions(max_epochs=QUICK["max_epochs"], batch_size=QUICK["batch_size"])
    direct = fit(toy_pairs.mosaic(), DecoderSpec(n_latent=6, n_hidden=12), n_components=3, options=options)
    for name, weights in model.reference.decoder.state_dict().items():
        np.testing.assert_array_equal(weights, direct.decoder.state_dict()[name])
    assert model.reference.calibration is None and model.reference.readout is None


def test_validation_takes_pairs_only(make_model: Any, mdata: Any) -> None:
    mdata["mirna"].X[:30] = np.nan
    model = make_model(mdata, labels_key="cohort")
    model.train(max_epochs=1, accelerator="cpu", train_size=0.8)
    held_out = model.validation_indices_
    assert len(held_out) == 18 and held_out.min() >= 30
    assert set(model.train_indices_) | set(held_out) == set(range(120))


@pytest.mark.parametrize("seed", range(5))
def test_split_takes_the_same_part_of_every_label(seed: int) -> None:
    labels = np.repeat(["a", "b", "c"], (100, 50, 10))
    candidates = np.arange(160) % 8 != 0
    rows = held_out_rows(candidates, 0.2, labels, seed)
    assert candidates[rows].all() and len(set(rows)) == 28
    for label in "abc":
        assert abs((labels[rows] == label).sum() - 0.2 * (labels[candidates] == label).sum()) <= 1
    assert len(held_out_rows(candidates, 0.0, labels, seed)) == 0
    assert len(held_out_rows(candidates, 1.0, None, seed)) == 139, "one is left for training"


def test_no_latent_is_left_at_its_start_or_at_zero(model: MIDGD) -> None:
    latents = model.get_latent_representation()
    assert np.abs(latents).max(1).min() > 1e-3, "validation rows must have a latent of their own"
    assert len(np.unique(latents.round(5), axis=0)) == len(latents)
    assert list(model.training_latents_.index) == list(model.adata.obs_names[model.train_indices_])


def test_training_and_query_latents_are_found_alike(model: MIDGD) -> None:
    everything = model.get_latent_representation()
    some = np.r_[model.validation_indices_[:3], model.train_indices_[:3]]
    query = model.adata["rna"][model.adata.obs_names[some]].copy()
    np.testing.assert_allclose(model.get_latent_representation(query), everything[some], atol=2e-4)


def test_seed_makes_training_reproducible(make_model: Any, make_mudata: Any) -> None:
    latents = []
    for seed in (3, 3, 4):
        model = make_model(make_mudata())
        model.train(max_epochs=2, accelerator="cpu", seed=seed)
        latents.append((model.validation_indices_, model.training_latents_.to_numpy()))
    np.testing.assert_array_equal(latents[0][0], latents[1][0])
    np.testing.assert_array_equal(latents[0][1], latents[1][1])
    assert not np.array_equal(latents[0][0], latents[2][0])


def test_checkpoint_resumes(make_model: Any, mdata: Any, tmp_path: Any) -> None:
    whole, resumed = make_model(mdata), make_model(mdata)
    whole.train(**QUICK, checkpoint=tmp_path / "run.pt")
    resumed.train(**QUICK, checkpoint=tmp_path / "run.pt")  # nothing is left to do
    pd.testing.assert_frame_equal(whole.training_latents_, resumed.training_latents_)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train_size": 0.0}, "train_size=0.0"),
        ({"train_size": 1.5}, "train_size=1.5"),
        ({"plan_kwargs": {"lr_decoda": 1.0}}, "lr_decoda"),
        ({"plan_kwargs": {"seed": 1}}, "seed"),
        ({"validation_indices": []}, "validation_indices"),
        ({"validation_indices": range(120)}, "validation_indices"),
    ],
)
def test_bad_arguments(make_model: Any, mdata: Any, arguments: dict[str, Any], message: str) -> None:
    model = make_model(mdata)
    with pytest.raises(ValueError, match=message):
        model.train(max_epochs=1, accelerator="cpu", **arguments)
    assert not model.is_trained_


def test_few_validation_samples_give_no_deviations(make_model: Any, mdata: Any) -> None:
    model = make_model(mdata)
    model.train(max_epochs=1, accelerator="cpu", validation_indices=[1, 2, 3])
    with pytest.raises(ValueError, match="held-out errors"):
        model.infer_mirna(uncertainty=True)


def test_options_reach_the_decoder(mdata: Any) -> None:
    MIDGD.setup_mudata(mdata)
    model = MIDGD(mdata, n_latent=3, n_hidden=0, n_components=2, likelihoods={"mirna": "zinb"}, dispersion_floor=1.0)
    model.train(max_epochs=2, accelerator="cpu", plan_kwargs={"lr_decoder": 1e-3}, early_stopping=False)
    decoder = model.reference.decoder
    assert type(decoder.head("mirna")).__name__.startswith("ZeroInflated")
    assert decoder.head("mrna").dispersion_floor == 1.0 and decoder.spec.n_latent == 3
    with pytest.raises(ValueError, match="zimb"):
        MIDGD(mdata, likelihoods={"mirna": "zimb"})
