from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scanpy as sc
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import midgd
from midgd.datasets._demo import counts_from_log


@pytest.fixture(scope="module")
def demo():
    return midgd.datasets.pbmc68k_counts()


def test_demo_is_raw_counts(demo):
    assert demo.shape == (700, 765)
    assert isinstance(demo.X, sparse.csr_matrix) and demo.X.dtype == np.float32
    assert np.array_equal(demo.X.data, np.round(demo.X.data)) and demo.X.data.min() == 1
    assert {"bulk_labels", "louvain"} <= set(demo.obs) and demo.obsm["X_umap"].shape == (700, 2)
    assert {"CD14+ Monocyte", "CD56+ NK"} <= set(demo.obs["bulk_labels"])


def test_demo_counts_agree_with_the_cell_depths(demo):
    # Independent of the smallest value: scanpy normalised to 10,000 by the UMIs of the whole cell.
    raw = sc.datasets.pbmc68k_reduced().raw.X.toarray().astype(float)
    expected = np.expm1(raw) * demo.obs["n_counts"].to_numpy(float)[:, None] / 1e4
    deviation = np.abs(demo.X.toarray() - expected).max()
    assert deviation < 0.2
    assert np.array_equal(np.round(expected), demo.X.toarray())


@given(st.lists(st.integers(0, 300), min_size=1, max_size=30), st.integers(500, 50_000))
def test_round_trip(counts, depth):
    counts = np.array([[1, *counts], [0] * (len(counts) + 1)], float)
    logged = np.log1p(counts * 1e4 / depth)
    assert np.array_equal(counts_from_log(sparse.csr_matrix(logged)).toarray(), counts)


def test_other_values_are_refused():
    with pytest.raises(ValueError, match=r"Cell 1: .*away from an integer"):
        counts_from_log(sparse.csr_matrix(np.log1p([[1.0, 2.0], [1.0, 1.5]])))


def test_import_is_light():
    code = (
        "import sys, midgd.datasets as d; dir(d); print(*{'scanpy', 'mudata', 'pooch', 'requests'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = midgd.datasets.nothing
