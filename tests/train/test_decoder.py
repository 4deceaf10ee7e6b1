"""Training: what is masked is ignored, runs repeat and resume, the best weights are kept."""

from __future__ import annotations

import dataclasses
import importlib

import numpy as np
import pytest
import torch

from midgd.nn import DecoderSpec
from midgd.train import Fit, Mosaic, TrainOptions, fit, fit_readout
from midgd.train.validate import held_out_log_likelihood

SPEC = DecoderSpec(n_latent=3, n_hidden=5)
SHORT = TrainOptions(max_epochs=4, batch_size=16)
# the function hides its module in the package
MODULE = importlib.import_module("midgd.train.decoder")


def weights(fitted: Fit) -> dict[str, torch.Tensor]:
    parts = {"decoder": fitted.decoder, "prior": fitted.prior}
    return {f"{part}.{k}": v for part, module in parts.items() for k, v in module.state_dict().items()}


def assert_same(one: Fit, two: Fit) -> None:
    for (name, a), b in zip(weights(one).items(), weights(two).values(), strict=True):
        assert torch.equal(a, b), name
    np.testing.assert_array_equal(one.latents, two.latents)
    assert one.history == two.history


def poisoned(mosaic: Mosaic, value: float) -> Mosaic:
    """The same mosaic with this value wherever nothing was measured."""
    return Mosaic(
        {
            name: dataclasses.replace(m, counts=np.where(m.measured, m.counts, np.float32(value)))
            for name, m in mosaic.modalities.items()
        }
    )


@pytest.mark.parametrize("value", [0.0, 1e6, np.nan])
def test_unmeasured_values_are_ignored(patchy, value):
    assert not patchy["mrna"].measured.all() and not patchy["mirna"].measured.all()
    expected, found = (fit(m, SPEC, n_components=2, options=SHORT) for m in (patchy, poisoned(patchy, value)))
    assert_same(found, expected)
    readouts = [
        fit_readout(expected.decoder, expected.prior, m).readout.state_dict() for m in (patchy, poisoned(patchy, value))
    ]
    for a, b in zip(readouts[0].values(), readouts[1].values(), strict=True):
        assert torch.equal(a, b) and torch.isfinite(a).all()
    scores = [held_out_log_likelihood(expected.decoder, expected.prior, m) for m in (patchy, poisoned(patchy, value))]
    assert scores[0] == scores[1] and np.isfinite(scores[0])


def test_measured_values_are_not(patchy):
    counts = patchy["mrna"].counts.copy()
    counts[30, 100] += 50_000
    changed = Mosaic({**patchy.modalities, "mrna": dataclasses.replace(patchy["mrna"], counts=counts)})
    one, two = (fit(m, SPEC, n_components=2, options=SHORT) for m in (patchy, changed))
    assert not torch.equal(weights(one)["decoder.heads.mrna.bias"], weights(two)["decoder.heads.mrna.bias"])


def test_the_same_seed_gives_the_same_model_and_leaves_torch_alone(small):
    torch.manual_seed(5)
    one = fit(small, SPEC, n_components=2, options=SHORT)
    after = torch.rand(3)
    torch.manual_seed(99)
    two = fit(small, SPEC, n_components=2, options=SHORT)
    other = fit(small, SPEC, n_components=2, options=dataclasses.replace(SHORT, seed=1))
    assert_same(one, two)
    assert not np.array_equal(one.latents, other.latents)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(3))


def test_training_improves_and_describes_itself(small):
    seen = []
    options = dataclasses.replace(SHORT, max_epochs=10)
    fitted = fit(small, SPEC, n_components=2, options=options, on_epoch=lambda epoch, history: seen.append(epoch))
    objective = fitted.history["objective"]
    assert seen == list(range(10)) and len(objective) == 10 and objective[-1] < objective[0] - 10
    assert fitted.latents.shape == (48, 3)
    assert not fitted.decoder.training and not any(p.requires_grad for p in fitted.decoder.parameters())
    assert not fitted.prior.training and not any(p.requires_grad for p in fitted.prior.parameters())


