"""The denoised profile against a loop over genes, and its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import poisson

from midgd.infer.profiles import counts_profile, counts_profiles, shown_by
from midgd.nn import NegativeBinomialHead

N, G = 4, 12


@pytest.fixture
def head() -> NegativeBinomialHead:
    torch.manual_seed(0)
    head = NegativeBinomialHead(3, G).double()
    torch.nn.init.normal_(head.log_dispersion, 0.5, 1.0)
    return head.requires_grad_(False)


@pytest.fixture
def log_share() -> torch.Tensor:
    return torch.log_softmax(torch.randn(N, G, generator=torch.Generator().manual_seed(1)).double(), 1)


def draw(scale: float) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(2).poisson(scale, (N, G)), dtype=torch.float64)


def profile_of_one(share: np.ndarray, counts: dict[int, float], r: np.ndarray) -> tuple[list[float], float]:
    """One sample gene by gene, as the module's docstring has it."""
    library, part = sum(counts.values()), sum(share[g] for g in counts)
    rate, evidence = [], []
    for g in range(len(share)):
        if g not in counts:
            rate.append(share[g])
            continue
        mean = library * share[g] / part
        rate.append(share[g] * (counts[g] + r[g]) / (mean + r[g]))
        evidence.append(mean / (mean + r[g]))
    return [math.log1p(1e6 * value) for value in rate], sum(evidence) / len(evidence)


@pytest.mark.parametrize("genes", [None, list(range(G)), [7, 2, 11, 0]])
def test_equals_a_loop(head, log_share, genes):
    present = list(range(G)) if genes is None else genes
    counts = draw(5.0)[:, present]
    shown = shown_by(head, log_share, counts, None if genes is None else torch.tensor(genes))
    for i in range(N):
        known = dict(zip(present, counts[i].tolist(), strict=True))
        expected, expected_evidence = profile_of_one(log_share[i].exp().numpy(), known, head.dispersion.numpy())
        np.testing.assert_allclose(shown.denoised[i], expected, rtol=1e-12)
        assert shown.reliability[i].item() == pytest.approx(expected_evidence, rel=1e-12)


def test_deep_sample_keeps_its_own_profile(head, log_share):
    counts = draw(50.0) * 1e7
    profile, evidence, *_ = shown_by(head, log_share, counts)
    own = torch.log1p(1e6 * counts / counts.sum(1, keepdim=True))
    torch.testing.assert_close(profile, own, rtol=0, atol=1e-5)
    assert (evidence > 0.999).all()


@pytest.mark.parametrize("depth", [0.0, 1e-7])
def test_shallow_sample_gets_the_decoders(head, log_share, depth):
    profile, evidence, *_ = shown_by(head, log_share, draw(5.0) * depth)
    torch.testing.assert_close(profile, torch.log1p(1e6 * log_share.exp()), rtol=0, atol=1e-5)
    assert (evidence < 1e-5).all()


def test_absent_genes_are_completed_by_the_decoder(head, log_share):
    genes, absent = torch.tensor([0, 3, 4]), [1, 2, *range(5, G)]
    profile = shown_by(head, log_share, draw(1e6)[:, genes], genes).denoised
    torch.testing.assert_close(profile[:, absent], torch.log1p(1e6 * log_share.exp())[:, absent])
    # an absent gene is not a gene with zero counts
    zeros = torch.zeros(N, G).double().index_copy(1, genes, draw(1e6)[:, genes])
    assert (shown_by(head, log_share, zeros).denoised[:, absent] < profile[:, absent] - 3).all()


def test_counts_at_their_mean_change_nothing(head, log_share):
    profile = shown_by(head, log_share, 3_000.0 * log_share.exp()).denoised
    torch.testing.assert_close(profile, torch.log1p(1e6 * log_share.exp()))


def test_evidence_grows_with_depth(head, log_share):
    evidence = torch.stack([shown_by(head, log_share, draw(3.0) * depth).reliability for depth in (0.01, 0.1, 1, 10)])
    assert (evidence.diff(dim=0) > 0).all() and (evidence > 0).all() and (evidence < 1).all()


def test_counts_profile_of_genes_present_is_their_own(head, log_share):
    counts = draw(0.4)
    shown = shown_by(head, log_share, counts)
    library = counts.sum(1, keepdim=True)
    own = counts_profiles(head, log_share, counts, shown.molecules)
    torch.testing.assert_close(own, torch.log1p(1e3 * counts / library))
    torch.testing.assert_close(shown.molecules, library[:, 0])
    # the same where a part of the expected molecules is not to be seen
    genes = torch.tensor([7, 2, 11, 0])
    few, seen = counts[:, genes], log_share[:, genes].exp().sum(1, keepdim=True)
    shown = shown_by(head, log_share, few, genes)
    molecules = few.sum(1, keepdim=True) / seen
    own = counts_profiles(head, log_share, few, shown.molecules, genes)
    torch.testing.assert_close(own[:, genes], torch.log1p(1e3 * few / molecules))
    torch.testing.assert_close(shown.molecules, molecules[:, 0])


def test_counts_profiles_of_some_samples(head, log_share):
    genes, counts = torch.tensor([7, 2, 11, 0]), draw(0.4)
    molecules, rows = shown_by(head, log_share, counts[:, genes], genes).molecules, torch.tensor([2, 0])
    every, some = (counts_profiles(head, log_share, counts[:, genes], molecules, genes, r) for r in (None, rows))
    torch.testing.assert_close(some, every[rows], rtol=0, atol=0)


@pytest.mark.parametrize("molecules", [0.1, 300.0, 1e5])
def test_absent_genes_get_what_a_poisson_draw_would_show(log_share, molecules):
    share, genes = log_share.exp(), torch.tensor([0])
    found = counts_profile(share, torch.zeros(N, 1).double(), torch.full((N, 1), molecules).double(), genes)[0, 1:]
    draws = np.arange(2 * int(molecules) + 50)
    chance = poisson.pmf(draws[:, None], molecules * share[0, 1:].numpy())
    expected = np.log1p(draws * (1e3 / molecules)) @ chance
    np.testing.assert_allclose(found, expected, rtol=0.05)


def test_profiles_of_no_molecules_are_finite(head, log_share):
    for genes in (None, torch.tensor([1, 4])):
        n_present = G if genes is None else 2
        shown = shown_by(head, log_share.float(), torch.zeros(N, n_present), genes)
        own = counts_profiles(head, log_share.float(), torch.zeros(N, n_present), shown.molecules, genes)
        parts = (shown.denoised, own, shown.reliability, shown.molecules)
        assert all(bool(torch.isfinite(part).all()) for part in parts)
        assert (own == 0).all() and (shown.molecules == 0).all()
