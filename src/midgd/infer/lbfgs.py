"""L-BFGS for very many small independent problems, a fixed number of them at a time.

Every problem has its own step, history and end. A problem that ends leaves its slot to the next one, so that the
arithmetic always has the same shape: no problem's path depends on which others share the batch, not even in the
last digit. When no more are waiting, slots are given up, if the arithmetic of a problem is the same in any number of
slots. One evaluation per iteration; a problem whose step does not increase the objective shortens it.
(Nocedal & Wright 2006, algorithm 7.4, with a preconditioner as the initial inverse Hessian.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from midgd.infer.objective import FEWEST_ROWS

# Part of the expected gain that a step must bring (Nocedal & Wright 2006, Numerical Optimization, section 3.1).
ARMIJO = 1e-4
# A step that brings less is tried again at this part of its length. Chosen by hand.
SHRINK = 0.35
# Shortest part of a step that is tried: below it the row has ended. Chosen by hand.
MIN_STEP = 1e-4
# Earlier evaluations that are remembered; Nocedal & Wright 2006, section 7.2, advise 3 to 20.
MEMORY = 6


class Problems(Protocol):
    """Objectives of many problems, of which ``n_slots`` are at hand."""

    n_slots: int
    noise: float
    """Relative rounding error of a value; a step may seem to lose this much."""

    @property
    def same_in_fewer_slots(self) -> bool:
        """Whether values and gradients of a row have the same digits in any number of slots."""

    def begin(self, start: Tensor) -> None:
        """Take note of where the searches begin.

        Parameters
        ----------
        start
            (n, d) starting points of all problems.
        """

    def load(self, slots: Tensor, rows: slice) -> None:
        """Put problems in slots.

        Parameters
        ----------
        slots
            (n_rows,) which slots, from 0.
        rows
            Which problems.
        """

    def keep(self, slots: Tensor) -> None:
        """Give up all other slots.

        Parameters
        ----------
        slots
            (n_kept,) which slots stay, from 0; in this order.
        """

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Values (n_slots,) and gradients at points (n_slots, d)."""

    def precondition(self, vectors: Tensor) -> Tensor:
        """Positive definite approximations of the inverse negative Hessians times vectors (n_slots, d).

        Parameters
        ----------
        vectors
            (n_slots, d).

        Returns
        -------
        (n_slots, d).
        """


@dataclass
class Optimum:
    """Result of :func:`maximise`: points (n, d), values (n,), evaluations per row (n,), converged (n,)."""

    z: Tensor
    value: Tensor
    n_evaluations: Tensor
    converged: Tensor


def maximise(problems: Problems, start: Tensor, *, tolerance: float, max_steps: int, smooth: bool = True) -> Optimum:
    """Maximise the objective of every row.

    Parameters
    ----------
    problems
        The objectives.
    start
        Starting points, (n, d).
    tolerance
        A row ends when half its Newton decrement, the gain still to be expected, is below this.
    max_steps
        Evaluations of a row after the first.
    smooth
        Whether the objectives have no edges. A last step is then taken without an evaluation where it ends.

    Returns
    -------
    Points, values, numbers of evaluations and whether each row converged.
    """
    n = len(start)
    optimum = Optimum(
        start.clone(),
        start.new_full((n,), -torch.inf),
        torch.zeros(n, dtype=torch.long, device=start.device),
        torch.zeros(n, dtype=torch.bool, device=start.device),
    )
    problems.begin(start)
    slots = _Slots(problems.n_slots, start)
    n_begun = 0
    while True:
        idle = torch.nonzero(slots.row < 0)[: n - n_begun, 0]
        if len(idle):
            rows = slice(n_begun, n_begun + len(idle))
            problems.load(idle, rows)
            slots.enter(idle, rows, start[rows])
            n_begun = rows.stop
        n_active = int((slots.row >= 0).sum())
        if n_active == 0:
            return optimum
        n_kept = max(n_active, FEWEST_ROWS)
        if n_begun == n and 2 * n_kept <= len(slots.row) and problems.same_in_fewer_slots:
            kept = (slots.row < 0).to(torch.uint8).argsort(stable=True)[:n_kept]
            problems.keep(kept)
            slots.keep(kept)
        slots.advance(problems)
        slots.leave(optimum, tolerance, max_steps, smooth)