def test_objective_is_the_negative_log_posterior(small):
    """One sample per batch and rates of zero: the mean over an epoch is the posterior of the starting values."""
    still = TrainOptions(
        max_epochs=1, batch_size=48, lr_decoder=1e-12, lr_latent=1e-12, lr_prior=1e-12, lr_dispersion=1e-12
    )
    weighted = dataclasses.replace(still, modality_weights={"mirna": 0.5})
    fitted = fit(small, SPEC, n_components=2, options=still)
    z = torch.tensor(fitted.latents).double()
    fitted.decoder.double(), fitted.prior.double()
    parts = {}
    for name, modality in small.modalities.items():
        counts = torch.tensor(modality.counts).double()
        log_mean = counts.sum(1, keepdim=True).log() + fitted.decoder.log_share(z, name)
        parts[name] = fitted.decoder.head(name).log_prob(counts, log_mean).sum().item()
    prior = (fitted.prior.log_prob(z).sum() + fitted.prior.log_prior()).item()
    assert fitted.history["objective"][0] == pytest.approx(-(sum(parts.values()) + prior) / 48, rel=1e-6)
    half = fit(small, SPEC, n_components=2, options=weighted).history["objective"][0]
    assert half == pytest.approx(-(parts["mrna"] + 0.5 * parts["mirna"] + prior) / 48, rel=1e-6)


class Interrupted(Exception):
    pass


def test_a_resumed_run_equals_an_uninterrupted_one(patchy, small, tmp_path):
    options = dataclasses.replace(SHORT, max_epochs=6, early_stopping=True, check_every=2)
    arguments = {"n_components": 2, "options": options, "validation": small}
    expected = fit(patchy, SPEC, **arguments)
    path = tmp_path / "run.pt"

    def stop(epoch: int, history: dict[str, list[float]]) -> None:
        if epoch == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        fit(patchy, SPEC, **arguments, checkpoint=path, on_epoch=stop)
    seen = []
    resumed = fit(patchy, SPEC, **arguments, checkpoint=path, on_epoch=lambda epoch, history: seen.append(epoch))
    assert seen == [3, 4, 5]
    assert_same(resumed, expected)
    assert list(tmp_path.iterdir()) == [path]


