"""Smoothing after the covariance of miRNA profiles, against the Gaussian posterior written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from midgd.nn import ProfileReadout, Profiles, Weights
from midgd.train import Modality
from midgd.train.smooth import known_profiles, smooth, smoother

RNG = np.random.default_rng(0)
N, M = 200, 6
LOADINGS = RNG.normal(size=(2, M))
PROFILES = (5.0 + RNG.normal(size=(N, 2)) @ LOADINGS + 0.1 * RNG.normal(size=(N, M))).astype(np.float32)


def test_equals_the_posterior_mean_of_a_gaussian():
    found = smoother(PROFILES, 0.5)
    answer = RNG.normal(5.0, 1.0, M)
    precision = np.linalg.inv(np.cov(PROFILES.T))
    mean = PROFILES.mean(0)
    expected = np.linalg.solve(precision + np.eye(M) / 0.5, precision @ mean + answer / 0.5)
    np.testing.assert_allclose(answer @ found.slopes + found.intercept, expected, rtol=1e-4)


def test_a_single_mirna_is_shrunk_to_its_mean():
    found = smoother(PROFILES[:, :1], 0.5)
    variance = PROFILES[:, 0].var(ddof=1)
    assert found.slopes[0, 0] == pytest.approx(variance / (variance + 0.5), rel=1e-4)


def test_brings_noisy_answers_nearer_to_the_truth():
    """Two directions hold all that varies: of independent errors in six miRNAs a third is left."""
    truth = (5.0 + RNG.normal(size=(500, 2)) @ LOADINGS).astype(np.float32)
    noisy = truth + RNG.normal(0, 0.5, truth.shape)
    weak, strong = (noisy @ s.slopes + s.intercept for s in (smoother(PROFILES, tau) for tau in (0.01, 0.25)))
    errors = [np.square(answer - truth).mean() for answer in (noisy, weak, strong)]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.45 * errors[0]


@pytest.mark.parametrize("n_core", [0, 3])
def test_deep_samples_are_smoothed_and_shallow_ones_are_not(n_core):
    torch.manual_seed(0)
    readout = ProfileReadout(10, M + 2, 4, n_core, 3).requires_grad_(False)
    readout.core_genes.copy_(torch.arange(n_core))
    for parameter in readout.parameters():
        torch.nn.init.uniform_(parameter, 0.0, 0.5)
    for maps in filter(None, (readout.wide, readout.core)):
        maps.denoised.intercepts.add_(5.0)
    profile, outputs = torch.rand(7, 10), np.array([0, 1, 2, 4, 5, 7])
    ends = [Weights(torch.full((7,), deep), torch.full((7,), 0.3), 0.5) for deep in (0.0, 1.0)]
    before = [readout(Profiles(profile, profile / 2), weights).numpy() for weights in ends]
    smooth(readout, PROFILES, outputs, 0.3)
    shallow, deep = (readout(Profiles(profile, profile / 2), weights).numpy() for weights in ends)
    np.testing.assert_array_equal(shallow, before[0])
    expected, found = before[1].copy(), smoother(PROFILES, 0.3)
    expected[:, outputs] = before[1][:, outputs] @ found.slopes + found.intercept
    np.testing.assert_allclose(deep, expected.clip(0), rtol=1e-4)


def test_unpaired_samples_add_the_features_that_all_have():
    own, counts = np.full((2, 3), 9.0, np.float32), np.array([[1.0, 3.0, 9.0], [2.0, 2.0, 9.0], [5.0, 5.0, 5.0]])
    seen = np.array([[True, True, False], [True, True, True], [False, False, False]])
    profiles, features = known_profiles(Modality.from_mask(counts, seen), own)
    np.testing.assert_array_equal(features, [0, 1])
    np.testing.assert_allclose(profiles[2:], np.log1p(1e6 * np.array([[0.25, 0.75], [2 / 13, 2 / 13]])), rtol=1e-6)
    for nothing in (None, Modality.from_mask(counts, np.zeros_like(seen))):
        profiles, features = known_profiles(nothing, own)
        np.testing.assert_array_equal(profiles, own)
        assert len(features) == 3
