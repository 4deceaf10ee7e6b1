"""The paper's way to a latent: AdamW at a constant rate (Zamani et al. 2026), all rows at once."""

from __future__ import annotations

import torch
from torch import Tensor

from midgd.infer.lbfgs import Objective

STEPS, RATE, BETAS, DECAY, EPSILON = 50, 1e-2, (0.5, 0.7), 1e-2, 1e-8


def descend(objective: Objective, start: Tensor) -> Tensor:
    """Points (n, d) after 50 steps from ``start``; elementwise, so no row's path depends on another's."""
    z = start.clone()
    rows = torch.arange(len(z), device=z.device)
    first, second = torch.zeros_like(z), torch.zeros_like(z)
    for step in range(1, STEPS + 1):
        _, grad = objective(z, rows)
        first.lerp_(grad, 1.0 - BETAS[0])
        second.lerp_(grad.square(), 1.0 - BETAS[1])
        scale = (second / (1.0 - BETAS[1] ** step)).sqrt() + EPSILON
        z = z * (1.0 - RATE * DECAY) + RATE * first / (1.0 - BETAS[0] ** step) / scale
    return z
