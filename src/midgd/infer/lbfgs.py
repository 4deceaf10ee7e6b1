"""L-BFGS for many small independent problems at once.

Every row is its own problem with its own step, history and end: no row's path depends on which other rows
share its batch. One evaluation per iteration; a row whose step does not increase the objective halves it.
(Nocedal & Wright 2006, algorithm 7.4, with a preconditioner as the initial inverse Hessian.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

ARMIJO = 1e-4
SHRINK = 0.35
MIN_STEP = 1e-4
FLOAT_NOISE = 5e-7


@dataclass
class Optimum:
    """Result of :func:`maximise`: points (n, d), values (n,), evaluations per row (n,), converged (n,)."""

    z: Tensor
    value: Tensor
    n_evaluations: Tensor
    converged: Tensor


def maximise(
    objective: Objective,
    start: Tensor,
    inverse_hessian: Tensor,
    *,
    max_steps: int = 50,
    tolerance: float = 1e-5,
    memory: int = 6,
) -> Optimum:
    """Maximise every row of an objective.

    Parameters
    ----------
    objective
        Called with points (m, d) and the indices (m,) of the rows still active; returns values (m,) and gradients.
    start
        Starting points, (n, d).
    inverse_hessian
        Positive definite approximation of the inverse of the negative Hessian of every row, (n, d, d).
    max_steps
        Evaluations after the first; 0 returns the start.
    tolerance
        A row ends when half its Newton decrement, the gain still to be expected in log posterior, is below this.
    memory
        Pairs kept for the Hessian update.
    """
    n = len(start)
    rows = torch.arange(n, device=start.device)
    value, grad = objective(start, rows)
    done = Optimum(
        start.clone(), value.clone(), torch.ones_like(rows), torch.zeros(n, dtype=torch.bool, device=start.device)
    )
    state = _State(rows, start.clone(), value, grad, inverse_hessian, memory)
    for _ in range(max_steps):
        finished = state.expected_gain() < tolerance
        done.converged[state.rows[finished]] = True
        state.keep(~(finished | (state.step < MIN_STEP)))
        if not len(state.rows):
            break
        state.advance(*objective(state.trial(), state.rows))
        done.z[state.rows], done.value[state.rows] = state.z, state.value
        done.n_evaluations[state.rows] += 1
    return done


class _State:
    """Active rows with their curvature pairs."""

    def __init__(self, rows: Tensor, z: Tensor, value: Tensor, grad: Tensor, h0: Tensor, memory: int) -> None:
        self.rows, self.z, self.value, self.grad, self.h0 = rows, z, value, grad, h0
        self.step = torch.ones_like(value)
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []  # (ds, dg, 1 / <ds, dg>), oldest first
        self.memory = memory
        self.direction = self._newton(grad)

    def expected_gain(self) -> Tensor:
        return 0.5 * (self.grad * self.direction).sum(1)

    def trial(self) -> Tensor:
        return self.z + self.step[:, None] * self.direction

    def keep(self, mask: Tensor) -> None:
        if bool(mask.all()):
            return
        for name in ("rows", "z", "value", "grad", "h0", "step", "direction"):
            setattr(self, name, getattr(self, name)[mask])
        self.pairs = [(ds[mask], dg[mask], inverse[mask]) for ds, dg, inverse in self.pairs]

    def advance(self, value: Tensor, grad: Tensor) -> None:
        """Take the trial point where it is good enough, shorten the step elsewhere."""
        slope = (self.grad * self.direction).sum(1)
        noise = FLOAT_NOISE * self.value.abs()
        good = value >= self.value + ARMIJO * self.step * slope - noise
        ds = torch.where(good[:, None], self.step[:, None] * self.direction, 0.0)
        dg = torch.where(good[:, None], self.grad - grad, 0.0)
        curvature = (ds * dg).sum(1)
        # A zero weight switches the pair off for a row that was rejected or saw no positive curvature.
        usable = curvature > 1e-10 * ds.norm(dim=1) * dg.norm(dim=1)
        self.pairs.append((ds, dg, torch.where(usable, 1.0 / curvature.clamp_min(1e-30), 0.0)))
        self.pairs = self.pairs[-self.memory :]
        self.z = self.z + ds
        self.value = torch.where(good, value, self.value)
        self.grad = torch.where(good[:, None], grad, self.grad)
        fresh = self._newton(self.grad)
        self.direction = torch.where(good[:, None], fresh, self.direction)
        self.step = torch.where(good, 1.0, self.step * SHRINK)

    def _newton(self, grad: Tensor) -> Tensor:
        """Two-loop recursion: inverse Hessian times gradient."""
        q = grad
        alphas = []
        for ds, dg, inverse in reversed(self.pairs):
            alpha = inverse * (ds * q).sum(1)
            alphas.append(alpha)
            q = q - alpha[:, None] * dg
        q = torch.bmm(self.h0, q[:, :, None])[:, :, 0]
        for (ds, dg, inverse), alpha in zip(self.pairs, reversed(alphas), strict=True):
            beta = inverse * (dg * q).sum(1)
            q = q + (alpha - beta)[:, None] * ds
        return q
