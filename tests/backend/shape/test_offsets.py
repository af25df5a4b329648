"""Large steps against a dense reference, its inverse and finite differences."""

import numpy as np
import pytest
import torch
from maquette_backend.shape import offsets
from maquette_backend.shape.conjugate_gradients import ConjugateGradients
from maquette_backend.shape.offsets import LargeSteps, system_matrix
from maquette_backend.shape.places import first_at_each_place
from scipy.sparse import csc_matrix
from torch import Tensor


def patch(side: int = 6) -> tuple[Tensor, Tensor]:
    """A bumpy square of side² vertices."""
    axis = torch.arange(side, dtype=torch.float64)
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    v = torch.stack([x, y, torch.sin(x + 2 * y)], -1).reshape(-1, 3)
    a = (torch.arange(side - 1)[:, None] * side + torch.arange(side - 1)).reshape(-1)
    return v, torch.cat([torch.stack([a, a + side, a + side + 1], 1), torch.stack([a, a + side + 1, a + 1], 1)])


def dense(count: int, triangles: Tensor, smoothness: float) -> Tensor:
    """I + λL, edge by edge."""
    laplacian = torch.zeros(count, count, dtype=torch.float64)
    edges = {tuple(sorted((f[k], f[(k + 1) % 3]))) for f in triangles.tolist() for k in range(3)}
    for a, b in edges:
        laplacian[a, a] += 1
        laplacian[b, b] += 1
        laplacian[a, b] -= 1
        laplacian[b, a] -= 1
    return torch.eye(count, dtype=torch.float64) + smoothness * laplacian


def test_equals_the_dense_system() -> None:
    v, f = patch()
    steps = LargeSteps(v, f, 7.5)
    matrix = dense(len(v), f, 7.5)
    u = torch.randn(len(v), 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    order = steps.to_differential(u)
    torch.testing.assert_close(order, matrix @ u)
    torch.testing.assert_close(steps.from_differential(u), torch.linalg.solve(matrix, u))


@pytest.mark.parametrize("smoothness", [0.0, 1.0, 50.0])
def test_the_two_directions_are_inverse(smoothness: float) -> None:
    v, f = patch()
    steps = LargeSteps(v, f, smoothness)
    torch.testing.assert_close(steps.from_differential(steps.to_differential(v)), v)
    torch.testing.assert_close(steps.to_differential(steps.from_differential(v)), v)


def test_gradients_match_finite_differences() -> None:
    v, f = patch(3)
    steps = LargeSteps(v, f, 4.0)
    assert torch.autograd.gradcheck(steps.from_differential, (v.clone().requires_grad_(),))


def test_one_spike_becomes_a_smooth_bump_of_equal_sum() -> None:
    v, f = patch(9)
    spike = torch.zeros(len(v), 1)
    spike[40] = 1
    bump = LargeSteps(v, f, 10.0).from_differential(spike)
    assert bump.sum().item() == pytest.approx(1, rel=1e-5)  # constants are in L's null space
    assert bump.min() > 0
    assert bump.argmax() == 40
    assert bump.max() < 0.1


def test_vertices_split_along_a_crease_stay_together() -> None:
    v, f = patch(4)
    split_v, split_f = v[f].reshape(-1, 3), torch.arange(f.numel()).reshape(-1, 3)
    gradient = torch.randn(split_v.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = split_v + LargeSteps(split_v, split_f, 5.0).from_differential(gradient)
    assert len(np.unique(moved.numpy(), axis=0)) == len(v)
    torch.testing.assert_close(
        LargeSteps(split_v, split_f, 5.0).from_differential(v[f].reshape(-1, 3)),
        LargeSteps(v, f, 5.0).from_differential(v)[f].reshape(-1, 3),
    )


def test_unused_vertices_stay_where_they_are_told() -> None:
    v, f = patch(3)
    v = torch.cat([v, torch.tensor([[9.0, 9, 9]], dtype=torch.float64)])
    torch.testing.assert_close(LargeSteps(v, f, 3.0).from_differential(v)[-1], v[-1])


@pytest.mark.parametrize("smoothness", [-1.0, float("inf"), float("nan")])
def test_refuses_impossible_smoothness(smoothness: float) -> None:
    with pytest.raises(ValueError, match="smoothness must be"):
        LargeSteps(*patch(3), smoothness)


def test_pinned_vertices_are_a_boundary_at_zero() -> None:
    """As the dense system without their rows and columns; what is beside them comes to rest smoothly."""
    v, f = patch(9)
    pinned = v[:, 0] < 3
    steps = LargeSteps(v, f, 10.0, pinned)
    inner = dense(len(v), f, 10.0)[~pinned][:, ~pinned]
    u = torch.randn(len(v), 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    solved = steps.from_differential(u)
    torch.testing.assert_close(solved[~pinned], torch.linalg.solve(inner, u[~pinned]))
    assert (solved[pinned] == 0).all()
    torch.testing.assert_close(steps.from_differential(steps.to_differential(solved)), solved)
    pushed = steps.from_differential(torch.ones_like(u))[:, 0].reshape(9, 9)  # rows of equal x
    assert (pushed.diff(dim=0)[2:] > 0).all()
    assert pushed[3].mean() < 0.35 * pushed[8].mean()  # one edge from the boundary


def test_gradients_of_a_pinned_mesh_match_finite_differences() -> None:
    v, f = patch(4)
    steps = LargeSteps(v, f, 4.0, v[:, 0] < 1)
    assert torch.autograd.gradcheck(steps.from_differential, (v.clone().requires_grad_(),))


def test_a_mesh_that_is_pinned_throughout_stays() -> None:
    v, f = patch(3)
    assert (LargeSteps(v, f, 4.0, torch.ones(len(v), dtype=torch.bool)).from_differential(v) == 0).all()


def test_iterations_solve_what_a_factor_solves() -> None:
    """To single precision, also for columns of zeros, single spikes and a strong λ."""
    v, f = patch(20)
    matrix = system_matrix(f, len(v), 50.0)
    right = torch.randn(len(v), 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).numpy()
    right[:, 1] = 0
    right[:, 2] = np.arange(len(v)) == 7
    expected = np.linalg.solve(matrix.toarray(), right)
    np.testing.assert_allclose(ConjugateGradients(matrix).solve(right), expected, atol=1e-7 * np.abs(expected).max())


def test_iterations_that_do_not_end_say_so() -> None:
    indefinite = csc_matrix(np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(ArithmeticError, match="did not reach"):
        ConjugateGradients(indefinite).solve(np.array([[1.0], [-1.0]]))


def test_a_large_mesh_is_solved_without_a_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    v, f = patch(12)
    u = torch.randn(len(v), 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    small = LargeSteps(v, f, 10.0).from_differential(u)
    monkeypatch.setattr(offsets, "MOST_FACTORISED", 100)
    torch.testing.assert_close(LargeSteps(v, f, 10.0).from_differential(u), small, rtol=1e-6, atol=1e-7)


def test_the_first_at_each_place() -> None:
    positions = np.array([[1, 2, 3], [0, 0, 0], [1, 2, 3], [-0.0, 0, 0], [1, 2, 4]], np.float32)
    assert first_at_each_place(positions).tolist() == [0, 1, 0, 1, 4]
