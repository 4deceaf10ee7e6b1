"""L-BFGS for many small independent problems at once.

Every row is its own problem with its own step, history and end: no row's path depends on which other rows
share its batch. One evaluation per iteration; a row whose step does not increase the objective shortens it.
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


@dataclass(frozen=True)
class Stage:
    """One pass of :func:`maximise`.

    Parameters
    ----------
    objective
        Called with points (m, d) and the indices (m,) of the rows still active; returns values (m,) and gradients.
    tolerance
        A row ends when half its Newton decrement, the gain still to be expected, is below this.
    max_steps
        Evaluations of a row after the first.
    noise
        Relative rounding error of a value; a step may seem to lose this much.
    """

    objective: Objective
    tolerance: float
    max_steps: int
    noise: float


@dataclass
class Optimum:
    """Result of :func:`maximise`: points (n, d), values (n,), evaluations per row (n,), converged (n,)."""

    z: Tensor
    value: Tensor
    n_evaluations: Tensor
    converged: Tensor


def maximise(stages: list[Stage], start: Tensor, inverse_hessian: Tensor, *, memory: int = 6) -> Optimum:
    """Maximise every row of an objective, first roughly, then precisely.

    Parameters
    ----------
    stages
        Versions of one objective in increasing precision; each starts where the one before ended.
    start
        Starting points, (n, d).
    inverse_hessian
        Positive definite approximation of the inverse of the negative Hessian of every row, (n, d, d).
    memory
        Pairs kept for the Hessian update.
    """
    state = _State(start, inverse_hessian, memory)
    for stage in stages:
        state.enter(stage)
        for _ in range(stage.max_steps):
            rows = state.active(stage.tolerance)
            if not len(rows):
                break
            state.advance(rows, *stage.objective(state.trial(rows), rows), stage.noise)
    return Optimum(state.z, state.value, state.n_evaluations, state.expected_gain() < stages[-1].tolerance)


class _State:
    """Points, values and curvature pairs of all rows."""

    def __init__(self, z: Tensor, h0: Tensor, memory: int) -> None:
        n, d = z.shape
        self.z, self.h0 = z.clone(), h0
        self.value, self.grad, self.direction = z.new_zeros(n), z.new_zeros(n, d), z.new_zeros(n, d)
        self.step = z.new_ones(n)
        self.n_evaluations = torch.zeros(n, dtype=torch.long, device=z.device)
        # Oldest first; a weight of zero switches a pair off.
        self.ds, self.dg = z.new_zeros(memory, n, d), z.new_zeros(memory, n, d)
        self.weight = z.new_zeros(memory, n)

    def enter(self, stage: Stage) -> None:
        rows = torch.arange(len(self.z), device=self.z.device)
        self.value, self.grad = (t.to(self.z.dtype) for t in stage.objective(self.z, rows))
        self.n_evaluations += 1
        self.step.fill_(1.0)
        self.direction = self._newton(rows)

    def expected_gain(self) -> Tensor:
        return 0.5 * (self.grad * self.direction).sum(1)

    def active(self, tolerance: float) -> Tensor:
        return torch.nonzero((self.expected_gain() >= tolerance) & (self.step >= MIN_STEP))[:, 0]

    def trial(self, rows: Tensor) -> Tensor:
        return self.z[rows] + self.step[rows, None] * self.direction[rows]

    def advance(self, rows: Tensor, value: Tensor, grad: Tensor, noise: float) -> None:
        """Take the trial point where it is good enough, shorten the step elsewhere."""
        value, grad = value.to(self.z.dtype), grad.to(self.z.dtype)
        self.n_evaluations[rows] += 1
        step, old = self.step[rows], self.value[rows]
        slope = (self.grad[rows] * self.direction[rows]).sum(1)
        good = value >= old + ARMIJO * step * slope - noise * old.abs()
        self.step[rows] = torch.where(good, 1.0, step * SHRINK)
        self._forget(rows[self.step[rows] < MIN_STEP])
        taken, value, grad, step = rows[good], value[good], grad[good], step[good]
        ds = step[:, None] * self.direction[taken]
        self._remember(taken, ds, self.grad[taken] - grad)
        self.z[taken] += ds
        self.value[taken], self.grad[taken] = value, grad
        self.direction[taken] = self._newton(taken)

    def _forget(self, rows: Tensor) -> None:
        """Where no step along the direction helps, drop the history once and follow the preconditioner alone."""
        rows = rows[(self.weight[:, rows] > 0).any(0)]
        self.weight[:, rows] = 0.0
        self.direction[rows] = self._newton(rows)
        self.step[rows] = 1.0

    def _remember(self, rows: Tensor, ds: Tensor, dg: Tensor) -> None:
        curvature = (ds * dg).sum(1)
        usable = curvature > 1e-10 * ds.norm(dim=1) * dg.norm(dim=1)
        weight = torch.where(usable, 1.0 / curvature.clamp_min(1e-30), 0.0)
        for history, newest in ((self.ds, ds), (self.dg, dg), (self.weight, weight)):
            history[:-1, rows] = history[1:, rows]
            history[-1, rows] = newest

    def _newton(self, rows: Tensor) -> Tensor:
        """Two-loop recursion: inverse Hessian times gradient."""
        ds, dg, weight = self.ds[:, rows], self.dg[:, rows], self.weight[:, rows]
        q = self.grad[rows]
        alphas = []
        for i in reversed(range(len(ds))):
            alphas.append(weight[i] * (ds[i] * q).sum(1))
            q = q - alphas[-1][:, None] * dg[i]
        q = torch.bmm(self.h0[rows], q[:, :, None])[:, :, 0]
        for i, alpha in enumerate(reversed(alphas)):
            beta = weight[i] * (dg[i] * q).sum(1)
            q = q + (alpha - beta)[:, None] * ds[i]
        return q
