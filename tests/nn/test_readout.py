"""The denoised profile against a loop over genes, and its limits; the readout against its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from midgd.nn import NegativeBinomialHead, ProfileReadout, denoised_profile

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
    profile, evidence = denoised_profile(head, log_share, counts, None if genes is None else torch.tensor(genes))
    for i in range(N):
        known = dict(zip(present, counts[i].tolist(), strict=True))
        expected, expected_evidence = profile_of_one(log_share[i].exp().numpy(), known, head.dispersion.numpy())
        np.testing.assert_allclose(profile[i], expected, rtol=1e-12)
        assert evidence[i].item() == pytest.approx(expected_evidence, rel=1e-12)


def test_deep_sample_keeps_its_own_profile(head, log_share):
    counts = draw(50.0) * 1e7
    profile, evidence = denoised_profile(head, log_share, counts)
    own = torch.log1p(1e6 * counts / counts.sum(1, keepdim=True))
    torch.testing.assert_close(profile, own, rtol=0, atol=1e-5)
    assert (evidence > 0.999).all()


@pytest.mark.parametrize("depth", [0.0, 1e-7])
def test_shallow_sample_gets_the_decoders(head, log_share, depth):
    profile, evidence = denoised_profile(head, log_share, draw(5.0) * depth)
    torch.testing.assert_close(profile, torch.log1p(1e6 * log_share.exp()), rtol=0, atol=1e-5)
    assert (evidence < 1e-5).all()


def test_absent_genes_are_completed_by_the_decoder(head, log_share):
    genes, absent = torch.tensor([0, 3, 4]), [1, 2, *range(5, G)]
    profile, _ = denoised_profile(head, log_share, draw(1e6)[:, genes], genes)
    torch.testing.assert_close(profile[:, absent], torch.log1p(1e6 * log_share.exp())[:, absent])
    # an absent gene is not a gene with zero counts
    zeros = torch.zeros(N, G).double().index_copy(1, genes, draw(1e6)[:, genes])
    assert (denoised_profile(head, log_share, zeros)[0][:, absent] < profile[:, absent] - 3).all()


def test_counts_at_their_mean_change_nothing(head, log_share):
    profile, _ = denoised_profile(head, log_share, 3_000.0 * log_share.exp())
    torch.testing.assert_close(profile, torch.log1p(1e6 * log_share.exp()))


def test_evidence_grows_with_depth(head, log_share):
    evidence = torch.stack([denoised_profile(head, log_share, draw(3.0) * depth)[1] for depth in (0.01, 0.1, 1, 10)])
    assert (evidence.diff(dim=0) > 0).all() and (evidence > 0).all() and (evidence < 1).all()


def random_readout(n_core: int) -> ProfileReadout:
    readout = ProfileReadout(G, 5, 3, n_core)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in readout.parameters():
            torch.nn.init.normal_(parameter)
    readout.core_genes.copy_(torch.arange(G)[1 : 1 + n_core])
    return readout


PROFILE = 3 * torch.rand(N, G, generator=torch.Generator().manual_seed(5))
EVIDENCE = torch.tensor([0.0, 0.2, 0.7, 1.0])


def by_hand(maps: torch.nn.Module, profile: torch.Tensor) -> np.ndarray:
    mean, basis, slopes, intercepts = (p.detach().double().numpy() for p in maps.parameters())
    scores = (profile.double().numpy() - mean) @ basis
    any_depth, deep = (scores @ slopes[i] + intercepts[i] for i in (0, 1))
    e = EVIDENCE.double().numpy()[:, None]
    return (1 - e) * any_depth + e * deep


def test_readout_is_its_formula():
    readout = random_readout(0)
    expected = np.maximum(by_hand(readout.wide, PROFILE), 0.0)
    assert (expected == 0).any() and (expected > 0).any()
    np.testing.assert_allclose(readout(PROFILE, EVIDENCE).detach(), expected, atol=1e-4)


@pytest.mark.parametrize("breadth", [0.0, 0.4, 1.0])
def test_core_genes_answer_for_the_others_as_far_as_those_are_missing(breadth):
    readout = random_readout(7)
    assert readout.core is not None
    share = PROFILE[:, 1:8].expm1() / PROFILE[:, 1:8].expm1().sum(1, keepdim=True)
    wide, core = by_hand(readout.wide, PROFILE), by_hand(readout.core, torch.log1p(1e6 * share))
    expected = np.maximum(breadth / 2 * wide + (1 - breadth / 2) * core, 0.0)
    np.testing.assert_allclose(readout(PROFILE, EVIDENCE, breadth).detach(), expected, rtol=1e-4, atol=1e-3)


def test_breadth_is_full_from_half_of_the_genes_beside_the_core():
    readout = random_readout(7)  # genes 1 to 7 of 12
    assert readout.breadth(torch.arange(G)) == 1.0
    assert readout.breadth(torch.arange(1, 8)) == 0.0
    assert readout.breadth(torch.tensor([0, 3])) == pytest.approx(2 / 5)
    assert readout.breadth(torch.tensor([0, 3, 9, 10])) == 1.0


def test_sizes_rebuild_it():
    readout = random_readout(7)
    assert ProfileReadout(**readout.sizes).state_dict().keys() == readout.state_dict().keys()