def test_a_resumed_run_remembers_the_best(small, tmp_path, monkeypatch):
    """The best score came before the interruption: its weights are the result of the resumed run too."""
    options = dataclasses.replace(SHORT, early_stopping=True, check_every=1, patience=9)
    arguments = {"n_components": 2, "options": options, "validation": small}

    def rescore(*values: float) -> None:
        scores = iter(values)
        monkeypatch.setattr(MODULE, "held_out_log_likelihood", lambda *_: next(scores))

    def stop(epoch: int, history: dict[str, list[float]]) -> None:
        if epoch == 2:
            raise Interrupted

    rescore(1.0, 5.0, 2.0, 3.0)
    expected = fit(small, SPEC, **arguments)
    rescore(1.0, 5.0, 2.0, 3.0)
    with pytest.raises(Interrupted):
        fit(small, SPEC, **arguments, checkpoint=tmp_path / "run.pt", on_epoch=stop)
    assert_same(fit(small, SPEC, **arguments, checkpoint=tmp_path / "run.pt"), expected)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"spec": DecoderSpec(n_latent=4, n_hidden=5)}, "sizes"),
        ({"n_components": 3}, "sizes"),
        ({"options": dataclasses.replace(SHORT, max_epochs=9)}, "options"),
        ({"options": dataclasses.replace(SHORT, seed=1)}, "options"),
        ({"mosaic": "reversed"}, "data"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(small, tmp_path, change, what):
    path = tmp_path / "run.pt"
    same = {"mosaic": small, "spec": SPEC, "n_components": 2, "options": SHORT, "checkpoint": path}
    fit(**same)
    if "mosaic" in change:  # the same shapes, so that nothing but the values tells
        change = {"mosaic": small.take(np.arange(len(small))[::-1])}
    with pytest.raises(ValueError, match=rf"run\.pt is not a checkpoint of this run.*other {what}"):
        fit(**same | change)


def test_a_damaged_checkpoint_is_refused(small, tmp_path):
    path = tmp_path / "run.pt"
    fit(small, SPEC, n_components=2, options=SHORT, checkpoint=path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"run\.pt is not a checkpoint"):
        fit(small, SPEC, n_components=2, options=SHORT, checkpoint=path)


def test_early_stopping_keeps_the_best(small, monkeypatch):
    """Scores 1, 3, 2, 1 after epochs 0-3 and a patience of 2: the weights after epoch 1 come back."""
    scores = iter([1.0, 3.0, 2.0, 1.0, 9.0])
    monkeypatch.setattr(MODULE, "held_out_log_likelihood", lambda *_: next(scores))
    kept = {}
    options = dataclasses.replace(SHORT, max_epochs=8, early_stopping=True, check_every=1, patience=2)
    fitted = fit(small, SPEC, n_components=2, options=options, validation=small)
    assert len(fitted.history["objective"]) == 4 and fitted.history["validation"] == [1.0, 3.0, 2.0, 1.0]
    assert fitted.history["validation_epoch"] == [0.0, 1.0, 2.0, 3.0]

    def stop(epoch: int, history: dict[str, list[float]]) -> None:
        if epoch == 1:
            raise Interrupted

    scores = iter([1.0, 3.0])
    monkeypatch.setattr(MODULE, "save_checkpoint", lambda _, trainer: kept.update(trainer.decoder.state_dict()))
    with pytest.raises(Interrupted):
        fit(small, SPEC, n_components=2, options=options, validation=small, checkpoint=_Nowhere(), on_epoch=stop)
    assert all(torch.equal(value, kept[name]) for name, value in fitted.decoder.state_dict().items())


class _Nowhere:
    """A checkpoint that does not exist yet."""

    def exists(self) -> bool:
        return False


def test_early_stopping_needs_validation(small):
    with pytest.raises(ValueError, match="validation"):
        fit(small, SPEC, options=dataclasses.replace(SHORT, early_stopping=True))


def test_validation_without_early_stopping_only_watches(small):
    options = dataclasses.replace(SHORT, check_every=2)
    watched = fit(small, SPEC, n_components=2, options=options, validation=small)
    plain = fit(small, SPEC, n_components=2, options=options)
    assert len(watched.history["validation"]) == 2
    np.testing.assert_array_equal(watched.latents, plain.latents)


def test_latents_are_not_part_of_the_model(small):
    fitted = fit(small, SPEC, n_components=2, options=SHORT)
    assert not [name for name, value in weights(fitted).items() if "latent" in name or len(small) in value.shape]


def test_samples_that_lack_a_modality_get_latents_too(patchy):
    fitted = fit(patchy, SPEC, n_components=2, options=dataclasses.replace(SHORT, max_epochs=10))
    assert np.isfinite(fitted.latents).all() and (np.abs(fitted.latents).sum(1) > 0.1).all()
    # the miRNA alone has to move them towards what the paired samples have learned
    share = fitted.decoder.log_share(torch.tensor(fitted.latents[44:]), "mirna").exp().numpy()
    truth = patchy["mirna"].counts[44:]
    truth = truth / truth.sum(1, keepdims=True)
    mean = patchy["mirna"].counts[:40].sum(0)
    assert np.abs(share - truth).sum() < 0.8 * np.abs(mean / mean.sum() - truth).sum()


def test_mrna_alone_can_be_fitted(small):
    fitted = fit(Mosaic({"mrna": small["mrna"]}), SPEC, n_components=2, options=SHORT)
    assert list(fitted.decoder.heads) == ["mrna"]


def test_divergence_is_named(small):
    with pytest.raises(FloatingPointError, match=r"epoch \d.*lr_decoder"):
        fit(small, SPEC, n_components=2, options=dataclasses.replace(SHORT, lr_latent=1e30))
