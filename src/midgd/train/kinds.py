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
# Axes that tell kinds apart. Cells of kinds known from other samples against lineages left out (blood apart), AUROC of
# the likeness: .76 with 15, .79 with 20, .84 with 30; blood cells of other studies .98 with 20.
N_AXES = 20
# Added to the covariance within kinds, relative to its mean variance: some kinds have few samples.
RIDGE = 0.1


def fit_kinds(latents: Floats, kinds: Floats, missed: Floats, cells: NDArray[np.int64], origin: Floats) -> KindExperts:
    """Fit probabilities of kinds, effects, and the axes along which samples are compared with kinds.

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
    origin
        (d,) latent of a sample of which nothing is known: the mean of the prior.

    Returns
    -------
    The experts: a linear map from latents to logits, the effects, axes and places of the kinds.
    """
    (d, n_kinds), n_mirnas = (latents.shape[1], kinds.shape[1]), missed.shape[1]
    n_axes = min(N_AXES, d, n_kinds - 1)
    experts = KindExperts(d, n_kinds, n_mirnas, [int(index) for index in cells], n_axes)
    _fit_probabilities(experts, torch.from_numpy(latents), torch.from_numpy(kinds))
    if n_axes:
        _fit_axes(experts, n_axes, latents, kinds, origin)
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


def _fit_axes(experts: KindExperts, n_axes: int, latents: Floats, kinds: Floats, origin: Floats) -> None:
    """The leading axes of a linear discriminant analysis of the samples that are of one kind alone (in place)."""
    member = (kinds == 1.0).astype(np.float64)
    mean = (member.T @ latents) / np.maximum(member.sum(0), 1.0)[:, None]
    scatter = (latents - mean[member.argmax(1)])[member.any(1)]
    within = scatter.T @ scatter / len(scatter)
    within.flat[:: len(within) + 1] += RIDGE * np.trace(within) / len(within)
    whiten = np.linalg.cholesky(np.linalg.inv(within))
    known = member.any(0)
    between = (mean[known] - mean[known].mean(0)) @ whiten
    axes = whiten @ np.linalg.svd(between, full_matrices=False)[2][:n_axes].T
    with torch.no_grad():
        for name, values in {"axes": axes, "origin": origin @ axes, "places": mean @ axes}.items():
            getattr(experts, name).copy_(torch.from_numpy(np.asarray(values)))
