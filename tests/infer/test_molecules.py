"""Counts that cannot be molecules are scaled down; molecules are left as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from midgd.infer import LogPosterior, Predictor
from midgd.infer.molecules import FEWEST_GENES, MOLECULES, TIMES_MORE, MoleculeLimit, scaled
from midgd.infer.units import in_units

READS = 150  # of a molecule, about what Smart-seq2 has


@pytest.fixture(scope="module")
def posterior(toy_reference) -> LogPosterior:
    return LogPosterior(toy_reference.decoder, toy_reference.prior, torch.arange(600))


@pytest.fixture(scope="module")
def limit(posterior) -> MoleculeLimit:
    return MoleculeLimit(posterior)


@pytest.fixture(scope="module")
def molecules(toy_pairs) -> np.ndarray:
    """Cells of 300 molecules of held-out samples."""
    bulk = toy_pairs.mrna[~toy_pairs.train]
    return np.random.default_rng(3).poisson(300 * bulk / bulk.sum(1, keepdims=True)).astype(np.float32)


def reads_of(molecules: np.ndarray) -> np.ndarray:
    """Each molecule read some times, as chance has it."""
    return np.random.default_rng(4).negative_binomial(2 * molecules + 1e-9, 2 / (2 + READS)).astype(np.float32)


def test_number_of_genes_is_that_of_drawn_samples(posterior, limit):
    share = posterior.log_share(posterior.prior.means).detach().exp().double().numpy()
    rng = np.random.default_rng(0)
    for k, n in ((2, 10.0), (5, 316.0)):
        rates = np.repeat(share, 400, 0)
        drawn = posterior.head.draw(rates, np.full((len(rates), 1), n), rng)
        found = (drawn > 0).sum(1).reshape(len(share), 400).mean(1)
        assert np.exp(limit.log_genes[k]) == pytest.approx(np.quantile(found, FEWEST_GENES), rel=0.05)
        assert MOLECULES[k] == pytest.approx(n, rel=0.01)


def test_molecules_are_left_as_they_are(limit, molecules, toy_pairs):
    assert (limit.kept(molecules) == 1.0).all()
    assert scaled(molecules, limit.kept(molecules)) is molecules
    assert (limit.kept(toy_pairs.mrna.astype(np.float32)) == 1.0).all()


def test_reads_are_brought_near_the_number_of_molecules(limit, molecules):
    reads = reads_of(molecules)
    left = scaled(reads, limit.kept(reads)).sum(1) / molecules.sum(1)
    assert (reads.sum(1) / molecules.sum(1) > READS / 2).all()
    assert ((left > 0.5) & (left < 3 * TIMES_MORE)).all()


def test_reads_get_the_answer_of_their_molecules(toy_reference, molecules):
    predictor = Predictor(toy_reference, np.arange(600))
    of_molecules, of_reads = predictor(molecules), predictor(reads_of(molecules))
    taken_for_molecules = Predictor(toy_reference, np.arange(600), all_molecules=True)(reads_of(molecules))

    def error(prediction):
        return np.abs(in_units(prediction.share, "log1p_cpm") - in_units(of_molecules.share, "log1p_cpm")).mean()

    assert error(of_reads) < 0.8 * error(taken_for_molecules)
    assert (of_molecules.counts_kept == 1.0).all() and (of_reads.counts_kept < 0.2).all()
    # Evidence is that of a cell again, not that of bulk.
    assert (
        np.median(of_reads.evidence / of_molecules.evidence)
        < 4
        < np.median(taken_for_molecules.evidence / of_molecules.evidence)
    )


def test_answers_are_those_of_any_multiple(toy_reference, molecules):
    predictor = Predictor(toy_reference, np.arange(600))
    many, more = predictor(molecules * 1_000), predictor(molecules * 7_000)
    np.testing.assert_allclose(many.share, more.share, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("convert", [sparse.csr_matrix, lambda x: x.astype(np.float64), lambda x: x.astype(np.int64)])
def test_storage_does_not_matter(limit, molecules, convert):
    reads = reads_of(molecules)
    expected = scaled(reads, limit.kept(reads))
    found = scaled(convert(reads), limit.kept(convert(reads)))
    dense = found.toarray() if sparse.issparse(found) else found
    np.testing.assert_allclose(dense, expected, rtol=1e-6)
    assert dense.dtype == np.float32


def test_stored_zeros_are_no_genes(limit, molecules):
    reads = reads_of(molecules)
    stored = sparse.csr_matrix(np.ones_like(reads))
    stored.data = reads.ravel().copy()
    np.testing.assert_array_equal(limit.kept(stored), limit.kept(reads))


def test_the_matrix_of_the_caller_is_as_it_was(limit, molecules):
    reads = sparse.csr_matrix(reads_of(molecules))
    before = reads.copy()
    scaled(reads, limit.kept(reads))
    assert (reads != before).nnz == 0


@given(
    library=st.floats(0, 1e9),
    n_genes=st.integers(0, 600),
    more=st.floats(1, 1e3),
)
@settings(max_examples=50, deadline=None)
def test_more_counts_never_become_more_molecules(limit, library, n_genes, more):
    row = np.zeros((2, 600))
    row[:, :n_genes] = library / max(n_genes, 1)
    row[1] *= more
    kept = limit.kept(row)
    assert ((kept > 0) & (kept <= 1)).all()
    assert kept[1] <= kept[0]
    assert kept[1] * row[1].sum() >= kept[0] * row[0].sum() * (1 - 1e-9)


def test_rows_without_counts_are_whole(limit):
    assert (limit.kept(np.zeros((2, 600))) == 1.0).all()
    assert (limit.kept(sparse.csr_matrix((2, 600), dtype=np.float32)) == 1.0).all()
