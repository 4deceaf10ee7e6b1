"""Sums over neighbours, against loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import midgd
from midgd.tl._pool_neighbors import pooled_counts

sc = pytest.importorskip("scanpy")


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 4), st.booleans())
def test_sums_are_those_of_a_loop(seed, k, with_samples):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.0, (12, 5)).astype(np.float32)
    distances = sparse.random(
        12, 12, density=0.6, random_state=seed, data_rvs=lambda n: rng.permutation(n) + 1.0
    ).tolil()
    for i in range(12):
        distances[i, (i + np.arange(1, 5)) % 12] = rng.permutation(4) + 100.0
    distances = distances.tocsr()
    sample = rng.integers(0, 3, 12) if with_samples else None
    found = pooled_counts(sparse.csr_matrix(counts), distances, k, sample).toarray()
    for i in range(12):
        others = [j for j in distances[i].indices if j != i and (sample is None or sample[i] == sample[j])]
        nearest = sorted(others, key=lambda j: distances[i, j])[:k]
        ties = sorted(distances[i, j] for j in others)
        if len(set(ties)) == len(ties):
            np.testing.assert_array_equal(found[i], counts[i] + counts[np.array(nearest, int)].sum(0))


def test_the_graph_of_scanpy_is_used(toy_query):
    sc.pp.neighbors(toy_query, n_neighbors=6, use_rep="X")
    midgd.tl.pool_neighbors(toy_query)
    x, distances = toy_query.X.toarray(), toy_query.obsp["distances"]
    slow = np.stack([x[i] + x[distances[i].indices].sum(0) for i in range(toy_query.n_obs)])
    np.testing.assert_array_equal(toy_query.layers["pooled"].toarray(), slow)
    with pytest.raises(ValueError, match="fewer than n_neighbors=20"):
        midgd.tl.pool_neighbors(toy_query, 20, key_added="more")
    assert "more" not in toy_query.layers


def test_without_a_graph_neighbours_are_of_the_same_cluster_and_sample(toy_query):
    before = toy_query.X.copy()
    toy_query.obs["donor"] = ["d1", "d2"] * 30
    midgd.tl.pool_neighbors(toy_query, 4, sample_key="donor")
    assert (toy_query.X != before).nnz == 0 and "neighbors" not in toy_query.uns
    changed = toy_query.copy()
    changed.X[(toy_query.obs["donor"] == "d2").to_numpy()] *= 2
    midgd.tl.pool_neighbors(changed, 4, sample_key="donor")
    own = (toy_query.obs["donor"] == "d1").to_numpy()
    np.testing.assert_array_equal(changed.layers["pooled"][own].toarray(), toy_query.layers["pooled"][own].toarray())
    assert toy_query.layers["pooled"].sum() > 3 * toy_query.X.sum()


def test_inference_takes_the_layer(toy_query, toy_reference):
    midgd.tl.pool_neighbors(toy_query, 5)
    midgd.tl.infer_mirna(toy_query, toy_reference, layer="pooled", level="stem-loop")
    pooled = toy_query.obsm["mirna"].copy()
    midgd.tl.infer_mirna(toy_query, toy_reference, level="stem-loop")
    truth = np.log1p(1e6 * toy_query.obsm["truth"])
    spread = (pooled - pooled.groupby(toy_query.obs["cluster"]).transform("mean")).to_numpy().std()
    alone = toy_query.obsm["mirna"] - toy_query.obsm["mirna"].groupby(toy_query.obs["cluster"]).transform("mean")
    assert spread < alone.to_numpy().std()  # what the docstring warns of
    assert np.corrcoef(pooled.to_numpy().ravel(), truth.to_numpy().ravel())[0, 1] > 0.8


def test_bad_input(toy_query):
    with pytest.raises(ValueError, match="n_neighbors=60 must be from 1 to 59"):
        midgd.tl.pool_neighbors(toy_query, 60)
    with pytest.raises(KeyError, match="sample_key='donor'"):
        midgd.tl.pool_neighbors(toy_query, sample_key="donor")
    toy_query.X = toy_query.X.log1p()
    with pytest.raises(ValueError, match="log-normalised"):
        midgd.tl.pool_neighbors(toy_query)
    assert "pooled" not in toy_query.layers
