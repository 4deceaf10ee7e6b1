"""Starting values: principal components, log mean shares, regressions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from midgd.nn import Decoder, DecoderSpec, GaussianMixture
from midgd.train import Modality, Mosaic
from midgd.train.initialise import start_latents, start_weights


def test_latents_are_the_principal_components(small):
    latents = start_latents(small, 3)
    profile = small["mrna"].log_cpm.astype(float)
    _, singular, right = np.linalg.svd(profile - profile.mean(0), full_matrices=False)
    scores = (profile - profile.mean(0)) @ right[:3].T
    for i in range(3):
        assert abs(np.corrcoef(latents[:, i], scores[:, i])[0, 1]) == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(latents.std(0), np.sqrt(singular[:3] / singular[0]), rtol=1e-3)


def test_more_dimensions_than_samples_leave_zeros(small):
    latents = start_latents(small.take(np.arange(5)), 9)
    assert latents.shape == (5, 9) and (latents[:, 5:] == 0).all()


def test_sources_are_compared_by_their_common_genes(small):
    """Half of the samples lack a third of the genes: the first component must not be the source."""
    mask = np.ones((48, 120), bool)
    mask[24:, 80:] = False
    patchy = Mosaic({"mrna": Modality.from_mask(small["mrna"].counts, mask)})
    whole = Mosaic({"mrna": Modality.from_mask(small["mrna"].counts[:, :80])})
    np.testing.assert_allclose(start_latents(patchy, 3), start_latents(whole, 3), atol=1e-5)


def test_nothing_in_common_still_gives_latents(small):
    mask = np.zeros((48, 120), bool)
    mask[:24, :70], mask[24:, 60:] = True, True
    counts = np.where(mask, small["mrna"].counts, np.nan)
    latents = start_latents(Mosaic({"mrna": Modality.from_mask(counts, mask)}), 3)
    assert np.isfinite(latents).all() and (latents.std(0) > 0.1).all()


def test_samples_without_mrna_start_near_their_place(toy_pairs):
    mask = np.ones((120, 600), bool)
    mask[90:] = False
    mirna = Modality.from_mask(toy_pairs.mirna)
    latents = start_latents(Mosaic({"mrna": Modality.from_mask(toy_pairs.mrna, mask), "mirna": mirna}), 4)
    # the true factors as a linear function of the latents, learned where there is mRNA
    design = np.column_stack([np.ones(120), latents])
    slopes = np.linalg.lstsq(design[:90], toy_pairs.factors[:90], rcond=None)[0]
    error = ((design @ slopes - toy_pairs.factors) ** 2)[90:].sum(0)
    assert (error < 0.2 * ((toy_pairs.factors[90:] - toy_pairs.factors[:90].mean(0)) ** 2).sum(0)).all()


def test_biases_start_at_the_log_mean_share(patchy):
    torch.manual_seed(0)
    decoder, prior = Decoder(DecoderSpec(n_latent=3, n_hidden=5), patchy.sizes), GaussianMixture(2, 3)
    latents = start_latents(patchy, 3)
    start_weights(decoder, prior, patchy, latents)
    for name, modality in patchy.modalities.items():
        shares = [[] for _ in range(modality.n_features)]
        for row, seen in zip(modality.counts, modality.measured, strict=True):
            for j in np.flatnonzero(seen):
                shares[j].append(row[j] / row[seen].sum())
        expected = np.log(np.array([np.mean(s) for s in shares]) + 1e-8)
        np.testing.assert_allclose(decoder.head(name).bias.detach(), expected, rtol=1e-4)


def test_skip_weights_start_at_the_regression_on_the_latents(small):
    torch.manual_seed(0)
    decoder, prior = Decoder(DecoderSpec(n_latent=3, n_hidden=5), small.sizes), GaussianMixture(2, 3)
    hidden = decoder.head("mrna").weight.detach()[3:].clone()
    latents = start_latents(small, 3)
    start_weights(decoder, prior, small, latents)
    profile = small["mrna"].log_cpm.astype(float)
    ridge = np.linalg.solve(latents.T @ latents + 48 * 0.05 * np.eye(3), latents.T @ (profile - profile.mean(0)))
    np.testing.assert_allclose(decoder.head("mrna").weight.detach()[:3], ridge, atol=1e-4)
    assert torch.equal(decoder.head("mrna").weight.detach()[3:], hidden)


def test_mixture_starts_at_the_centres_of_clusters(small):
    """Every mean is that of the latents that are nearest to it (Lloyd 1982), but for the factor towards 0."""
    torch.manual_seed(0)
    decoder, prior = Decoder(DecoderSpec(n_latent=3, n_hidden=5), small.sizes), GaussianMixture(4, 3)
    latents = start_latents(small, 3)
    start_weights(decoder, prior, small, latents)
    centres = prior.means.detach().numpy() / 0.8
    nearest = np.square(latents[:, None] - centres[None]).sum(2).argmin(1)
    for k, centre in enumerate(centres):
        np.testing.assert_allclose(centre, latents[nearest == k].mean(0), atol=1e-5)
    np.testing.assert_allclose(prior.precision.detach(), 1 / (0.5 * latents.var(0, ddof=1).mean()), rtol=1e-4)


def test_mixture_of_more_components_than_samples_starts_on_samples(small):
    few = small.take(np.arange(5))
    decoder, prior = Decoder(DecoderSpec(n_latent=3, n_hidden=5), small.sizes), GaussianMixture(9, 3)
    latents = start_latents(few, 3)
    start_weights(decoder, prior, few, latents)
    distance = np.abs(prior.means.detach().numpy()[:, None] - 0.8 * latents[None]).max(2).min(1)
    np.testing.assert_allclose(distance, 0.0, atol=1e-6)


def test_without_skip_only_the_biases_start(small):
    decoder, prior = Decoder(DecoderSpec(n_latent=3, n_hidden=5, skip=False), small.sizes), GaussianMixture(2, 3)
    before = decoder.head("mrna").weight.detach().clone()
    start_weights(decoder, prior, small, start_latents(small, 3))
    assert torch.equal(decoder.head("mrna").weight.detach(), before)
    assert decoder.head("mrna").bias.detach().std() > 0.1
