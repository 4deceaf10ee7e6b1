"""The batched optimiser on problems with known answers; rows must not know of each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from torch import Tensor

from midgd.infer.lbfgs import Stage, maximise

Value = Callable[[Tensor, Tensor], Tensor]


def stage(value: Value, *, tolerance: float = 1e-12, max_steps: int = 500) -> Stage:
    def objective(z: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        leaf = z.detach().requires_grad_()
        values = value(leaf, rows)
        (grad,) = torch.autograd.grad(values.sum(), leaf)
        return values.detach(), grad

    return Stage(objective, tolerance, max_steps, 1e-14)


def identity(n: int, d: int) -> Tensor:
    return torch.eye(d).double().expand(n, d, d).clone()


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

    found = maximise([stage(value)], torch.zeros(20, 5).double(), identity(20, 5))
    torch.testing.assert_close(found.z, torch.linalg.solve(curvature, linear), rtol=1e-5, atol=1e-5)
    assert found.converged.all()
    torch.testing.assert_close(found.value, value(found.z, torch.arange(20)))


def test_exact_preconditioner_needs_one_step():
    curvature, linear = quadratics(4, 3)

    def value(z, rows):
        return (linear[rows] * z).sum(1) - 0.5 * torch.einsum("ni,nij,nj->n", z, curvature[rows], z)

    found = maximise([stage(value)], torch.ones(4, 3).double(), torch.linalg.inv(curvature))
    assert (found.n_evaluations == 2).all() and found.converged.all()


def test_rosenbrock_agrees_with_scipy():
    n = 7
    start = torch.tensor(np.random.default_rng(0).uniform(-1.5, 1.5, (n, 2)))
    found = maximise([stage(rosenbrock)], start, identity(n, 2))
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
    found = maximise([stage(value)], start, identity(30, 2))
    assert (found.value >= value(start, torch.arange(30))).all() and found.converged.all()
    nearest = (found.z[:, None] - centres).norm(dim=2).min(1).values
    assert (nearest < 1e-4).all()


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(1, 11), max_size=3))
def test_rows_do_not_depend_on_their_batch(seed, cuts):
    """Permuted and split, every row ends at the same point after the same number of evaluations."""
    rng = np.random.default_rng(seed)
    start = torch.tensor(rng.uniform(-2, 2, (12, 2)))
    whole = maximise([stage(rosenbrock)], start, identity(12, 2))
    for part in np.split(rng.permutation(12), sorted(set(cuts))):
        rows = torch.tensor(part)
        piece = maximise([stage(lambda z, i, rows=rows: rosenbrock(z, rows[i]))], start[rows], identity(len(rows), 2))
        torch.testing.assert_close(piece.z, whole.z[rows], rtol=0, atol=1e-9)
        assert torch.equal(piece.n_evaluations, whole.n_evaluations[rows])


def test_rows_end_separately():
    """A row at its optimum is not evaluated again while another one goes on."""
    asked: list[Tensor] = []

    def value(z, rows):
        asked.append(rows.clone())
        return rosenbrock(z, rows)

    start = torch.tensor([[1.0, 1.0], [-1.5, 1.0]]).double()
    found = maximise([stage(value)], start, identity(2, 2))
    assert found.converged.all() and found.n_evaluations[0] == 1 and found.n_evaluations[1] > 5
    assert all(torch.equal(rows, torch.tensor([1])) for rows in asked[1:])
    assert sum(len(rows) for rows in asked) == found.n_evaluations.sum()


def test_a_row_that_runs_out_of_steps_is_not_called_converged():
    start = torch.tensor([[1.0, 1.0], [-1.5, 1.0]]).double()
    found = maximise([stage(rosenbrock, max_steps=3)], start, identity(2, 2))
    assert found.converged.tolist() == [True, False]


def test_second_stage_goes_on_where_the_first_ended():
    rough = stage(rosenbrock, tolerance=1e-2)
    exact = stage(rosenbrock, tolerance=1e-14)
    start = torch.tensor([[-1.2, 1.0]]).double()
    one, two = (maximise(stages, start, identity(1, 2)) for stages in ([rough], [rough, exact]))
    assert two.value[0] > one.value[0] and two.n_evaluations[0] > one.n_evaluations[0]
    torch.testing.assert_close(two.z, torch.ones(1, 2).double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_steps_into_undefined_regions_are_shortened(bad):
    def value(z, rows):
        inside = -(z[:, 0] - 2.0).square() + (3.0 - z[:, 0]).clamp_min(1e-12).log()
        return torch.where(z[:, 0] < 3.0, inside, bad + 0.0 * z[:, 0])

    found = maximise([stage(value)], torch.tensor([[-30.0]]).double(), identity(1, 1))
    reference = optimize.minimize_scalar(lambda x: (x - 2) ** 2 - np.log(3 - x), bounds=(-30, 2.99), method="bounded")
    assert found.z.item() == pytest.approx(reference.x, abs=1e-4)
