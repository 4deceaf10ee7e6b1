"""The number of genes seen against draws from the model, and what it does to an inferred profile."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from midgd.infer import Predictor
from midgd.infer.diversity import CELL, TISSUE, Diversity
from midgd.nn import NegativeBinomialHead, ProfileReadout

G = 400
RNG = np.random.default_rng(0)
SHARE = RNG.dirichlet(np.full(G, 0.5))


@pytest.fixture
def head() -> NegativeBinomialHead:
    torch.manual_seed(0)
    head = NegativeBinomialHead(3, G)
    torch.nn.init.normal_(head.log_dispersion, 0.5, 1.0)
    return head.requires_grad_(False)


def draws(head: NegativeBinomialHead, share: np.ndarray, molecules: float, genes: np.ndarray) -> torch.Tensor:
    """Negative binomial counts of some genes: Poisson with Gamma rates."""
    r = head.dispersion.numpy()[genes]
    rate = RNG.gamma(r, molecules * share[genes] / r, (500, len(genes)))
    return torch.tensor(RNG.poisson(rate), dtype=torch.float32)


@pytest.mark.parametrize("molecules", [300.0, 3_000.0, 50_000.0])
@pytest.mark.parametrize("n_genes", [G, 150])
def test_expects_what_the_model_draws(head, molecules, n_genes):
    genes = np.sort(RNG.permutation(G)[:n_genes])
    diversity = Diversity(head, torch.tensor(np.log(SHARE), dtype=torch.float32)[genes], torch.tensor(genes))
    counts = draws(head, SHARE, molecules, genes)
    library, seen = counts.sum(1).numpy(), (counts > 0).sum(1).numpy()
    position = np.log(library) / 0.25
    expected = np.interp(position, np.arange(80), diversity.expected.numpy())
    assert (seen / expected).mean() == pytest.approx(1.0, abs=0.03)
    found = diversity(counts).numpy()
    np.testing.assert_allclose(found, np.clip((seen / expected - CELL) / (TISSUE - CELL), 0, 1), atol=2e-3)


def test_a_cell_of_few_genes_is_told_from_a_tissue(head):
    diversity = Diversity(head, torch.tensor(np.log(SHARE), dtype=torch.float32), torch.arange(G))
    few = np.where(RNG.random(G) < 0.4, SHARE, 0.0)
    tissue, cell = (draws(head, share / share.sum(), 3_000.0, np.arange(G)) for share in (SHARE, few))
    assert diversity(tissue).mean() > 0.9 and (diversity(cell) == 0).all()
    assert diversity(torch.zeros(1, G)) == 0


def test_counts_answer_for_tissues_and_not_for_cells_or_panels(toy_reference, toy_pairs):
    """Whatever the map from counts says: where it has no say nothing changes."""
    readout = toy_reference.readout
    louder = ProfileReadout(**readout.sizes)
    louder.load_state_dict(readout.state_dict())
    louder.requires_grad_(False)
    for maps in filter(None, (louder.wide, louder.core)):
        assert maps.counts is not None
        maps.counts.intercepts.add_(1.0)
    counts = toy_pairs.mrna[:20].astype(np.float32)
    rate = counts / counts.sum(1, keepdims=True)
    shallow = np.random.default_rng(0).poisson(2_000 * rate).astype(np.float32)
    cells = shallow * (np.random.default_rng(1).random(600) < 0.3)
    change = {}
    for name, query, genes in (
        ("tissues", shallow, np.arange(600)),
        ("cells", cells, np.arange(600)),
        ("panel", shallow, np.arange(100)),
    ):
        shares = [
            Predictor(dataclasses.replace(toy_reference, readout=r), genes)(query[:, genes]).share
            for r in (readout, louder)
        ]
        change[name] = np.abs(np.diff(np.log1p(1e6 * np.stack(shares)), axis=0)).max()
    assert change["tissues"] > 0.1
    assert change["cells"] == change["panel"] == 0.0
