"""Counts against the moments of the negative binomial, guides, seeds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from midgd.generate.draw import draw_counts, generate
from midgd.nn import Decoder, DecoderSpec, GaussianMixture
from midgd.reference import Reference, minimal_card
from midgd.reference.density import Latents


def test_counts_have_mean_and_variance_of_the_head(toy_generative: Reference) -> None:
    density, n = toy_generative.density, 4_000
    z = np.repeat(density.mean[:1], n, 0)
    drawn = Latents(z, np.zeros(n, np.int64), np.full(n, 2.0, np.float32))
    counts = draw_counts(
        toy_generative.decoder, density, drawn, np.full(n, 5_000.0, np.float32), np.random.default_rng(0)
    ).toarray()
    mean = 5_000.0 * toy_generative.decoder.log_share(torch.from_numpy(z[:1]), "mrna").exp().detach().numpy()[0]
    np.testing.assert_allclose(counts.sum(1).mean(), 5_000.0, rtol=0.01)
    high = mean > 5.0
    # Rates are scaled to the depth, which takes a little of both.
    assert np.median(counts.mean(0)[high] / mean[high]) == pytest.approx(1.0, abs=0.02)
    variance = mean + 2.0 * mean**2 / density.dispersion
    assert np.median(counts.var(0)[high] / variance[high]) == pytest.approx(1.0, abs=0.08)


def test_the_same_seed_gives_the_same_samples(toy_generative: Reference) -> None:
    one, again, other = (generate(toy_generative, 5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.latent, again.latent)
    np.testing.assert_array_equal(one.counts.toarray(), again.counts.toarray())
    np.testing.assert_array_equal(one.mirna, again.mirna)
    assert np.abs(one.latent - other.latent).min() > 0


def test_a_guide_shifts_the_samples_that_it_begins_from(toy_generative: Reference) -> None:
    outputs, shifts = np.array([3]), np.array([0.7], np.float32)
    plain = generate(toy_generative, 20, np.random.default_rng(4))
    for whole in (False, True):
        guided = generate(toy_generative, 20, np.random.default_rng(4), outputs=outputs, shifts=shifts, whole=whole)
        assert guided.reached.all()
        np.testing.assert_allclose(guided.mirna[:, 3] - plain.mirna[:, 3], 0.7, atol=3e-3)


def test_without_a_density_latents_are_those_of_the_prior(toy_reference: Reference) -> None:
    drawn = generate(toy_reference, 4_000, np.random.default_rng(0), depth=100.0)
    prior = toy_reference.prior
    assert (drawn.kind == -1).all()
    np.testing.assert_allclose(drawn.latent.mean(0), prior.mean.detach().numpy(), atol=0.15)
    np.testing.assert_allclose(drawn.counts.sum(1).mean(), 100.0, rtol=0.02)


def untrained(likelihood: str) -> Reference:
    """300 genes of equal weight, inverse dispersion 2, a zero in four by inflation, and nothing but a prior."""
    torch.manual_seed(0)
    decoder = Decoder(DecoderSpec(3, 0, likelihoods={"mrna": likelihood}), {"mrna": 300, "mirna": 5})
    head = decoder.head("mrna").requires_grad_(False)
    parameters = dict(head.named_parameters())
    parameters["weight"].zero_()
    if "log_dispersion" in parameters:
        parameters["log_dispersion"].fill_(np.log(2.0 - head.dispersion_floor))
    if "zero_logit" in parameters:
        parameters["zero_logit"].fill_(-np.log(3.0))
    genes, mirnas = ([f"{word}{i}" for i in range(n)] for word, n in (("G", 300), ("hsa-mir-", 5)))
    return Reference(minimal_card("untrained", genes, mirnas), decoder, GaussianMixture(2, 3).requires_grad_(False))


@pytest.mark.parametrize(
    ("likelihood", "ratio", "zeros"),
    [
        ("poisson", 1.0, np.exp(-6.0)),
        ("nb", 1.0 + 6.0 / 2.0, (2.0 / 8.0) ** 2),
        # The others have a third more: mean 8, variance 8 + 64 / 2, in three of four.
        ("zinb", (0.75 * (40.0 + 64.0) - 36.0) / 6.0, 0.25 + 0.75 * (2.0 / 10.0) ** 2),
    ],
)
def test_samples_scatter_as_their_head_says(likelihood: str, ratio: float, zeros: float) -> None:
    counts = untrained(likelihood).sample(500, depth=1_800.0, seed=2).X.toarray()
    assert counts.mean() == pytest.approx(6.0, rel=0.01)
    assert counts.var() / counts.mean() == pytest.approx(ratio, rel=0.03)
    assert (counts == 0).mean() == pytest.approx(zeros, abs=0.005)
