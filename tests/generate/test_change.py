"""The smallest change against a slow constrained search, and against the formula for a Gaussian."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from midgd.generate.answer import Answers
from midgd.generate.change import smallest_change
from midgd.generate.draw import density_of
from midgd.infer import Predictor
from midgd.reference import Reference


def two_changes(reference: Reference, whole: bool, n: int = 4):
    rng = np.random.default_rng(3)
    density = reference.density
    latents = density.draw(n, rng).latent
    outputs, shifts = np.array([1, 50]), np.array([0.3, -0.2], np.float32)
    return latents, outputs, shifts, smallest_change(Answers(reference), density, latents, outputs, shifts, whole=whole)


@pytest.mark.parametrize("whole", [False, True])
def test_no_other_change_is_as_probable(toy_generative: Reference, whole: bool) -> None:
    """A search that knows nothing of slopes, for latent and deviation of the miRNAs together."""
    latents, outputs, shifts, found = two_changes(toy_generative, whole)
    assert found.reached.all()
    answers, density = Answers(toy_generative), toy_generative.density
    covariance = np.float64(density.within @ density.within.T)
    own = np.float64(density.deviation_covariance(outputs)[:, outputs])
    d = len(covariance)

    def answer(z: np.ndarray) -> np.ndarray:
        z = torch.from_numpy(z.astype(np.float32))[None]
        return answers(z, weights).numpy()[0, outputs].astype(float)

    for row, z in enumerate(latents):
        before = answers(torch.from_numpy(z)[None], weights := answers.weights(torch.from_numpy(z)[None]))

        def cost(step: np.ndarray, z=z, before=before, weights=weights) -> float:  # type: ignore[no-untyped-def]
            moved = answers(torch.from_numpy((z + step).astype(np.float32))[None], weights) - before
            left = shifts - moved.numpy()[0, outputs].astype(float)
            of_deviation = 1e4 * left @ left if whole else left @ np.linalg.solve(own, left)
            return float(step @ np.linalg.solve(covariance, step) + of_deviation)

        own_step = np.float64(found.latent[row] - z)
        starts = {"Powell": np.zeros(d), "Nelder-Mead": own_step}
        slow = min(minimize(cost, start, method=name, options={"maxiter": 400}).fun for name, start in starts.items())
        assert cost(own_step) <= slow * 1.01 + 1e-3
        assert found.distance[row] ** 2 == pytest.approx(cost(own_step), rel=0.02)


def test_shifts_are_what_was_asked_for(toy_generative: Reference) -> None:
    _, outputs, shifts, found = two_changes(toy_generative, whole=False)
    np.testing.assert_allclose(found.mirna[:, outputs], np.tile(shifts, (4, 1)), atol=2e-3)
    assert (found.in_latent < 1.0).all() and (found.in_latent.mean(0) > 0.0).all()
    _, outputs, shifts, found = two_changes(toy_generative, whole=True)
    np.testing.assert_allclose(found.mirna[:, outputs], np.tile(shifts, (4, 1)), atol=2e-3)
    np.testing.assert_allclose(found.in_latent, 1.0, atol=5e-3)


def test_small_changes_are_the_mean_of_a_gaussian_given_the_shift(toy_generative: Reference) -> None:
    """Samples of latent and deviations around a point, regressed on the shifted miRNA, give the same differences."""
    density, answers = toy_generative.density, Answers(toy_generative)
    z, output = density.mean[:1], np.array([2])
    found = smallest_change(answers, density, z, output, np.array([0.01], np.float32))
    rng = np.random.default_rng(0)
    # Near the point the answer is straight: small steps, rescaled.
    steps = 0.01 * rng.standard_normal((40_000, z.shape[1])).astype(np.float32) @ density.within.T
    weights = answers.weights(torch.from_numpy(z))
    repeated = weights._replace(
        deep=weights.deep.expand(len(steps)),
        counts=weights.counts.expand(len(steps)),
        kinds=weights.kinds.expand(len(steps), -1),
    )
    moved = (answers(torch.from_numpy(z + steps), repeated) - answers(torch.from_numpy(z), weights)).numpy()
    moved += 0.01 * density.deviations(len(steps), rng)
    of_target = moved[:, output[0]]
    expected = 0.01 * (of_target @ moved) / (of_target @ of_target)
    assert np.corrcoef(expected, found.mirna[0])[0, 1] > 0.99
    np.testing.assert_allclose(found.mirna[0], expected, atol=5e-4)


def test_slopes_are_finite_differences(toy_generative: Reference) -> None:
    answers = Answers(toy_generative)
    z = torch.from_numpy(toy_generative.density.mean.copy())
    weights, outputs = answers.weights(z), torch.tensor([0, 5, 41])
    _, slopes = answers.with_slopes(z, weights, outputs)
    for axis in range(z.shape[1]):
        step = torch.zeros(z.shape[1])
        step[axis] = 1e-2
        slow = (answers(z + step, weights) - answers(z - step, weights))[:, outputs] / 2e-2
        np.testing.assert_allclose(slopes[:, :, axis].numpy(), slow.detach().numpy(), atol=5e-3)


def test_answers_are_those_of_deep_counts(toy_generative: Reference) -> None:
    """Counts without noise, of the decoded shares, are answered as the latent is."""
    z = torch.from_numpy(toy_generative.density.mean.copy())
    answers = Answers(toy_generative)
    shares = toy_generative.decoder.log_share(z, "mrna").exp().detach().numpy()
    inferred = Predictor(toy_generative, np.arange(shares.shape[1]))(np.rint(1e8 * shares).astype(np.float32))
    expected = np.log1p(1e6 * inferred.share)
    found = answers(z, answers.weights(z)).detach().numpy().clip(0)
    assert np.abs(found - expected).mean() < 0.1


def test_rows_do_not_depend_on_each_other(toy_generative: Reference) -> None:
    latents, outputs, shifts, found = two_changes(toy_generative, whole=False)
    alone = smallest_change(Answers(toy_generative), toy_generative.density, latents[2:3], outputs, shifts)
    np.testing.assert_allclose(alone.mirna[0], found.mirna[2], atol=1e-3)
    np.testing.assert_allclose(alone.log_share[0], found.log_share[2], atol=1e-3)


def test_without_a_density_the_prior_says_what_is_usual(toy_reference: Reference) -> None:
    density = density_of(toy_reference)
    weight = torch.softmax(toy_reference.prior.weight_logits, 0)
    variance = (weight[:, None] * (-toy_reference.prior.neg_log_var).exp()).sum(0)
    np.testing.assert_allclose(np.diag(density.within) ** 2, variance, rtol=1e-5)
    np.testing.assert_allclose(density.mirna_sd, toy_reference.calibration.sd[-1])
    bare = density_of(replace(toy_reference, calibration=None))
    assert (bare.mirna_sd == 0).all()
    found = smallest_change(Answers(toy_reference), bare, density.mean, np.array([0]), np.array([0.3], np.float32))
    np.testing.assert_allclose(found.in_latent, 1.0, atol=1e-2)
