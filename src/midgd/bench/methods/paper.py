"""The training of the paper: no PCA start, no readout, its modules and its schedule (Zamani et al. 2026)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from midgd.bench.data import PairedData
from midgd.bench.methods.base import Extra, Floats, Mask

if TYPE_CHECKING:
    from torch import Tensor

# Sizes, rates and batches of Zamani et al. 2026.
N_LATENT, N_HIDDEN, N_LAYERS, N_COMPONENTS = 20, 100, 3, 20
# Samples of a batch; learning rates of decoder, mixture and latents; momenta of AdamW.
BATCH, LR_DECODER, LR_MIXTURE, LR_LATENT, BETAS = 64, 1e-4, 1e-2, 1e-2, (0.5, 0.7)


class Paper:
    """MLP decoder, NB and ZINB heads, AdamW at constant rates, latents from zero and stepped once per epoch.

    Parameters
    ----------
    n_epochs
        Length of the training.
    check_every
        Epochs between entries of ``curve_``; 0 for none.
    """

    name, uses_extra = "midgd-paper", False
    least_correlation = 0.3  # 64 latents learned from a few dozen invented samples

    def __init__(self, n_epochs: int = 600, *, check_every: int = 0) -> None:
        self.n_epochs, self.check_every = n_epochs, check_every
        self.curve_: list[tuple[int, float]] = []

    def fit(self, train: PairedData, *, seed: int = 0, extra: Extra | None = None) -> None:
        """Train on the pairs; ``curve_`` gets (epoch, negative log posterior per sample)."""
        import torch

        from midgd.nn import Decoder, DecoderSpec, GaussianMixture
        from midgd.reference import Reference, minimal_card

        torch.manual_seed(seed)
        spec = DecoderSpec(
            N_LATENT, N_HIDDEN, N_LAYERS, False, {"mrna": "nb", "mirna": "zinb"}, 1.0, activation="leaky_relu"
        )
        self.decoder = Decoder(spec, {"mrna": len(train.genes), "mirna": len(train.mirnas)})
        self.prior = GaussianMixture(N_COMPONENTS, N_LATENT)
        self.counts = {
            name: torch.as_tensor(np.asarray(x, np.float32)) for name, x in (("mrna", train.x), ("mirna", train.y))
        }
        self._descend(torch.zeros(len(train.x), N_LATENT, requires_grad=True), np.random.default_rng(seed))
        self.train_genes_ = train.genes
        card = minimal_card(self.name, train.genes, train.mirnas)
        modules = (self.decoder.eval().requires_grad_(False), self.prior.requires_grad_(False))
        self.reference_ = Reference(card, *modules)
        del self.counts

    def _descend(self, latents: Tensor, rng: np.random.Generator) -> None:
        import torch

        groups = ((self.decoder.parameters(), LR_DECODER), (self.prior.parameters(), LR_MIXTURE))
        per_batch = [torch.optim.AdamW(parameters, lr=lr, betas=BETAS) for parameters, lr in groups]
        per_epoch = torch.optim.AdamW([latents], lr=LR_LATENT, betas=BETAS)
        n = len(latents)
        for epoch in range(self.n_epochs):
            total = 0.0
            per_epoch.zero_grad()
            for rows in np.array_split(rng.permutation(n), math.ceil(n / BATCH)):
                for optimiser in per_batch:
                    optimiser.zero_grad()
                loss = self._negative_log_posterior(latents, rows)
                loss.backward()
                for optimiser in per_batch:
                    optimiser.step()
                total += loss.item()
            per_epoch.step()
            if self.check_every and (epoch + 1) % self.check_every == 0:
                self.curve_.append((epoch + 1, total / n))

    def _negative_log_posterior(self, latents: Tensor, rows: NDArray[np.int64]) -> Tensor:
        z = latents[rows]
        # As in the paper, the prior of the parameters counts once for every sample.
        log_posterior = self.prior.log_prob(z).sum() + len(rows) * self.prior.log_prior()
        features = self.decoder(z)
        for name, counts in self.counts.items():
            head, x = self.decoder.head(name), counts[rows]
            log_mean = x.sum(1, keepdim=True).log() + head.log_share(features)
            log_posterior = log_posterior + head.log_prob(x, log_mean).sum()
        return -log_posterior

    def predict(self, x: NDArray[Any], genes_present: Mask, *, cohorts: NDArray[Any] | None = None) -> Floats:
        """log1p CPM, (n, n_mirnas), from the better of the paper's own inference and its L-BFGS polish."""
        from midgd.infer.predict import Predictor
        from midgd.infer.units import in_units

        genes = np.flatnonzero(genes_present)
        share = Predictor(self.reference_, genes)(np.asarray(x)[:, genes]).share
        return in_units(share, "log1p_cpm").astype(np.float64)
