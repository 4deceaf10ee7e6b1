"""MAP latents against scipy from several starts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import optimize, sparse

from midgd.infer import InferenceOptions, LatentInference, LogPosterior


@pytest.fixture(scope="module")
def posterior(toy_reference) -> LogPosterior:
    return LogPosterior(toy_reference.decoder, toy_reference.prior, torch.arange(0, 600, 2))


@pytest.fixture(scope="module")
def counts(toy_pairs) -> np.ndarray:
    """Bulk, downsampled to 1,000 counts, and an empty row."""
    bulk = toy_pairs.mrna[~toy_pairs.train][:6, ::2]
    downsampled = np.random.default_rng(0).poisson(bulk * (1_000 / bulk.sum(1, keepdims=True)))
    return np.vstack([bulk, downsampled, np.zeros((1, 300))]).astype(np.float32)


EXACT = InferenceOptions(tolerance=1e-10)


def best_of_scipy(posterior: LogPosterior, counts: np.ndarray) -> optimize.OptimizeResult:
    exact, x = posterior.double(), torch.tensor(counts[None]).double()

    def negative(z: np.ndarray) -> tuple[float, np.ndarray]:
        value, grad = exact(torch.tensor(z[None]), x, x.sum(1, keepdim=True))
        return -value.item(), -grad[0].numpy()

    rng = np.random.default_rng(0)
    starts = [
        np.zeros(posterior.prior.n_latent),
        *posterior.prior.means.double().numpy(),
        rng.normal(size=posterior.prior.n_latent),
    ]
    options = {"ftol": 1e-14, "gtol": 1e-9, "maxiter": 2_000}
    found = [optimize.minimize(negative, z, jac=True, method="L-BFGS-B", options=options) for z in starts]
    return min(found, key=lambda result: result.fun)


def test_equals_the_best_of_several_runs_of_scipy(posterior, counts):
    found = LatentInference(posterior, EXACT)(counts)
    assert found.converged.all()
    for i, row in enumerate(counts[:-1]):
        reference = best_of_scipy(posterior, row)
        assert found.value[i].item() == pytest.approx(-reference.fun, abs=1e-4)
        np.testing.assert_allclose(found.z[i], reference.x, atol=1e-3)


def test_empty_row_goes_to_a_mode_of_the_prior(posterior, counts):
    z = LatentInference(posterior, EXACT)(counts[-1:]).z.double()
    _, grad = posterior.prior.log_prob_and_grad(z.float())
    assert grad.abs().max() < 1e-3


@pytest.mark.parametrize("rows", [1, 4, 64])
def test_rows_together_do_not_matter(posterior, counts, rows):
    expected = LatentInference(posterior, EXACT)(counts)
    found = LatentInference(posterior, InferenceOptions(tolerance=1e-10, rows=rows))(sparse.csr_matrix(counts))
    torch.testing.assert_close(found.z, expected.z, rtol=0, atol=1e-5)
    assert found.converged.shape == found.n_evaluations.shape == (len(counts),)


def test_order_and_company_do_not_matter(posterior, counts):
    """Also where the search ends early: every product has the same shape, whoever shares it."""
    infer = LatentInference(posterior)
    expected = infer(counts)
    order = np.random.default_rng(0).permutation(len(counts))
    torch.testing.assert_close(infer(counts[order]).z, expected.z[order], rtol=0, atol=1e-5)
    alone = torch.cat([infer(row[None]).z for row in counts])
    torch.testing.assert_close(alone, expected.z, rtol=0, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_do_not_matter(posterior, counts, threads):
    many = np.tile(counts, (4, 1))
    expected = LatentInference(posterior)(many).z
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        torch.testing.assert_close(LatentInference(posterior)(many).z, expected, rtol=0, atol=1e-5)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_looser_tolerance_needs_fewer_evaluations(posterior, counts):
    loose, tight = (LatentInference(posterior, InferenceOptions(tolerance=t))(counts) for t in (1e-1, 1e-10))
    assert loose.n_evaluations.sum() < tight.n_evaluations.sum()
    assert (tight.value >= loose.value - 1e-2).all()


def test_too_few_steps_are_reported(posterior, counts):
    found = LatentInference(posterior, InferenceOptions(max_steps=1))(counts)
    assert not found.converged.all()


def test_without_steps_the_start_comes_back(posterior, counts):
    """The better of two points, so never worse than the most likely component mean; it is not called an optimum."""
    found = LatentInference(posterior, InferenceOptions(max_steps=0))(counts)
    assert not found.converged.any() and (found.n_evaluations == 0).all()
    means, x = posterior.prior.means, torch.tensor(counts)
    library = x.sum(1, keepdim=True)
    component = means[(x @ posterior.log_share(means).T).argmax(1)]
    (value, _), (at_component, _) = posterior(found.z, x, library), posterior(component, x, library)
    assert (value >= at_component - 0.1).all() and (value > at_component + 1).any()


def test_default_tolerance_is_close_to_the_optimum(posterior, counts):
    loose, tight = LatentInference(posterior)(counts), LatentInference(posterior, EXACT)(counts)
    assert ((tight.value - loose.value).abs() < 0.2).all()
