"""Slots hold the right rows, whatever the container; the preconditioner is the inverse information at their depth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from midgd.infer import LogPosterior
from midgd.infer.batch import Batch, Curvatures


@pytest.fixture(scope="module")
def posterior(toy_reference) -> LogPosterior:
    return LogPosterior(toy_reference.decoder, toy_reference.prior, torch.arange(600))


COUNTS = np.random.default_rng(0).poisson(0.5, (7, 600)).astype(np.float32)


def batch(posterior: LogPosterior, counts, n_slots: int = 4) -> Batch:
    return Batch(posterior, Curvatures(posterior), counts, n_slots)


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix, lambda x: x.astype(np.int64)])
def test_blocks_are_the_rows_in_order(posterior, convert):
    held = batch(posterior, convert(COUNTS))
    found = [(rows, held.counts[: rows.stop - rows.start].clone()) for rows in held.blocks()]
    assert [rows for rows, _ in found] == [slice(0, 4), slice(4, 7)]
    np.testing.assert_array_equal(torch.cat([x for _, x in found]), COUNTS)


def test_entries_of_one_gene_add_up(posterior):
    split = sparse.csr_matrix((np.array([1.0, 2.0, 4.0]), np.array([3, 3, 5]), np.array([0, 3])), shape=(1, 600))
    held = batch(posterior, split)
    list(held.blocks())
    assert held.counts[0, 3] == 3.0 and held.counts[0, 5] == 4.0 and held.library[0, 0] == 7.0
    assert split.nnz == 3  # the matrix of the caller is as it was


def test_a_slot_forgets_its_former_row(posterior):
    held = batch(posterior, sparse.csr_matrix(COUNTS))
    held.begin(torch.zeros(len(COUNTS), posterior.prior.n_latent))
    held.load(torch.tensor([1, 3]), slice(0, 2))
    held.load(torch.tensor([3, 1]), slice(4, 6))
    np.testing.assert_array_equal(held.counts[[3, 1]], COUNTS[4:6])
    np.testing.assert_array_equal(held.library[[3, 1], 0], COUNTS[4:6].sum(1))


@pytest.mark.parametrize("in_search", [True, False])
def test_preconditioner_is_the_inverse_information_of_each_depth_and_landmark(posterior, in_search):
    deep = COUNTS[:4] * 10.0 ** np.arange(4)[:, None]
    prior = posterior.prior
    kind = prior.means[1].detach() + 0.1
    curvatures = Curvatures(posterior, kind[None])
    held = Batch(posterior, curvatures, deep.astype(np.float32), 4)
    vectors = torch.randn(4, posterior.prior.n_latent, generator=torch.Generator().manual_seed(0))
    starts = torch.stack([prior.means[2].detach(), prior.means[0].detach(), kind + 0.01, prior.means[2].detach()])
    held.begin(starts)
    held.load(torch.arange(4), slice(0, 4))
    landmarks = curvatures.nearest(starts).tolist()
    assert landmarks == [2, 0, len(prior.means), 2]
    found = held.precondition(vectors) if in_search else held.precondition_at_centre(vectors)
    for slot, landmark in enumerate(landmarks):
        at = curvatures.landmarks[landmark] if in_search else None
        information = posterior.curvature(torch.log(held.library[slot]).round().item(), at)
        torch.testing.assert_close(found[slot], torch.linalg.solve(information, vectors[slot]), rtol=1e-3, atol=1e-4)


def test_slots_that_stay_are_as_they_were(posterior):
    held = batch(posterior, COUNTS, n_slots=7)
    z = torch.randn(7, posterior.prior.n_latent, generator=torch.Generator().manual_seed(0))
    held.begin(z)
    held.load(torch.arange(7), slice(0, 7))
    value, grad = held(z)
    step, kept = held.precondition(grad), torch.tensor([6, 0, 3, 2, 5])
    held.keep(kept)
    assert held.n_slots == 5
    torch.testing.assert_close(held(z[kept]), (value[kept], grad[kept]))
    torch.testing.assert_close(held.precondition(grad[kept]), step[kept])


@pytest.mark.parametrize("n", [0, 1, 64, 100])
def test_nearest_landmarks_in_blocks(posterior, n):
    curvatures = Curvatures(posterior)
    z = 3.0 * torch.randn(n, posterior.prior.n_latent, generator=torch.Generator().manual_seed(0))
    distance = (z[:, None] - curvatures.landmarks).norm(dim=2)
    assert curvatures.nearest(z).tolist() == distance.argmin(1).tolist()


def test_evaluation_is_the_posterior(posterior):
    held = batch(posterior, COUNTS[:4])
    list(held.blocks())
    z = torch.randn(4, posterior.prior.n_latent, generator=torch.Generator().manual_seed(0))
    value, grad = held(z)
    x = torch.from_numpy(COUNTS[:4])
    expected = posterior(z, x, x.sum(1, keepdim=True))
    torch.testing.assert_close((value, grad), expected)
    torch.testing.assert_close(held(z)[1], grad, rtol=0, atol=0)  # memory that is used again leaves no trace
