"""Maps against plain sums over their weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from midgd.zeroshot import ZeroShotMaps

N_OUT, K, M, G = 6, 2, 4, 9


@pytest.fixture
def maps() -> ZeroShotMaps:
    rng = np.random.default_rng(0)
    dense = [rng.normal(size=s).astype(np.float32) for s in ((N_OUT, K), (K, M))]
    weights = [rng.normal(size=n).astype(np.float32) for n in (5, 7)]
    sd = np.arange(5 * M, dtype=np.float32).reshape(5, M)
    intercept = np.array([3, 3, 3, -90], np.float32)
    relative, gene = (
        (np.array([0, 1, 1, 5, 0]), np.array([0, 0, 2, 2, 2])),
        (rng.integers(0, G, 7), rng.integers(0, M, 7)),
    )
    return ZeroShotMaps(*dense, intercept, *relative, weights[0], *gene, weights[1], sd, 2 * sd)


def slow(maps: ZeroShotMaps, profile: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    answer = np.zeros((len(profile), len(maps)))
    for i in range(len(profile)):
        for m in range(len(maps)):
            answer[i, m] = maps.intercept[m]
            for k in range(K):
                answer[i, m] += maps.loadings[k, m] * sum(maps.basis[o, k] * outputs[i, o] for o in range(N_OUT))
            for o, of, w in zip(maps.relative, maps.relative_of, maps.relative_weight, strict=True):
                answer[i, m] += w * outputs[i, o] * (of == m)
            for g, of, w in zip(maps.gene, maps.gene_of, maps.gene_weight, strict=True):
                answer[i, m] += w * profile[i, g] * (of == m)
    return np.maximum(answer, 0)


def test_answer(maps):
    rng = np.random.default_rng(1)
    profile, outputs = rng.random((3, G), np.float32), rng.random((3, N_OUT), np.float32)
    found = maps(torch.from_numpy(profile), torch.from_numpy(outputs)).numpy()
    np.testing.assert_allclose(found, slow(maps, profile, outputs), rtol=1e-5)
    assert (found[:, 3] == 0).all()  # never below 0


@pytest.mark.parametrize("chosen", [[2, 0], [3], [0, 1, 2, 3], []])
def test_take(maps, chosen):
    rng = np.random.default_rng(2)
    profile, outputs = (torch.from_numpy(rng.random((3, n), np.float32)) for n in (G, N_OUT))
    part = maps.take(np.array(chosen, np.int64))
    np.testing.assert_allclose(part(profile, outputs), maps(profile, outputs)[:, chosen], rtol=1e-6)
    np.testing.assert_array_equal(part.cell_sd, maps.cell_sd[:, chosen])
