"""The compiled loops against the head, against torch and against numpy in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse, special

from midgd.infer import profiles
from midgd.infer.profiles import counts_profiles, shown_by
from midgd.nn import NegativeBinomialHead, ProfileReadout, ZeroInflatedNegativeBinomialHead, loops
from midgd.nn.loops import among, chosen_products, fill, has_repeats, loops_for

N, G = 6, 2_500  # more genes than a block
compiled = pytest.importorskip("midgd.nn._compiled")


@pytest.fixture(scope="module")
def head() -> NegativeBinomialHead:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = NegativeBinomialHead(3, G)
        torch.nn.init.normal_(head.log_dispersion, 0.0, 1.5)
    return head.requires_grad_(False)


def sample(depth: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, counts and libraries; the last row is empty."""
    rng = np.random.default_rng(1)
    logits = 2.0 * rng.normal(size=(N, G)) + 5.0 * rng.normal(size=(N, 1))
    share = np.exp(logits - logits.max(1, keepdims=True))
    counts = rng.poisson(depth * share / share.sum(1, keepdims=True) * rng.gamma(0.5, 2.0, (N, G)))
    counts[-1] = 0
    x = torch.tensor(counts, dtype=torch.float32)
    return torch.tensor(logits, dtype=torch.float32), x, x.sum(1, keepdim=True)


@given(st.floats(-87.0, 87.0, width=32))
def test_exponential(x):
    assert float(compiled.exp(np.float32(x))) == pytest.approx(np.exp(np.float64(np.float32(x))), rel=2e-7)


@given(st.floats(np.float32(1e-37), np.float32(1e37), width=32))
def test_logarithm(x):
    assert float(compiled.log(np.float32(x))) == pytest.approx(np.log(np.float64(x)), rel=2e-7, abs=1e-7)


@given(st.floats(0.0, np.float32(1e30), width=32))
def test_logarithm_of_one_and_more(x):
    inverse = np.float32(1.0) / (np.float32(1.0) + np.float32(x))
    assert float(compiled.log1p(np.float32(x), inverse)) == pytest.approx(np.log1p(np.float64(x)), rel=4e-7, abs=1e-37)


@given(st.floats(np.float32(1e-3), np.float32(1e7), width=32))
def test_digamma(y):
    found, expected = compiled.digamma(np.float32(y)), special.digamma(np.float64(np.float32(y)))
    assert float(found) == pytest.approx(expected, rel=1e-6, abs=2e-6)


@given(st.integers(0, 10_000_000), st.floats(np.float32(0.02), np.float32(1e3), width=32))
def test_ratio_of_gamma_functions(x, r):
    r = np.float32(r)
    expected = special.gammaln(x + np.float64(r)) - special.gammaln(x + 1.0)
    size = abs(np.float64(r) - 1.0) * np.log(x + 5.0)
    assert float(compiled.lgamma_ratio(np.float32(x), r)) == pytest.approx(expected, abs=5e-6 + 1e-6 * size)


@pytest.mark.parametrize("depth", [3.0, 2_000.0, 1e5, 1e8])
def test_log_likelihood_is_that_of_the_head(head, depth):
    logits, counts, library = sample(depth)
    share = torch.softmax(logits.double(), 1)
    expected, score = head.double().log_likelihood_and_score(counts.double(), share, library.double())
    gradient = score - share * score.sum(1, keepdim=True)
    head.float()
    value, found = loops_for(head).log_likelihood(logits.clone(), counts, library)
    torch.testing.assert_close(value.double(), expected, rtol=2e-6, atol=1e-3)
    torch.testing.assert_close(found.double(), gradient, rtol=1e-4, atol=1e-4 * (1.0 + gradient.abs().max().item()))


def test_damped_score_is_that_of_the_head(head):
    logits, counts, library = sample(2_000.0)
    share = torch.softmax(logits[0], 0)
    expected = head.damped_score(counts, share * library)
    found = loops_for(head).damped_score(counts, library, share, torch.empty_like(counts))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("depth", [3.0, 2_000.0, 1e6])
