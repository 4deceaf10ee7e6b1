"""The batched optimiser on problems with known answers; rows must not know of each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from torch import Tensor

from midgd.infer.lbfgs import Optimum, maximise
from midgd.infer.objective import FEWEST_ROWS

Value = Callable[[Tensor, Tensor], Tensor]


class Slots:
    """Problems given by one function of points and rows, in float64."""

    noise = 1e-14
    same_in_fewer_slots = True

    def __init__(self, value: Value, n_slots: int = 8, inverse: Tensor | None = None) -> None:
        self.value, self.n_slots, self.inverse = value, n_slots, inverse
        self.rows = torch.zeros(n_slots, dtype=torch.long)
        self.loaded: list[int] = []

    def begin(self, start: Tensor) -> None:
        assert not self.loaded

    def load(self, slots: Tensor, rows: slice) -> None:
        self.rows[slots] = torch.arange(rows.start, rows.stop)
        self.loaded.extend(range(rows.start, rows.stop))

    def keep(self, slots: Tensor) -> None:
        self.rows, self.n_slots = self.rows[slots], len(slots)

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        assert len(z) == self.n_slots
        leaf = z.detach().requires_grad_()
        values = self.value(leaf, self.rows)
        (grad,) = torch.autograd.grad(values.sum(), leaf)
        return values.detach(), grad

    def precondition(self, vectors: Tensor) -> Tensor:
        if self.inverse is None:
            return vectors
        return torch.einsum("nij,nj->ni", self.inverse[self.rows], vectors)


def solve(value: Value, start: Tensor, *, tolerance: float = 1e-12, max_steps: int = 500, **slots: Any) -> Optimum:
    return maximise(Slots(value, **slots), start, tolerance=tolerance, max_steps=max_steps)


def quadratics(n: int, d: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n, d, d))
    curvature = root @ root.transpose(0, 2, 1) + 0.3 * np.eye(d)
    return torch.tensor(curvature), torch.tensor(rng.normal(size=(n, d)))


def rosenbrock(z: Tensor, rows: Tensor) -> Tensor:
    """A different valley for each row, in any number of dimensions."""
    a = 5.0 * (1.0 + rows.double() % 7)
    return -((1 - z[:, :-1]).square() + a[:, None] * (z[:, 1:] - z[:, :-1].square()).square()).sum(1)


def test_quadratics_end_at_their_solution():
    curvature, linear = quadratics(20, 5)

    def value(z, rows):
        return (linear[rows] * z).sum(1) - 0.5 * torch.einsum("ni,nij,nj->n", z, curvature[rows], z)

    found = solve(value, torch.zeros(20, 5).double())
    torch.testing.assert_close(found.z, torch.linalg.solve(curvature, linear), rtol=1e-5, atol=1e-5)
    assert found.converged.all()
    torch.testing.assert_close(found.value, value(found.z, torch.arange(20)))


def test_exact_preconditioner_needs_one_step():
    curvature, linear = quadratics(4, 3)

    def value(z, rows):
        return (linear[rows] * z).sum(1) - 0.5 * torch.einsum("ni,nij,nj->n", z, curvature[rows], z)

    found = solve(value, torch.ones(4, 3).double(), inverse=torch.linalg.inv(curvature))
    assert (found.n_evaluations == 2).all() and found.converged.all()


def test_rosenbrock_agrees_with_scipy():
    n = 7
    start = torch.tensor(np.random.default_rng(0).uniform(-1.5, 1.5, (n, 2)))
    found = solve(rosenbrock, start)
    assert found.converged.all()
    for i in range(n):
        row = torch.tensor([i])
        reference = optimize.minimize(lambda z, row=row: -rosenbrock(torch.tensor(z)[None], row).item(), start[i])
        np.testing.assert_allclose(found.z[i], reference.x, atol=1e-4)


def test_values_never_fall():
    """Log-sum-exp with several bumps: steps that overshoot have to be shortened."""
    centres = torch.tensor([[0.0, 0.0], [4.0, 1.0]]).double()

    def value(z, rows):
        return torch.logsumexp(-20.0 * (z[:, None] - centres).square().sum(2), 1)

    start = torch.tensor(np.random.default_rng(1).normal(1.0, 2.0, (30, 2)))
    found = solve(value, start)
    assert (found.value >= value(start, torch.arange(30))).all() and found.converged.all()
    nearest = (found.z[:, None] - centres).norm(dim=2).min(1).values
    assert (nearest < 1e-4).all()


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_slots=st.integers(1, 20))
def test_rows_do_not_depend_on_their_batch(seed, n_slots):
    """In another order and through another number of slots, every row takes the same path."""
    rng = np.random.default_rng(seed)
    start = torch.tensor(rng.uniform(-2, 2, (12, 2)))
    whole = solve(rosenbrock, start)
    rows = torch.tensor(rng.permutation(12))
    other = solve(lambda z, i: rosenbrock(z, rows[i]), start[rows], n_slots=n_slots)
    torch.testing.assert_close(other.z, whole.z[rows], rtol=0, atol=1e-9)
    assert torch.equal(other.n_evaluations, whole.n_evaluations[rows])


def test_a_row_that_ends_leaves_its_slot_to_the_next():
    """One slot: the rows come one after the other, each once."""
    problems = Slots(rosenbrock, n_slots=1)
    start = torch.tensor(np.random.default_rng(0).uniform(-2, 2, (5, 2)))
    found = maximise(problems, start, tolerance=1e-12, max_steps=500)
    assert problems.loaded == [0, 1, 2, 3, 4] and found.converged.all()
    torch.testing.assert_close(found.z, torch.ones(5, 2).double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("same", [True, False])
def test_slots_are_given_up_when_no_row_is_waiting(same):
    problems = Slots(rosenbrock, n_slots=16)
    problems.same_in_fewer_slots = same
    start = torch.tensor(np.random.default_rng(0).uniform(-2, 2, (40, 2)))
    start[:37] = 1.0  # these end at once
    found = maximise(problems, start, tolerance=1e-12, max_steps=500)
    assert found.converged.all() and (found.n_evaluations[:37] == 1).all() and (found.n_evaluations[37:] > 5).all()
    assert problems.n_slots == (FEWEST_ROWS if same else 16)


def test_few_rows_do_not_fill_all_slots():
    problems = Slots(rosenbrock, n_slots=64)
    maximise(problems, torch.zeros(9, 2).double(), tolerance=1e-12, max_steps=500)
    assert problems.n_slots <= 9


def test_rows_end_separately():
    """A row at its optimum is done at once while another one goes on."""
    start = torch.tensor([[1.0, 1.0], [-1.5, 1.0]]).double()
    found = solve(rosenbrock, start)
    assert found.converged.all() and found.n_evaluations[0] == 1 and found.n_evaluations[1] > 5


def test_no_rows():
    found = solve(rosenbrock, torch.zeros(0, 2).double())
    assert found.z.shape == (0, 2) and found.converged.shape == (0,)


def test_a_row_that_runs_out_of_steps_is_not_called_converged():
    start = torch.tensor([[1.0, 1.0], [-1.5, 1.0]]).double()
    found = solve(rosenbrock, start, max_steps=3)
    assert found.converged.tolist() == [True, False] and found.n_evaluations[1] == 4


@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_steps_into_undefined_regions_are_shortened(bad):
    def value(z, rows):
        inside = -(z[:, 0] - 2.0).square() + (3.0 - z[:, 0]).clamp_min(1e-12).log()
        return torch.where(z[:, 0] < 3.0, inside, bad + 0.0 * z[:, 0])

    found = solve(value, torch.tensor([[-30.0]]).double())
    reference = optimize.minimize_scalar(lambda x: (x - 2) ** 2 - np.log(3 - x), bounds=(-30, 2.99), method="bounded")
    assert found.z.item() == pytest.approx(reference.x, abs=1e-4)
