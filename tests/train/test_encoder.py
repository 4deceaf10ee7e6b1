"""The encoder comes close to the optimum it was trained on, on samples it has not seen, with any genes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from midgd.infer import InferenceOptions, LatentInference, LogPosterior
from midgd.nn import LatentEncoder
from midgd.train import EncoderOptions, fit_encoder
from midgd.train.encoder import _lost

OPTIONS = EncoderOptions(depths=(None, 3_000.0, 500.0), few_genes=200, n_hidden=32, max_epochs=60, batch_size=32)


@pytest.fixture(scope="module")
def encoder(toy_reference, toy_pairs) -> LatentEncoder:
    return fit_encoder(toy_reference.decoder, toy_reference.prior, toy_pairs.mosaic(toy_pairs.train), OPTIONS)


@pytest.mark.parametrize("n_genes", [600, 150])
@pytest.mark.parametrize("depth", [None, 1_000.0])
def test_starts_are_near_and_cost_no_evaluations(encoder, toy_reference, toy_pairs, n_genes, depth):
    rng = np.random.default_rng(3)
    genes = np.sort(rng.choice(600, n_genes, replace=False))
    counts = toy_pairs.mrna[~toy_pairs.train][:, genes]
    if depth is not None:
        counts = rng.poisson(counts * depth / counts.sum(1, keepdims=True)).astype(np.float32)
    posterior = LogPosterior(toy_reference.decoder, toy_reference.prior, torch.from_numpy(genes))
    x = torch.from_numpy(counts)
    ends = [LatentInference(posterior, InferenceOptions(), start)(counts) for start in (encoder, None)]
    best = torch.maximum(ends[0].value, ends[1].value)
    z = LatentInference(posterior, InferenceOptions(max_steps=0), encoder)(counts).z
    centre = posterior.prior.mean.expand(len(x), -1)
    value, at_centre = (posterior(point, x, x.sum(1, keepdim=True))[0] for point in (z, centre))
    assert (best - value).median() < 0.1 * (best - at_centre).median()
    assert ends[0].n_evaluations.float().mean() <= ends[1].n_evaluations.float().mean() + 0.4
    assert (ends[0].value >= best - 0.1).float().mean() > 0.9


def test_is_repeatable_and_leaves_the_global_generator_alone(encoder, toy_reference, toy_pairs):
    state = torch.get_rng_state()
    again = fit_encoder(toy_reference.decoder, toy_reference.prior, toy_pairs.mosaic(toy_pairs.train), OPTIONS)
    assert torch.equal(torch.get_rng_state(), state)
    for one, two in zip(encoder.state_dict().values(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(one, two)


def test_sizes_rebuild_it(encoder):
    LatentEncoder(**encoder.sizes).load_state_dict(encoder.state_dict())


def test_what_is_lost_and_its_gradient():
    rng = torch.Generator().manual_seed(0)
    error, root = torch.randn(6, 4, generator=rng).requires_grad_(), torch.randn(3, 4, 4, generator=rng)
    curvatures, which = root @ root.mT, torch.tensor([0, 2, 1, 1, 0, 2])
    expected = 0.5 * torch.einsum("ni,nij,nj->n", error, curvatures[which], error)
    found = _lost(error, curvatures, which)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(x.square().sum(), error, retain_graph=True)[0] for x in (found, expected)]
    torch.testing.assert_close(*gradients)
