"""The readout against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from midgd.nn import ProfileReadout, Profiles, Weights

N, G = 4, 12


def random_readout(n_core: int, counts_rank: int = 2) -> ProfileReadout:
    readout = ProfileReadout(G, 5, 3, n_core, counts_rank)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in readout.parameters():
            torch.nn.init.normal_(parameter)
    readout.core_genes.copy_(torch.arange(G)[1 : 1 + n_core])
    return readout


RNG = torch.Generator().manual_seed(5)
PROFILES = Profiles(3 * torch.rand(N, G, generator=RNG), 2 * torch.rand(N, G, generator=RNG))
WEIGHTS = Weights(torch.tensor([0.0, 0.2, 0.7, 1.0]), torch.tensor([0.0, 0.3, 0.15, 0.5]))


def by_hand(maps: torch.nn.Module, profiles: Profiles) -> np.ndarray:
    """The formula for all samples in double precision."""

    def linear(part: torch.nn.Module, profile: torch.Tensor, i: int) -> np.ndarray:
        mean, basis, slopes, intercepts = (p.detach().double().numpy() for p in part.parameters())
        return (profile.double().numpy() - mean) @ basis @ slopes[i] + intercepts[i]

    shallow, deep = (linear(maps.denoised, profiles.denoised, i) for i in (0, 1))
    if maps.counts is not None and profiles.counts is not None:
        weight = WEIGHTS.counts.double().numpy()[:, None]
        shallow = (1 - weight) * shallow + weight * linear(maps.counts, profiles.counts, 0)
    e = WEIGHTS.deep.double().numpy()[:, None]
    return (1 - e) * shallow + e * deep


@pytest.mark.parametrize("profiles", [PROFILES, Profiles(PROFILES.denoised)])
@pytest.mark.parametrize("counts_rank", [0, 2])
def test_readout_is_its_formula(profiles, counts_rank):
    readout = random_readout(0, counts_rank)
    expected = np.maximum(by_hand(readout.wide, profiles), 0.0)
    assert (expected == 0).any() and (expected > 0).any()
    np.testing.assert_allclose(readout(profiles, WEIGHTS).detach(), expected, atol=1e-4)


@pytest.mark.parametrize("all_genes", [0.0, 0.2, 0.5, 1.0])
def test_answers_from_all_genes_and_from_core_genes_are_mixed(all_genes):
    readout = random_readout(7)
    assert readout.core is not None
    rates = [part[:, 1:8].expm1() for part in PROFILES[:2]]
    own = [torch.log1p(scale * x / x.sum(1, keepdim=True)) for x, scale in zip(rates, (1e6, 1e3), strict=True)]
    wide = by_hand(readout.wide, PROFILES)
    core = by_hand(readout.core, Profiles(*own))
    expected = np.maximum(all_genes * wide + (1 - all_genes) * core, 0.0)
    np.testing.assert_allclose(
        readout(PROFILES, WEIGHTS._replace(all_genes=all_genes)).detach(), expected, rtol=1e-4, atol=1e-3
    )


@pytest.mark.parametrize("rows", [[], [2], [3, 1], [3, 0, 1, 2]])
def test_counts_profiles_of_the_samples_that_have_a_weight_are_enough(rows):
    readout, chosen = random_readout(7), torch.tensor(rows, dtype=torch.long)
    weights = WEIGHTS._replace(counts=torch.zeros(N).index_copy(0, chosen, WEIGHTS.counts[chosen]), all_genes=0.4)
    some = Profiles(PROFILES.denoised, PROFILES.counts[chosen], chosen)
    torch.testing.assert_close(readout(some, weights), readout(PROFILES, weights))


@pytest.mark.parametrize("counts_rank", [0, 2])
def test_means_in_the_intercepts_answer_the_same(counts_rank):
    readout = random_readout(7, counts_rank)
    before, untouched = readout(PROFILES, WEIGHTS), PROFILES.denoised.clone()
    folded = readout.fold_means()
    assert all(not name.endswith("mean") for name, _ in folded.named_parameters())
    torch.testing.assert_close(folded(PROFILES, WEIGHTS), before, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(folded.fold_means()(PROFILES, WEIGHTS), before, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(PROFILES.denoised, untouched, rtol=0, atol=0)


def test_part_of_the_genes_beside_the_core():
    readout = random_readout(7)  # genes 1 to 7 of 12
    assert readout.part_of_others(torch.arange(G)) == 1.0
    assert readout.part_of_others(torch.arange(1, 8)) == 0.0
    assert readout.part_of_others(torch.arange(8)) == pytest.approx(1 / 5)  # of the others
    assert readout.part_of_others(torch.tensor([0, 3])) == pytest.approx(1 / 2)  # of a panel
    assert random_readout(0).part_of_others(torch.tensor([0, 3])) is None


def test_what_is_added_comes_before_the_cut_at_zero():
    readout, added = random_readout(7), torch.linspace(-20.0, 20.0, 5).repeat(N, 1)
    uncut = readout(PROFILES, WEIGHTS, added=torch.full((N, 5), 100.0)) - 100.0
    torch.testing.assert_close(
        readout(PROFILES, WEIGHTS, added=added), (uncut + added).clamp_min(0.0), atol=1e-3, rtol=1e-4
    )


@pytest.mark.parametrize("counts_rank", [0, 2])
def test_sizes_rebuild_it(counts_rank):
    readout = random_readout(7, counts_rank)
    assert ProfileReadout(**readout.sizes).state_dict().keys() == readout.state_dict().keys()