class _Slots:
    """Points, values and curvature pairs of the problems being worked on."""

    def __init__(self, n_slots: int, like: Tensor) -> None:
        n, d = n_slots, like.shape[1]
        self.row = torch.full((n,), -1, device=like.device)  # that each slot works on; -1 for none
        self.z, self.grad, self.direction = (like.new_zeros(n, d) for _ in range(3))
        self.value, self.step = like.new_zeros(n), like.new_ones(n)
        self.n_evaluations = torch.zeros(n, dtype=torch.long, device=like.device)
        # A ring, in which `newest` is the place of the last evaluation; a weight of zero switches a pair off.
        self.ds, self.dg = like.new_zeros(MEMORY, n, d), like.new_zeros(MEMORY, n, d)
        self.weight, self.newest = like.new_zeros(MEMORY, n), 0

    def enter(self, slots: Tensor, rows: slice, z: Tensor) -> None:
        self.row[slots] = torch.arange(rows.start, rows.stop, device=slots.device)
        self.z[slots], self.direction[slots], self.step[slots] = z, 0.0, 1.0
        self.n_evaluations[slots], self.weight[:, slots] = 0, 0.0

    def keep(self, slots: Tensor) -> None:
        for name in ("row", "z", "grad", "direction", "value", "step", "n_evaluations"):
            setattr(self, name, getattr(self, name)[slots])
        self.ds, self.dg, self.weight = self.ds[:, slots], self.dg[:, slots], self.weight[:, slots]

    def advance(self, problems: Problems) -> None:
        """Try a step, take it where the value there is good enough, and shorten it elsewhere."""
        ds = self.step[:, None] * self.direction
        value, grad = problems(self.z + ds)
        first = self.n_evaluations == 0
        self.n_evaluations += 1
        slope = (self.grad * self.direction).sum(1)
        enough = self.value + ARMIJO * self.step * slope - problems.noise * self.value.abs()
        taken = first | (value >= enough)
        self._remember(taken & ~first, ds, self.grad - grad)
        self.z = torch.where(taken[:, None], self.z + ds, self.z)
        self.grad = torch.where(taken[:, None], grad, self.grad)
        self.value = torch.where(taken, value, self.value)
        self.step = torch.where(taken, 1.0, self.step * SHRINK)
        # Where no step along the direction helps, drop the history once and follow the preconditioner alone.
        stuck = (self.step < MIN_STEP) & (self.weight > 0).any(0)
        self.weight = torch.where(stuck, 0.0, self.weight)
        self.step = torch.where(stuck, 1.0, self.step)
        self.direction = torch.where((taken | stuck)[:, None], self._newton(problems), self.direction)

    def leave(self, optimum: Optimum, tolerance: float, max_steps: int, smooth: bool) -> None:
        """Write out the rows that are done and free their slots.

        A row that is near enough takes its last step without a look at where it leads: the gain is small, and of a
        smooth objective it is real.
        """
        gain = 0.5 * (self.grad * self.direction).sum(1)
        small = gain < tolerance
        over = small | (self.step < MIN_STEP) | (self.n_evaluations > max_steps)
        done = torch.nonzero(over & (self.row >= 0))[:, 0]
        rows = self.row[done]
        last = torch.where(small & smooth, self.step, 0.0)[done]
        optimum.z[rows] = self.z[done] + last[:, None] * self.direction[done]
        optimum.value[rows] = self.value[done] + torch.where(small & smooth, gain, 0.0)[done]
        optimum.n_evaluations[rows], optimum.converged[rows] = self.n_evaluations[done], small[done]
        self.row[done] = -1

    def _remember(self, rows: Tensor, ds: Tensor, dg: Tensor) -> None:
        """The pairs of an evaluation take the place of the oldest; a row whose step was not taken has none."""
        curvature = (ds * dg).sum(1)
        usable = rows & (curvature > 1e-10 * ds.norm(dim=1) * dg.norm(dim=1))
        self.newest = (self.newest + 1) % MEMORY
        self.ds[self.newest], self.dg[self.newest] = ds, dg
        self.weight[self.newest] = torch.where(usable, 1.0 / curvature.clamp_min(1e-30), 0.0)

    def _newton(self, problems: Problems) -> Tensor:
        """Two-loop recursion: inverse Hessian times gradient."""
        q = self.grad
        alphas = []
        # Most problems end after fewer steps than there is room for.
        some = self.weight.any(1).tolist()
        used = [i for i in ((self.newest - age) % MEMORY for age in range(MEMORY)) if some[i]]
        for i in used:
            alphas.append(self.weight[i] * (self.ds[i] * q).sum(1))
            q = q - alphas[-1][:, None] * self.dg[i]
        q = problems.precondition(q)
        for i, alpha in zip(reversed(used), reversed(alphas), strict=True):
            beta = self.weight[i] * (self.dg[i] * q).sum(1)
            q = q + (alpha - beta)[:, None] * self.ds[i]
        return q
