"""The denoised profile against a loop over genes, and its limits; the readout against its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import poisson

from midgd.nn import NegativeBinomialHead, ProfileReadout, View, view_of
from midgd.nn.readout import Counted, counts_profile

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
    view = view_of(head, log_share, counts, None if genes is None else torch.tensor(genes))
    for i in range(N):
        known = dict(zip(present, counts[i].tolist(), strict=True))
        expected, expected_evidence = profile_of_one(log_share[i].exp().numpy(), known, head.dispersion.numpy())
        np.testing.assert_allclose(view.profile[i], expected, rtol=1e-12)
        assert view.evidence[i].item() == pytest.approx(expected_evidence, rel=1e-12)


def test_deep_sample_keeps_its_own_profile(head, log_share):
    counts = draw(50.0) * 1e7
    profile, evidence, *_ = view_of(head, log_share, counts)
    own = torch.log1p(1e6 * counts / counts.sum(1, keepdim=True))
    torch.testing.assert_close(profile, own, rtol=0, atol=1e-5)
    assert (evidence > 0.999).all()


@pytest.mark.parametrize("depth", [0.0, 1e-7])
def test_shallow_sample_gets_the_decoders(head, log_share, depth):
    profile, evidence, *_ = view_of(head, log_share, draw(5.0) * depth)
    torch.testing.assert_close(profile, torch.log1p(1e6 * log_share.exp()), rtol=0, atol=1e-5)
    assert (evidence < 1e-5).all()


def test_absent_genes_are_completed_by_the_decoder(head, log_share):
    genes, absent = torch.tensor([0, 3, 4]), [1, 2, *range(5, G)]
    profile = view_of(head, log_share, draw(1e6)[:, genes], genes).profile
    torch.testing.assert_close(profile[:, absent], torch.log1p(1e6 * log_share.exp())[:, absent])
    # an absent gene is not a gene with zero counts
    zeros = torch.zeros(N, G).double().index_copy(1, genes, draw(1e6)[:, genes])
    assert (view_of(head, log_share, zeros).profile[:, absent] < profile[:, absent] - 3).all()


def test_counts_at_their_mean_change_nothing(head, log_share):
    profile = view_of(head, log_share, 3_000.0 * log_share.exp()).profile
    torch.testing.assert_close(profile, torch.log1p(1e6 * log_share.exp()))


def test_evidence_grows_with_depth(head, log_share):
    evidence = torch.stack([view_of(head, log_share, draw(3.0) * depth).evidence for depth in (0.01, 0.1, 1, 10)])
    assert (evidence.diff(dim=0) > 0).all() and (evidence > 0).all() and (evidence < 1).all()


def test_counts_profile_of_genes_present_is_their_own(head, log_share):
    counts = draw(0.4)
    view = view_of(head, log_share, counts)
    library = counts.sum(1, keepdim=True)
    torch.testing.assert_close(view.counted.profile, torch.log1p(1e3 * counts / library))
    torch.testing.assert_close(view.counted.weight, 0.5 * library[:, 0] / (library[:, 0] + 1e3))
    # the same where a part of the expected molecules is not to be seen
    genes = torch.tensor([7, 2, 11, 0])
    few, seen = counts[:, genes], log_share[:, genes].exp().sum(1, keepdim=True)
    view = view_of(head, log_share, few, genes)
    molecules = few.sum(1, keepdim=True) / seen
    torch.testing.assert_close(view.counted.profile[:, genes], torch.log1p(1e3 * few / molecules))
    torch.testing.assert_close(view.counted.weight, (0.5 * molecules / (molecules + 1e3))[:, 0])


def test_counts_profile_is_not_computed_where_it_is_not_asked_for(head, log_share):
    assert view_of(head, log_share, draw(0.4), with_counts=False).counted is None


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
        view = view_of(head, log_share.float(), torch.zeros(N, n_present), genes)
        assert all(bool(torch.isfinite(part).all()) for part in (view.profile, view.evidence, *view.counted))
        assert (view.counted.profile == 0).all() and (view.counted.weight == 0).all()


def random_readout(n_core: int, counts_rank: int = 2) -> ProfileReadout:
    readout = ProfileReadout(G, 5, 3, n_core, counts_rank)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in readout.parameters():
            torch.nn.init.normal_(parameter)
    readout.core_genes.copy_(torch.arange(G)[1 : 1 + n_core])
    return readout


RNG = torch.Generator().manual_seed(5)
VIEW = View(
    profile=3 * torch.rand(N, G, generator=RNG),
    evidence=torch.tensor([0.0, 0.2, 0.7, 1.0]),
    counted=Counted(2 * torch.rand(N, G, generator=RNG), torch.tensor([0.0, 0.3, 0.15, 0.5])),
)


def by_hand(maps: torch.nn.Module, view: View) -> np.ndarray:
    """The formula for all samples in double precision."""

    def linear(part: torch.nn.Module, profile: torch.Tensor, i: int) -> np.ndarray:
        mean, basis, slopes, intercepts = (p.detach().double().numpy() for p in part.parameters())
        return (profile.double().numpy() - mean) @ basis @ slopes[i] + intercepts[i]

    shallow, deep = (linear(maps.denoised, view.profile, i) for i in (0, 1))
    if maps.counts is not None and view.counted is not None:
        weight = view.counted.weight.double().numpy()[:, None]
        shallow = (1 - weight) * shallow + weight * linear(maps.counts, view.counted.profile, 0)
    e = view.evidence.double().numpy()[:, None]
    return (1 - e) * shallow + e * deep


@pytest.mark.parametrize("view", [VIEW, View(*VIEW[:2])])
@pytest.mark.parametrize("counts_rank", [0, 2])
def test_readout_is_its_formula(view, counts_rank):
    readout = random_readout(0, counts_rank)
    expected = np.maximum(by_hand(readout.wide, view), 0.0)
    assert (expected == 0).any() and (expected > 0).any()
    np.testing.assert_allclose(readout(view).detach(), expected, atol=1e-4)


@pytest.mark.parametrize("breadth", [0.0, 0.4, 1.0])
def test_core_genes_answer_for_the_others_as_far_as_those_are_missing(breadth):
    readout = random_readout(7)
    assert readout.core is not None
    rates = [part[:, 1:8].expm1() for part in (VIEW.profile, VIEW.counted.profile)]
    own = [torch.log1p(scale * x / x.sum(1, keepdim=True)) for x, scale in zip(rates, (1e6, 1e3), strict=True)]
    wide = by_hand(readout.wide, VIEW)
    core = by_hand(readout.core, View(own[0], VIEW.evidence, Counted(own[1], VIEW.counted.weight)))
    expected = np.maximum(breadth / 2 * wide + (1 - breadth / 2) * core, 0.0)
    np.testing.assert_allclose(readout(VIEW, breadth).detach(), expected, rtol=1e-4, atol=1e-3)


def test_breadth_is_full_from_half_of_the_genes_beside_the_core():
    readout = random_readout(7)  # genes 1 to 7 of 12
    assert readout.breadth(torch.arange(G)) == 1.0
    assert readout.breadth(torch.arange(1, 8)) == 0.0
    assert readout.breadth(torch.tensor([0, 3])) == pytest.approx(2 / 5)
    assert readout.breadth(torch.tensor([0, 3, 9, 10])) == 1.0


def test_what_is_added_comes_before_the_cut_at_zero():
    readout, added = random_readout(7), torch.linspace(-20.0, 20.0, 5).repeat(N, 1)
    uncut = readout(VIEW, added=torch.full((N, 5), 100.0)) - 100.0
    torch.testing.assert_close(readout(VIEW, added=added), (uncut + added).clamp_min(0.0), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("counts_rank", [0, 2])
def test_sizes_rebuild_it(counts_rank):
    readout = random_readout(7, counts_rank)
    assert ProfileReadout(**readout.sizes).state_dict().keys() == readout.state_dict().keys()
