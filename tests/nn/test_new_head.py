"""A likelihood of one's own is one small class: trained, inferred, saved, and compared with a search by brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import poisson

from midgd.infer import InferenceOptions, Predictor
from midgd.infer.domain import misfit
from midgd.nn import HEADS, CountHead, DecoderSpec
from midgd.reference import Reference, load
from midgd.train import ReadoutOptions, TrainOptions, fit, fit_readout


class OwnHead(CountHead):
    """Poisson, as a user would write it: with the two methods that have no default."""

    def log_prob(self, counts, log_mean, measured=None):
        """log Poisson(counts; mean)."""
        return counts * log_mean - log_mean.exp() - torch.lgamma(counts + 1.0)

    def variance_ratio(self, mean, measured=None):
        """1."""
        return torch.ones_like(mean)


GENES = np.sort(np.random.default_rng(5).permutation(600)[:520])
BOTH = {"mrna": "own", "mirna": "own"}


@pytest.fixture(scope="module", autouse=True)
def registered():
    HEADS["own"] = OwnHead
    yield
    del HEADS["own"]


@pytest.fixture(scope="module")
def reference(toy_pairs) -> Reference:
    """Trained on shallow versions of the toy pairs, with a readout of stem-loops."""
    train, rng = toy_pairs.mosaic(toy_pairs.train).only("mrna", "mirna"), np.random.default_rng(0)
    for modality in train.modalities.values():
        counts = modality.counts
        modality.counts[:] = rng.poisson(20_000 * counts / counts.sum(1, keepdims=True))
    spec = DecoderSpec(n_latent=4, n_hidden=12, likelihoods=BOTH)
    fitted = fit(train, spec, n_components=3, options=TrainOptions(max_epochs=25, batch_size=16))
    assert fitted.history["objective"][-1] < fitted.history["objective"][0]
    readout, _ = fit_readout(fitted.decoder, fitted.prior, train, ReadoutOptions(rank=12, noise=None))
    card = {name: value for name, value in toy_pairs.card.items() if name != "matures"}
    return Reference(card, fitted.decoder, fitted.prior, readout)


@pytest.fixture(scope="module")
def counts(toy_pairs) -> np.ndarray:
    """Held-out samples at 2,000 molecules."""
    held_out = toy_pairs.mrna[~toy_pairs.train][:6]
    shallow = np.random.default_rng(1).poisson(2_000 * held_out / held_out.sum(1, keepdims=True))
    return shallow[:, GENES].astype(np.float32)


def by_brute_force(reference: Reference, x: np.ndarray) -> tuple[float, np.ndarray]:
    """Best log posterior and latent of one sample: scipy's BFGS on numerical gradients, from every component."""
    decoder, prior = reference.decoder, reference.prior
    one = {name: value.double().numpy() for name, value in decoder.state_dict().items()}

    def log_share(z):
        hidden = z
        for layer in (0, 2):
            hidden = one[f"trunk.{layer}.weight"] @ hidden + one[f"trunk.{layer}.bias"]
            hidden = hidden / (1.0 + np.exp(-hidden))  # silu
        logits = (np.concatenate([z, hidden]) @ one["heads.mrna.weight"] + one["heads.mrna.bias"])[GENES]
        return logits - np.log(np.exp(logits).sum())

    def negative(z):
        likelihood = poisson.logpmf(x, x.sum() * np.exp(log_share(z))).sum()
        deviation = z - prior.means.double().numpy()
        neg_log_var = prior.neg_log_var.double().numpy()
        component = 0.5 * (neg_log_var - np.log(2 * np.pi) - deviation**2 * np.exp(neg_log_var)).sum(1)
        return -likelihood - logsumexp(component + torch.log_softmax(prior.weight_logits.double(), 0).numpy())

    found = [minimize(negative, mean.double().numpy(), tol=1e-9) for mean in prior.means]
    best = min(found, key=lambda result: result.fun)
    return -best.fun, best.x


def test_inference_finds_the_optimum_that_brute_force_finds(reference, counts):
    infer = Predictor(reference, GENES, options=InferenceOptions(tolerance=1e-8)).infer
    latents = infer(counts.astype(np.float32)).z.double()
    assert bool(infer(counts).converged.all())
    for x, z in zip(counts, latents, strict=True):
        value, best = by_brute_force(reference, x)
        ours, _ = infer.exact_posterior(z[None], torch.tensor(x[None]).double(), torch.tensor([[x.sum()]]).double())
        # `log_likelihood_and_score` may leave out constants; that of the base class leaves out none
        assert ours.item() == pytest.approx(value, abs=1e-3)
        np.testing.assert_allclose(z, best, atol=5e-3)


def test_counts_of_a_poisson_gene_say_nothing_beyond_the_latent(reference, counts):
    predicted = Predictor(reference, GENES)(counts)
    assert (predicted.evidence == 0).all() and (predicted.weights[:, 0] == 0).all()
    head, share = reference.decoder.head("mrna"), torch.full((2, 3), 1 / 3)
    x = torch.tensor([[9.0, 0.0, 0.0], [3.0, 3.0, 3.0]])
    expected = np.log([(36 + 9 + 9) / 9, 1e-9])
    np.testing.assert_allclose(misfit(head, share.log(), x, torch.arange(3)), expected, rtol=1e-5)


def test_it_predicts_held_out_mirna(reference, toy_pairs):
    held_out = ~toy_pairs.train
    predicted = Predictor(reference, GENES)(toy_pairs.mrna[held_out][:, GENES]).share
    truth = toy_pairs.mirna[held_out] / toy_pairs.mirna[held_out].sum(1, keepdims=True)
    error = np.square(np.log(predicted + 1e-5) - np.log(truth + 1e-5)).mean()
    assert error < 0.5 * np.square(np.log(truth + 1e-5) - np.log(truth + 1e-5).mean(0)).mean()


def test_it_is_saved_and_loaded(reference, counts, tmp_path):
    again = load(reference.save(tmp_path / "poisson"))
    found, expected = (Predictor(r, GENES)(counts).share for r in (again, reference))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_its_samples_scatter_as_it_says(reference):
    """Variance over mean of the counts of new samples around their decoded means: 1, and 3 where the head says 3."""
    for ratio in (1.0, 3.0):
        head = reference.decoder.head("mrna")
        head.variance_ratio = lambda mean, measured=None, ratio=ratio: torch.full_like(mean, ratio)
        try:
            drawn = reference.sample(200, depth=20_000.0, seed=1)
        finally:
            del head.variance_ratio
        share = reference.decoder.log_share(torch.tensor(drawn.obsm["X_midgd"]), "mrna").exp().detach().numpy()
        mean, counts = 20_000.0 * share, drawn.X.toarray()
        some = mean > 5.0
        assert np.square(counts - mean)[some].sum() / mean[some].sum() == pytest.approx(ratio, rel=0.03)


def test_an_unknown_head_is_refused(reference, tmp_path):
    with pytest.raises(ValueError, match=r"Unknown likelihood \['gamma'\]; choose among .*'own'"):
        replace(reference.decoder.spec, likelihoods={"mrna": "gamma"})
    folder = reference.save(tmp_path / "poisson")
    known = HEADS.pop("own")
    try:
        with pytest.raises(ValueError, match=r"likelihoods.*'own'.*'nb', 'zinb', 'poisson'"):
            load(folder)
    finally:
        HEADS["own"] = known
