"""The decoder: shapes, skip, shares over what was measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from midgd.nn import Decoder, DecoderSpec, ZeroInflatedNegativeBinomialHead

SIZES = {"mrna": 30, "mirna": 7}


def decoder_of(**settings) -> Decoder:
    torch.manual_seed(0)
    return Decoder(DecoderSpec(n_latent=5, **settings), SIZES).double()


@pytest.mark.parametrize(
    ("settings", "n_features"),
    [
        ({"n_hidden": 8}, 13),
        ({"n_hidden": 8, "skip": False}, 8),
        ({"n_hidden": 0}, 5),
        ({"n_hidden": 8, "n_layers": 3, "activation": "relu"}, 13),
    ],
)
def test_shapes(settings, n_features):
    decoder = decoder_of(**settings)
    z = torch.randn(4, 5).double()
    assert decoder(z).shape == (4, n_features) == (4, decoder.spec.n_features)
    for modality, size in SIZES.items():
        share = decoder.log_share(z, modality).exp()
        assert share.shape == (4, size)
        torch.testing.assert_close(share.sum(1), torch.ones(4).double())


def test_skip_passes_the_latent_on_as_it_is():
    z = torch.randn(4, 5).double()
    decoder = decoder_of(n_hidden=8)
    torch.testing.assert_close(decoder(z)[:, :5], z, rtol=0, atol=0)
    torch.testing.assert_close(decoder(z)[:, 5:], decoder.trunk(z))
    torch.testing.assert_close(decoder_of(n_hidden=0)(z), z, rtol=0, atol=0)


def test_trunk_equals_a_loop_over_its_layers():
    decoder = decoder_of(n_hidden=6, n_layers=2, skip=False, activation="leaky_relu")
    z = np.random.default_rng(0).normal(size=(3, 5))
    hidden = z
    for layer in (decoder.trunk[0], decoder.trunk[2]):
        linear = hidden @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        hidden = np.where(linear > 0, linear, 0.01 * linear)
    np.testing.assert_allclose(decoder(torch.tensor(z)).detach(), hidden, rtol=1e-12)


def test_activations_differ():
    z = torch.randn(4, 5).double()
    outputs = [decoder_of(n_hidden=8, skip=False, activation=name)(z) for name in ("silu", "relu", "leaky_relu")]
    assert not torch.allclose(outputs[0], outputs[1]) and not torch.allclose(outputs[1], outputs[2])


def test_shares_are_renormalised_over_what_was_measured():
    decoder, z, measured = decoder_of(n_hidden=8), torch.randn(4, 5).double(), torch.tensor([20, 3, 4])
    whole, part = (decoder.log_share(z, "mrna", m).exp() for m in (None, measured))
    torch.testing.assert_close(part, whole[:, measured] / whole[:, measured].sum(1, keepdim=True))


def test_each_modality_has_its_own_head():
    decoder = decoder_of(likelihoods={"mirna": "zinb"})
    assert isinstance(decoder.head("mirna"), ZeroInflatedNegativeBinomialHead)
    assert not isinstance(decoder.head("mrna"), ZeroInflatedNegativeBinomialHead)
    assert {name: decoder.head(name).n_features for name in SIZES} == SIZES


def test_impossible_specs_are_refused():
    with pytest.raises(ValueError, match="skip"):
        DecoderSpec(n_hidden=0, skip=False)
    with pytest.raises(ValueError, match=r"gamma.*nb"):
        DecoderSpec(likelihoods={"mirna": "gamma"})
