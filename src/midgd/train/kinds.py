"""Fitting the kinds: a softmax regression on latents of samples, droplets and mixtures, and what each kind adds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from midgd.nn import KindExperts

Floats = NDArray[np.float32]

# On the squared weights for latents of unit variance. Measured: from 1e-3 to 1e-4 sorted blood cells, tumours and
# sections differ by .003 or less.
WEIGHT_PENALTY = 1e-4
# Samples that a kind's effect is shrunk by: an effect of n samples keeps n / (n + 1).
EFFECT_PENALTY = 1.0
# Of L-BFGS; it mostly ends before.
MAX_STEPS = 300


def fit_kinds(latents: Floats, kinds: Floats, missed: Floats, cells: NDArray[np.int64]) -> KindExperts:
    """Fit probabilities of kinds, and then effects.

    Parameters
    ----------
    latents
        (n, d) of samples, droplets and mixtures, found from their mRNA.
    kinds
        (n, K) parts of the kinds in each, rows that sum to 1.
    missed
        (n, M) measured less read out log1p CPM.
    cells
        Indices of the kinds that are cells.

    Returns
    -------
    The experts: a linear map from latents to logits, and the effects.
    """
    experts = KindExperts(latents.shape[1], kinds.shape[1], missed.shape[1], [int(index) for index in cells])
    _fit_probabilities(experts, torch.from_numpy(latents), torch.from_numpy(kinds))
    with torch.no_grad():
        probabilities = experts(torch.from_numpy(latents)).double()
        gram = probabilities.T @ probabilities
        gram.diagonal().add_(EFFECT_PENALTY)
        experts.effect.copy_(torch.linalg.solve(gram, probabilities.T @ torch.from_numpy(missed).double()))
    return experts.eval().requires_grad_(False)


def _fit_probabilities(experts: KindExperts, latents: torch.Tensor, kinds: torch.Tensor) -> None:
    """Cross entropy with a penalty, to convergence, on standardised latents (in place)."""
    centre, scale = latents.mean(0), latents.std(0) + 1e-3
    standard = (latents - centre) / scale
    weight, bias = torch.zeros_like(experts.weight), torch.zeros_like(experts.bias)
    parameters = [weight.requires_grad_(), bias.requires_grad_()]
    optimiser = torch.optim.LBFGS(parameters, max_iter=MAX_STEPS, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        log_probability = torch.log_softmax(torch.addmm(bias, standard, weight), 1)
        value = -(kinds * log_probability).sum(1).mean() + WEIGHT_PENALTY * weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    with torch.no_grad():
        experts.weight.copy_(weight / scale[:, None])
        experts.bias.copy_(bias - (centre / scale) @ weight)
