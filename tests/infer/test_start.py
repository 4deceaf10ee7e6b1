"""Starts: one Fisher scoring step at shallow depth, bounded at any depth, and what the encoder is shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from midgd.infer import InferenceOptions, LatentInference, LogPosterior
from midgd.nn import LatentEncoder


@pytest.fixture(scope="module")
def posterior(toy_reference) -> LogPosterior:
    return LogPosterior(toy_reference.decoder, toy_reference.prior, torch.arange(600))


def counts_at(posterior: LogPosterior, depth: float, n: int = 20) -> np.ndarray:
    z = posterior.prior.sample(n, generator=torch.Generator().manual_seed(0))
    rate = posterior.log_share(z).exp() * depth
    return torch.poisson(rate, generator=torch.Generator().manual_seed(1)).numpy()


def loaded(posterior: LogPosterior, counts: np.ndarray):
    infer = LatentInference(posterior)
    batch = infer.batch(counts)
    (rows,) = batch.blocks()
    return infer, batch, slice(rows.start, rows.stop)


def test_is_the_fisher_scoring_step_where_counts_are_few(posterior):
    infer, batch, rows = loaded(posterior, counts_at(posterior, 20.0))
    step = infer.starts._scoring_step(batch)[rows]
    centre = posterior.prior.mean.expand(batch.n_slots, -1)
    _, grad = posterior(centre, batch.counts, batch.library)
    expected = batch.precondition_at_centre(grad)[rows]
    assert torch.nn.functional.cosine_similarity(step, expected).min() > 0.9


@pytest.mark.parametrize("depth", [1e3, 1e5, 1e7])
def test_no_count_blows_it_up(posterior, depth):
    infer, batch, rows = loaded(posterior, counts_at(posterior, depth))
    assert infer.starts._scoring_step(batch)[rows].abs().max() < 20.0
    assert torch.isfinite(infer.starts(batch)).all()


def test_start_improves_on_the_centre(posterior):
    infer, batch, rows = loaded(posterior, counts_at(posterior, 1e4))
    start, centre = infer.starts(batch), posterior.prior.mean.expand(batch.n_slots, -1)
    assert (batch(start)[0] > batch(centre)[0])[rows].all()


def test_features_are_finite_for_empty_rows_and_of_the_encoder_s_size(posterior):
    infer, batch, _ = loaded(posterior, np.zeros((3, 600), np.float32))
    features = infer.starts.features(batch)
    prior = posterior.prior
    assert features.shape == (batch.n_slots, prior.n_latent + 2 * prior.n_components + 2)
    assert torch.isfinite(features).all()


def test_encoder_is_the_start_and_not_the_end(posterior):
    """A useless encoder costs steps, not the optimum."""
    counts = counts_at(posterior, 1e4)
    n_features = posterior.prior.n_latent + 2 * posterior.prior.n_components + 2
    with torch.random.fork_rng():
        torch.manual_seed(0)
        useless = LatentEncoder(n_features, posterior.prior.n_latent, 8).requires_grad_(False)
    at_once = LatentInference(posterior, InferenceOptions(max_steps=0), useless)
    start = torch.cat([at_once(row[None]).z for row in counts])
    _, batch, rows = loaded(posterior, counts)
    torch.testing.assert_close(start, useless(at_once.starts.features(batch))[rows], rtol=0, atol=1e-5)
    exact = InferenceOptions(tolerance=1e-8)
    best, found = LatentInference(posterior, exact)(counts), LatentInference(posterior, exact, useless)(counts)
    assert (found.value - best.value).abs().median() < 1e-4
