"""The lean log posterior against the full heads with autograd."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from midgd.infer import LogPosterior
from midgd.nn import Decoder, DecoderSpec, GaussianMixture

G, D = 25, 4


def model(kind: str = "nb", **settings) -> tuple[Decoder, GaussianMixture]:
    torch.manual_seed(0)
    decoder = Decoder(DecoderSpec(n_latent=D, n_hidden=6, likelihoods={"mrna": kind}, **settings), {"mrna": G})
    prior = GaussianMixture(3, D)
    for parameter in [*decoder.parameters(), *prior.parameters()]:
        torch.nn.init.normal_(parameter, 0.0, 0.7)
    return decoder.double().requires_grad_(False), prior.double().requires_grad_(False)


def sample(scale: float, n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    counts = rng.poisson(scale * rng.gamma(0.5, 2.0, (n, G)))
    counts[:, 0] += 1
    return torch.randn(n, D, generator=torch.Generator().manual_seed(0)).double(), torch.tensor(counts).double()


def full(decoder, prior, z, counts, genes):
    """Sum of everything, constants and all, through the heads."""
    log_mean = counts.sum(1, keepdim=True).log() + decoder.log_share(z, "mrna", genes)
    return decoder.head("mrna").log_prob(counts, log_mean, genes).sum(1) + prior.log_prob(z)


@pytest.mark.parametrize("kind", ["nb", "zinb"])
@pytest.mark.parametrize("scale", [0.3, 30.0, 1e5])
@pytest.mark.parametrize("genes", [list(range(G)), [3, 20, 7, 8, 0]])
def test_equals_the_full_log_probability_but_for_a_constant(kind, scale, genes):
    decoder, prior = model(kind)
    z, counts = sample(scale)
    index = torch.tensor(genes)
    counts = counts[:, index] + torch.eye(len(counts), len(genes))  # no empty row
    posterior = LogPosterior(decoder, prior, index)
    other = z.flip(0).requires_grad_()
    library = counts.sum(1, keepdim=True)
    value, grad = posterior(other, counts, library)
    reference = full(decoder, prior, other, counts, index)
    (expected_grad,) = torch.autograd.grad(reference.sum(), other)
    torch.testing.assert_close(grad, expected_grad, rtol=1e-8, atol=1e-8)
    constant = reference - value
    again = full(decoder, prior, z, counts, index) - posterior(z, counts, library)[0]
    rounding = 1e-9 * value.abs().max().item() + 1e-8
    torch.testing.assert_close(again, constant.detach(), rtol=0, atol=rounding)


@pytest.mark.parametrize("kind", ["nb", "zinb"])
def test_gradient_equals_finite_differences(kind):
    posterior = LogPosterior(*model(kind), torch.arange(G))
    z, counts = sample(3.0)
    assert kind == "nb" or (counts == 0).any()
    library, step = counts.sum(1, keepdim=True), 1e-6
    _, grad = posterior(z, counts, library)
    for i in range(D):
        shift = torch.zeros(D).double()
        shift[i] = step
        slope = (posterior(z + shift, counts, library)[0] - posterior(z - shift, counts, library)[0]) / (2 * step)
        torch.testing.assert_close(grad[:, i], slope, rtol=1e-6, atol=1e-6)


def test_zero_inflation_matters_only_where_counts_are_zero():
    decoder, prior = model("zinb")
    posterior = LogPosterior(decoder, prior, torch.arange(G))
    plain, _ = model("nb")
    own = decoder.state_dict()
    plain.load_state_dict({name: own[name] for name in plain.state_dict()})
    plain = LogPosterior(plain, prior, torch.arange(G))
    z, counts = sample(3.0)
    for observed, same in ((counts + 1, True), (counts, False)):
        library = observed.sum(1, keepdim=True)
        values = [p(z, observed, library) for p in (posterior, plain)]
        assert torch.allclose(values[0][0], values[1][0]) is same
        assert torch.allclose(values[0][1], values[1][1]) is same


@pytest.mark.parametrize("scale", [1.0, 1e4, 1e7])
def test_float32_is_close_to_its_float64_version(scale):
    decoder, prior = model()
    z, counts = sample(scale)
    library = counts.sum(1, keepdim=True)
    rough = LogPosterior(decoder.float(), prior.float(), torch.arange(G))
    exact = rough.double()
    assert rough.head.weight.dtype == torch.float32  # the copy left the original as it was
    expected_value, expected_grad = exact(z, counts, library)
    value, grad = rough(z.float(), counts.float(), library.float())
    assert expected_value.dtype == torch.float64
    torch.testing.assert_close(value.double(), expected_value, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(grad.double(), expected_grad, rtol=1e-3, atol=5e-3)


def test_empty_rows_have_the_prior_alone():
    decoder, prior = model()
    z = torch.randn(3, D).double()
    value, grad = LogPosterior(decoder, prior, torch.arange(G))(
        z, torch.zeros(3, G).double(), torch.zeros(3, 1).double()
    )
    expected_value, expected_grad = prior.log_prob_and_grad(z)
    torch.testing.assert_close(value, expected_value)
    torch.testing.assert_close(grad, expected_grad)


def test_log_share_is_that_of_the_decoder_over_the_genes_present():
    decoder, prior = model()
    genes, z = torch.tensor([9, 1, 5]), torch.randn(3, D).double()
    posterior = LogPosterior(decoder, prior, genes)
    torch.testing.assert_close(posterior.log_share(z), decoder.log_share(z, "mrna", genes))
    assert posterior.prior.n_latent == D


def test_curvature_is_the_expected_negative_hessian_of_a_linear_decoder():
    torch.manual_seed(0)
    decoder = Decoder(DecoderSpec(n_latent=D, n_hidden=0), {"mrna": G}).double().requires_grad_(False)
    prior = GaussianMixture(1, D).double().requires_grad_(False)
    torch.nn.init.normal_(decoder.head("mrna").weight, 0.0, 0.5)
    posterior, library = LogPosterior(decoder, prior, torch.arange(G)), 700.0
    information = posterior.curvature(math.log(library))
    torch.testing.assert_close(posterior.curvature(math.log(library), posterior.prior.means[0].detach()), information)
    centre = prior.means.detach().clone()
    mean = library * posterior.log_share(centre).exp()
    # at counts equal to their mean the observed information is the expected one, but for terms of the softmax's
    # own curvature, which vanish with the residual
    step, hessian = 1e-5, torch.zeros(D, D).double()
    for i in range(D):
        shift = torch.zeros(1, D).double()
        shift[0, i] = step
        grads = [posterior(centre + s * shift, mean, torch.tensor([[library]]).double())[1][0] for s in (1, -1)]
        hessian[i] = (grads[0] - grads[1]) / (2 * step)
    torch.testing.assert_close(information, -hessian, rtol=1e-5, atol=1e-4)


class ByElement(LogPosterior):
    def __call__(self, z, counts, library, work=None):
        return z[:, 0] * counts[:, 0], z / library


class ByCompany(LogPosterior):
    def __call__(self, z, counts, library, work=None):
        value, grad = super().__call__(z, counts, library, work)
        return value, grad * (1.0 + 1e-15 * len(z))


@pytest.mark.parametrize("n", [5, 8, 64])
@pytest.mark.parametrize(("kind", "same"), [(ByElement, True), (ByCompany, False)])
def test_whether_digits_depend_on_other_rows_is_seen(kind, same, n):
    assert kind(*model("nb"), torch.arange(G)).same_in_fewer_rows(n) is same


def test_each_size_and_precision_is_tried_once():
    tried: list[tuple[torch.dtype, int]] = []

    class Counted(ByElement):
        def __call__(self, z, counts, library, work=None):
            tried.append((z.dtype, len(z)))
            return super().__call__(z, counts, library, work)

    decoder, prior = model("nb")
    single = Counted(copy.deepcopy(decoder).float(), copy.deepcopy(prior).float(), torch.arange(G))
    for posterior in (single, single, single.double(), Counted(decoder, prior, torch.arange(G))):
        assert posterior.same_in_fewer_rows(48)
    assert tried == [(dtype, n) for dtype in (torch.float32, torch.float64) for n in (48, 13, 4, 4)]
