"""What the fit finds in samples whose density is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from midgd.generate.draw import draw_counts
from midgd.generate.fit import fit_density
from midgd.nn import Decoder, DecoderSpec
from midgd.reference.density import LatentDensity
from midgd.train import Modality

N, D, G, M = 900, 4, 120, 30


@pytest.fixture(scope="module")
def world() -> tuple[Decoder, LatentDensity, LatentDensity]:
    """A decoder, the density that samples are drawn from, and the one that is fitted to them."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    decoder = Decoder(DecoderSpec(D, 0), {"mrna": G, "mirna": 3}).requires_grad_(False)
    decoder.head("mrna").weight.data *= 30.0
    truth = LatentDensity(
        mean=np.array([[0, 0, 0, 0], [3, 0, 1, 0]], np.float32),
        weight=np.array([0.5, 0.5], np.float32),
        kind=np.array([1, 0]),
        scale=np.array([[0.7, 0.7], [1.3, 1.4]], np.float32),
        within=np.linalg.cholesky(0.3 * np.eye(D) + 0.1).astype(np.float32),
        direction=np.zeros((0, D), np.float32),
        direction_of=np.zeros(0, np.int64),
        oddness=np.ones((1, 2), np.float32),
        dispersion=np.where(np.arange(G) < G // 2, 3.0, 20.0).astype(np.float32),
        log_depth=np.array([[10.0, 0.1], [12.0, 0.3]], np.float32),
        mirna_factors=rng.normal(size=(2, M)).astype(np.float32),
        mirna_sd=np.full(M, 0.3, np.float32),
    )
    drawn = truth.draw(N, rng)
    counts = draw_counts(decoder, truth, drawn, truth.draw_depths(drawn.component, rng), rng).toarray()
    measured = np.ones_like(counts, bool)
    measured[::3, -20:] = False
    missed = truth.deviations(N, rng)
    missed[::2, -5:] = np.nan
    fitted = fit_density(
        decoder, drawn.latent, Modality.from_mask(counts, measured), drawn.component, truth.kind, missed, inflation=2.0
    )
    return decoder, truth, fitted


def test_means_covariance_and_scales(world: tuple[Decoder, LatentDensity, LatentDensity]) -> None:
    _, truth, found = world
    np.testing.assert_allclose(found.mean, truth.mean, atol=0.12)
    np.testing.assert_allclose(found.weight.sum(), 1.0, rtol=1e-5)
    assert found.kind.tolist() == [1, 0]
    drawn = [density.draw(100_000, np.random.default_rng(1)) for density in (truth, found)]
    for component in (0, 1):
        exact, own = (np.cov(d.latent[d.component == component].T) for d in drawn)
        np.testing.assert_allclose(own, exact, atol=0.15 * np.abs(exact).max())


def test_noise_of_genes_and_components(world: tuple[Decoder, LatentDensity, LatentDensity]) -> None:
    _, _, found = world
    ratio = found.scale[1, 1] / found.scale[0, 1]
    # On logs, of which the variance does not quite double.
    assert ratio == pytest.approx(2.0, rel=0.25)
    # Dispersion and noise together are what is drawn from; only their ratio is known.
    median = [
        np.median(found.dispersion[part]) / found.scale[:, 1].mean() for part in (slice(G // 2), slice(G // 2, G))
    ]
    assert median[0] == pytest.approx(3.0 / 1.05, rel=0.2)
    assert median[1] == pytest.approx(20.0 / 1.05, rel=0.3)


def test_depths(world: tuple[Decoder, LatentDensity, LatentDensity]) -> None:
    """Also of samples that lack genes: what is missing is added by the decoder."""
    _, truth, found = world
    np.testing.assert_allclose(found.log_depth, truth.log_depth, atol=0.05)


def test_deviations_of_mirnas(world: tuple[Decoder, LatentDensity, LatentDensity]) -> None:
    """Twice as large as asked for, in outputs that half of the samples lack too."""
    _, truth, found = world
    everything = np.arange(M)
    exact, own = (density.deviation_covariance(everything) for density in (truth, found))
    np.testing.assert_allclose(own, 4.0 * exact, atol=0.2 * np.abs(4.0 * exact).max())


def test_zeros_by_inflation_do_not_count_as_dispersion() -> None:
    """A head with a dispersion gets that of the counts which are not zero by inflation; Poisson counts have none."""
    rng, n, genes = np.random.default_rng(3), 600, 60
    for likelihood, expected in (("zinb", 5.0), ("poisson", None)):
        decoder = Decoder(DecoderSpec(2, 0, likelihoods={"mrna": likelihood}), {"mrna": genes, "mirna": 3})
        head = decoder.requires_grad_(False).head("mrna")
        head.weight.zero_()
        if expected is not None:
            head.zero_logit[:6], head.zero_logit[6:] = -np.log(3.0), -30.0
        dispersion = None if expected is None else np.full((n, genes), expected)
        share, library = np.full((n, genes), 1.0 / genes), np.full((n, 1), 30.0 * genes)
        counts = Modality.from_mask(head.draw(share, library, rng, dispersion).astype(np.float32))
        latents, one = rng.normal(size=(n, 2)).astype(np.float32), np.zeros(n, np.int64)
        found = fit_density(decoder, latents, counts, one, one[:1], np.zeros((n, 3), np.float32)).dispersion
        assert found is None if expected is None else found[:6].mean() == pytest.approx(expected, rel=0.2)