@pytest.mark.parametrize("n_present", [G, 700, 1])
def test_what_samples_show_is_the_same_without_loops(head, monkeypatch, depth, n_present):
    logits, counts, _ = sample(depth)
    genes = None if n_present == G else torch.randperm(G, generator=torch.Generator().manual_seed(2))[:n_present]
    counts = counts if genes is None else counts[:, genes]
    one, other = (torch.full_like(logits, torch.nan) for _ in range(2))
    shown, rows = shown_by(head, logits, counts, genes, one), torch.tensor([N - 1, 0])
    own = counts_profiles(head, logits, counts, shown.molecules, genes, rows, other)
    monkeypatch.setattr(profiles, "loops_for", lambda head: None)
    expected = shown_by(head.double(), logits.double(), counts.double(), genes)
    profile = counts_profiles(head, logits.double(), counts.double(), expected.molecules, genes, rows)
    head.float()
    for found, known in zip((own, *shown), (profile, *expected), strict=True):
        torch.testing.assert_close(found.double(), known, rtol=2e-5, atol=5e-5)


def test_profile_among_some_genes():
    readout = ProfileReadout(G, 3, 2, 300).requires_grad_(False)
    readout.core_genes.copy_(torch.randperm(G)[:300])
    profile = 9.0 * torch.rand(N, G)
    torch.testing.assert_close(
        among(profile, readout.core_genes, 1e3), readout.core_profile(profile.double(), 1e3).float()
    )
    profile[0, readout.core_genes] = 0.0
    assert (readout.core_profile(profile, 1e3)[0] == 0).all()


@pytest.mark.parametrize("with_numba", [True, False])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_sparse_rows_are_written_into_slots(monkeypatch, with_numba, index):
    if not with_numba:
        monkeypatch.setattr(loops, "_compiled", lambda: None)
    matrix = sparse.random(9, 40, 0.3, "csr", np.float32, np.random.default_rng(0))
    matrix.indices, matrix.indptr = matrix.indices.astype(index), matrix.indptr.astype(index)
    counts = np.full((5, 40), 7.0, np.float32)
    library = fill(matrix, slice(2, 5), np.array([4, 0, 3]), counts)
    np.testing.assert_array_equal(counts[[4, 0, 3]], matrix[2:5].toarray())
    assert (counts[[1, 2]] == 7.0).all()
    np.testing.assert_allclose(library, matrix[2:5].toarray().sum(1), rtol=1e-6)


@pytest.mark.parametrize("with_numba", [True, False])
def test_entries_of_one_gene_add_up_and_are_found(monkeypatch, with_numba):
    if not with_numba:
        monkeypatch.setattr(loops, "_compiled", lambda: None)
    parts = np.array([1.0, 2.0, 4.0, 8.0], np.float32), np.array([3, 5, 3, 3]), np.array([0, 3, 4])
    repeated, unordered = (
        sparse.csr_matrix(parts, (2, 9)),
        sparse.csr_matrix((parts[0], [5, 3, 1, 3], parts[2]), (2, 9)),
    )
    counts = np.zeros((2, 9), np.float32)
    np.testing.assert_array_equal(fill(repeated, slice(0, 2), np.arange(2), counts), [7.0, 8.0])
    assert counts[0, 3] == 5.0 and counts[0, 5] == 2.0 and counts[1, 3] == 8.0
    assert has_repeats(repeated) and has_repeats(unordered) is not with_numba


def test_products_with_chosen_matrices(monkeypatch):
    vectors, chosen = torch.randn(N, 7), torch.tensor([2, 0, 2, 1, 1, 0])[torch.arange(N) % 6]
    matrices = torch.randn(3, 7, 7)
    expected = torch.stack([vector @ matrices[i] for vector, i in zip(vectors, chosen, strict=True)])
    torch.testing.assert_close(chosen_products(vectors, matrices, chosen), expected)
    monkeypatch.setattr(loops, "_compiled", lambda: None)
    torch.testing.assert_close(chosen_products(vectors, matrices, chosen), expected)


def test_other_likelihoods_precisions_and_a_broken_numba_are_left_to_torch(head, monkeypatch):
    assert loops_for(head) is not None
    assert loops_for(head.double()) is None
    head.float()
    assert loops_for(ZeroInflatedNegativeBinomialHead(3, G)) is None
    monkeypatch.setattr(loops, "_compiled", lambda: None)
    assert loops_for(head) is None and among(torch.zeros(2, 3), torch.tensor([1]), 1.0) is None
