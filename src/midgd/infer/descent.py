"""The paper's way to a latent: AdamW at a constant rate (Zamani et al. 2026), all rows at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Of the inference in Zamani et al. 2026; the epsilon is that of PyTorch.
STEPS, RATE, BETAS, DECAY, EPSILON = 50, 1e-2, (0.5, 0.7), 1e-2, 1e-8


def descend(objective: Callable[[Tensor], tuple[Tensor, Tensor]], start: Tensor) -> Tensor:
    """Points after 50 steps of descent; elementwise, so that no row's path depends on another's.

    The optimiser, its rates and the number of steps are those of the paper's inference (AdamW; Zamani et al. 2026).

    Parameters
    ----------
    objective
        Values (n,) and gradients (n, d) of points (n, d); it is maximised.
    start
        (n, d) first points.

    Returns
    -------
    (n, d) last points.
    """
    z = start.clone()
    first, second = torch.zeros_like(z), torch.zeros_like(z)
    for step in range(1, STEPS + 1):
        _, grad = objective(z)
        first.lerp_(grad, 1.0 - BETAS[0])
        second.lerp_(grad.square(), 1.0 - BETAS[1])
        scale = (second / (1.0 - BETAS[1] ** step)).sqrt() + EPSILON
        z = z * (1.0 - RATE * DECAY) + RATE * first / (1.0 - BETAS[0] ** step) / scale
    return z
