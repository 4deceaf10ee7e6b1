"""Names of parts: what they change, what is refused, and that the default changes nothing."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from midgd.nn import DecoderSpec, PoissonHead
from midgd.train import Modality, Mosaic, Parts, ReadoutOptions, TrainOptions, fit, read_parts
from midgd.train.parts import CHOICES
from midgd.train.recipe import OPTIONS, READOUT, SPEC

QUICK = TrainOptions(max_epochs=3, batch_size=16)
TOY = DecoderSpec(n_latent=4, n_hidden=0)


def test_the_default_changes_nothing() -> None:
    parts = Parts()
    assert parts.spec(SPEC) is SPEC and parts.n_components(20) == 20
    assert parts.train_options(OPTIONS) == OPTIONS and parts.readout_options(READOUT) == READOUT
    assert Parts({"mrna": "nb"}).spec(SPEC) is SPEC


def test_each_name_changes_its_own_part() -> None:
    assert Parts("poisson").spec(SPEC).likelihoods == {"mrna": "poisson", "mirna": "poisson"}
    assert Parts({"mirna": "zinb"}).spec(SPEC) == replace(SPEC, likelihoods={"mirna": "zinb"})
    assert Parts(prior="gaussian").n_components(20) == 1
    assert Parts(objective="mrna").train_options(OPTIONS) == replace(OPTIONS, objective="mrna")
    plain = ReadoutOptions()
    changed = {name: Parts(readout=name).readout_options(plain) for name in ("without_counts", "ridge", "none")}
    assert changed["without_counts"] == replace(plain, draws=()) and changed["none"] is None
    assert changed["ridge"] == replace(plain, adaptive=None, draws=(), noise=None)


@pytest.mark.parametrize(
    ("part", "name", "known"),
    [
        ("likelihood", "gamma", CHOICES["likelihood"]),
        ("likelihood", {"mrna": "gamma"}, CHOICES["likelihood"]),
        ("likelihood", {"protein": "nb"}, ("mrna", "mirna")),
        ("likelihood", 3, CHOICES["likelihood"]),
        ("prior", "softball", CHOICES["prior"]),
        ("encoder", "ridge", CHOICES["encoder"]),
        ("readout", "decoder", CHOICES["readout"]),
        ("objective", ["map"], CHOICES["objective"]),
    ],
)
def test_an_unknown_name_lists_those_that_there_are(part: str, name: Any, known: Iterable[str]) -> None:
    names = ", ".join(map(repr, known))
    with pytest.raises(ValueError, match=rf"{part}=.* is unknown; choose among {names}\."):
        Parts(**{part: name})


def test_a_configuration_names_what_is_not_the_default(tmp_path: Path) -> None:
    file = tmp_path / "parts.toml"
    file.write_text('prior = "gaussian"\nlikelihood = {mirna = "zinb"}\n')
    parts = read_parts(file, Parts(encoder="mlp"))
    assert parts == Parts({"mirna": "zinb"}, "gaussian", "mlp")
    assert Parts(**parts.card) == parts
    for text, message in (
        ('pior = "gaussian"', r"parts\.toml: 'pior' is no part of a model; the parts are likelihood, prior, encoder,"),
        ('prior = "flat"', r"parts\.toml: prior='flat' is unknown; choose among 'mixture', 'gaussian'"),
        ("prior = ", r"parts\.toml: Invalid value"),
        ("prior = 3", r"parts\.toml: prior=3 is unknown"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_parts(file)


def test_the_script_of_the_reference_refuses_what_a_reference_cannot_have(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "scripts")
    script = importlib.import_module("train_reference")
    assert script.chosen_parts(None) == Parts(encoder="mlp")
    file = tmp_path / "parts.toml"
    for text, message in (
        ('readout = "none"', "no mature miRNAs"),
        ('likelihood = "poisson"', "no evidence"),
        ('encoder = "big"', "choose among"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            script.chosen_parts(file)
    file.write_text('objective = "mrna"\nlikelihood = {mirna = "poisson"}')
    assert script.chosen_parts(file) == Parts({"mirna": "poisson"}, encoder="mlp", objective="mrna")


@pytest.fixture(scope="module")
def mosaic(toy_pairs: Any) -> Mosaic:
    return toy_pairs.mosaic(toy_pairs.train).only("mrna", "mirna")


def weights(mosaic: Mosaic, **options: Any) -> dict[str, torch.Tensor]:
    fitted = fit(mosaic, TOY, n_components=2, options=replace(QUICK, **options))
    found = {**fitted.decoder.state_dict(), **{f"prior.{k}": v for k, v in fitted.prior.state_dict().items()}}
    return found | {"latents": torch.from_numpy(fitted.latents)}


def test_from_mrna_alone_nothing_but_the_mirna_head_knows_the_mirna(mosaic: Mosaic) -> None:
    shuffled = Mosaic({"mrna": mosaic["mrna"], "mirna": mosaic["mirna"].take(np.arange(len(mosaic))[::-1])})
    one, other = (weights(data, objective="mrna") for data in (mosaic, shuffled))
    for name in one:
        assert torch.equal(one[name], other[name]) != name.startswith("heads.mirna"), name
    assert not torch.equal(weights(shuffled)["latents"], weights(mosaic)["latents"]), "the default knows it"


def test_balanced_is_a_weight_of_the_mirna(mosaic: Mosaic) -> None:
    ratio = mosaic["mrna"].n_features / mosaic["mirna"].n_features
    by_hand = weights(mosaic, modality_weights={"mirna": ratio})
    found = weights(mosaic, objective="balanced")
    assert all(torch.equal(found[name], by_hand[name]) for name in found)
    assert not torch.equal(found["latents"], weights(mosaic)["latents"])


def test_downsampled_minibatches_are_drawn_anew_and_repeat_with_the_seed(mosaic: Mosaic, monkeypatch: Any) -> None:
    from midgd.train import decoder

    asked: list[tuple[float | None, float, float]] = []

    def spied(counts: Any, depth: float | None, generator: np.random.Generator) -> Any:
        found = plain(counts, depth, generator)
        asked.append((depth, float(counts.sum(1).mean()), float(found.sum(1).mean())))
        return found

    plain = decoder.downsample
    one = weights(mosaic, objective="map_downsampled")
    monkeypatch.setattr(decoder, "downsample", spied)
    other = weights(mosaic, objective="map_downsampled")
    assert all(torch.equal(one[name], other[name]) for name in one)
    n_batches = 3 * -(-len(mosaic) // 16)
    assert len(asked) == 2 * n_batches, "once for each modality of a minibatch"
    assert {depth for depth, *_ in asked[::2]} == set(decoder.DEPTHS) and {depth for depth, *_ in asked[1::2]} == {None}
    for depth, before, after in asked:
        assert after == (before if depth is None else pytest.approx(min(depth, before), rel=0.05))


def test_from_mrna_alone_needs_mrna(mosaic: Mosaic) -> None:
    measured = np.ones((len(mosaic), mosaic["mrna"].n_features), bool)
    measured[:5] = False
    some = Mosaic({"mrna": Modality.from_mask(mosaic["mrna"].counts, measured), "mirna": mosaic["mirna"]})
    with pytest.raises(ValueError, match=rf"which 5 of {len(mosaic)} samples lack"):
        fit(some, TOY, n_components=2, options=replace(QUICK, objective="mrna"))


def test_unknown_objectives_are_refused() -> None:
    with pytest.raises(ValueError, match=r"objective='elbo' is unknown; choose among .*'map'"):
        TrainOptions(objective="elbo")


def test_poisson_is_the_negative_binomial_without_dispersion(mosaic: Mosaic) -> None:
    from midgd.nn import NegativeBinomialHead

    torch.manual_seed(0)
    poisson, nb = PoissonHead(3, 6).double(), NegativeBinomialHead(3, 6).double()
    nb.log_dispersion.data.fill_(18.0)
    counts, log_mean = torch.arange(12.0).double().reshape(2, 6), torch.linspace(-2, 3, 12).double().reshape(2, 6)
    torch.testing.assert_close(poisson.log_prob(counts, log_mean), nb.log_prob(counts, log_mean), rtol=1e-5, atol=1e-5)
    assert poisson.likelihood_parameters() == [] and not PoissonHead.rates_scatter and nb.rates_scatter
