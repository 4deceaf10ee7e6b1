"""The held-out score: latents come from the mRNA, the score from the miRNA."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from midgd.infer import LatentInference, LogPosterior
from midgd.train import Modality, Mosaic
from midgd.train.validate import held_out_log_likelihood


@pytest.fixture(scope="module")
def held_out(toy_pairs) -> Mosaic:
    return toy_pairs.mosaic(~toy_pairs.train)


def score_at(toy_reference, held_out: Mosaic, z: torch.Tensor) -> float:
    counts = torch.tensor(held_out["mirna"].counts)
    decoder = toy_reference.decoder
    log_mean = counts.sum(1, keepdim=True).log() + decoder.log_share(z, "mirna")
    return decoder.head("mirna").log_prob(counts, log_mean).sum(1).mean().item()


def test_latents_come_from_the_mrna_and_not_from_zero(toy_reference, held_out):
    decoder, prior = toy_reference.decoder, toy_reference.prior
    z = LatentInference(LogPosterior(decoder, prior, torch.arange(600)))(held_out["mrna"].counts).z
    score = held_out_log_likelihood(decoder, prior, held_out)
    assert score == pytest.approx(score_at(toy_reference, held_out, z), rel=1e-3)
    assert score > score_at(toy_reference, held_out, torch.zeros_like(z)) + 20


def test_the_mirna_does_not_reach_the_latents(toy_reference, held_out, monkeypatch):
    """What the optimiser is asked about is the mRNA head and the counts of genes, nothing else."""
    seen = []

    class Watched(LatentInference):
        def __call__(self, counts):
            seen.append((self.posterior.head.n_features, counts))
            return super().__call__(counts)

    monkeypatch.setattr("midgd.train.validate.LatentInference", Watched)
    held_out_log_likelihood(toy_reference.decoder, toy_reference.prior, held_out)
    assert [n for n, _ in seen] == [600]
    np.testing.assert_array_equal(seen[0][1], held_out["mrna"].counts)


def test_mrna_of_other_samples_is_worse(toy_reference, held_out):
    other = Mosaic({"mrna": held_out["mrna"].take(np.arange(len(held_out))[::-1]), "mirna": held_out["mirna"]})
    scores = [held_out_log_likelihood(toy_reference.decoder, toy_reference.prior, m) for m in (held_out, other)]
    assert scores[0] > scores[1] + 10


def test_samples_that_lack_a_modality_are_left_out(toy_reference, held_out):
    n = len(held_out)
    seen = {name: np.ones(m.counts.shape, bool) for name, m in held_out.modalities.items()}
    seen["mrna"][:3] = False
    seen["mirna"][3:6] = False
    mosaic = Mosaic({name: Modality.from_mask(held_out[name].counts, seen[name]) for name in seen})
    score = held_out_log_likelihood(toy_reference.decoder, toy_reference.prior, mosaic)
    rest = held_out_log_likelihood(toy_reference.decoder, toy_reference.prior, held_out.take(np.arange(6, n)))
    assert score == pytest.approx(rest, rel=1e-5)
    nothing = dataclasses.replace(held_out["mirna"], patterns=np.zeros_like(held_out["mirna"].patterns))
    with pytest.raises(ValueError, match="both mRNA and miRNA"):
        held_out_log_likelihood(
            toy_reference.decoder, toy_reference.prior, Mosaic({"mrna": held_out["mrna"], "mirna": nothing})
        )


def test_order_of_samples_and_patterns_does_not_matter(toy_reference, held_out):
    seen = np.ones((len(held_out), 600), bool)
    seen[::2, 300:] = False
    mosaic = Mosaic({"mrna": Modality.from_mask(held_out["mrna"].counts, seen), "mirna": held_out["mirna"]})
    order = np.random.default_rng(0).permutation(len(mosaic))
    scores = [
        held_out_log_likelihood(toy_reference.decoder, toy_reference.prior, m) for m in (mosaic, mosaic.take(order))
    ]
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)
