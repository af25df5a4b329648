"""Large steps against a dense reference, its inverse and finite differences."""

import numpy as np
import pytest
import torch
import trimesh
from maquette_backend.shape import offsets
from maquette_backend.shape.conjugate_gradients import ConjugateGradients
from maquette_backend.shape.offsets import EDGE, SOFTEST, STIFFEST, LargeSteps, system_matrix
from maquette_backend.shape.places import first_at_each_place
from scipy.sparse import csc_matrix
from torch import Tensor


def patch(side: int = 6) -> tuple[Tensor, Tensor]:
    """A bumpy square of side² vertices, about EDGE apart."""
    axis = torch.arange(side, dtype=torch.float64)
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    v = torch.stack([x, y, torch.sin(x + 2 * y)], -1).reshape(-1, 3)
    a = (torch.arange(side - 1)[:, None] * side + torch.arange(side - 1)).reshape(-1)
    return v * EDGE, torch.cat([torch.stack([a, a + side, a + side + 1], 1), torch.stack([a, a + side + 1, a + 1], 1)])


def dense(vertices: Tensor, triangles: Tensor, smoothness: float) -> Tensor:
    """I + λL, edge by edge."""
    count = len(vertices)
    laplacian = torch.zeros(count, count, dtype=torch.float64)
    edges = {tuple(sorted((f[k], f[(k + 1) % 3]))) for f in triangles.tolist() for k in range(3)}
    for a, b in edges:
        weight = smoothness * EDGE**2 / float((vertices[a] - vertices[b]).square().sum())
        weight = min(max(weight, min(SOFTEST, smoothness)), STIFFEST)
        laplacian[a, a] += weight
        laplacian[b, b] += weight
        laplacian[a, b] -= weight
        laplacian[b, a] -= weight
    return torch.eye(count, dtype=torch.float64) + laplacian


def ball(level: int, radius: float = 0.25) -> tuple[Tensor, Tensor]:
    """An icosahedron divided ``level`` times; a coarser one's vertices are a finer one's first."""
    mesh = trimesh.creation.icosphere(level, radius)
    return torch.from_numpy(np.array(mesh.vertices)), torch.from_numpy(np.array(mesh.faces, np.int64))


def harmonic(vertices: Tensor, degree: int) -> Tensor:
    """The zonal spherical harmonic of this degree at the vertices of a ball, [V,1]."""
    height = (vertices[:, 2] / vertices.norm(dim=1)).numpy()
    return torch.from_numpy(np.polynomial.legendre.Legendre.basis(degree)(height))[:, None]


def test_equals_the_dense_system() -> None:
    v, f = patch()
    steps = LargeSteps(v, f, 7.5)
    matrix = dense(v, f, 7.5)
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


@pytest.mark.parametrize(("level", "tolerance"), [(2, 0.03), (3, 0.02), (4, 0.02)])
def test_a_wave_is_damped_by_its_length_in_space(level: int, tolerance: float) -> None:
    """162, 642 and 2,562 vertices: as I − sΔ in closed form does, s = 3/2 λ EDGE², harmonics being eigenfunctions."""
    v, f = ball(level)
    steps = LargeSteps(v, f, 20.0)
    for degree in (1, 2, 4):
        wave = harmonic(v, degree)
        expected = wave / (1 + 1.5 * 20 * EDGE**2 * degree * (degree + 1) / 0.25**2)
        assert (steps.from_differential(wave) - expected).abs().max() < tolerance


def test_coarse_and_dense_meshes_are_moved_alike() -> None:
    """By one smooth pull: 162 vertices go where the same ones of 2,562 do; by the uniform Laplacian they would not."""
    coarse, fine = ball(2), ball(4)

    def moved(mesh: tuple[Tensor, Tensor]) -> Tensor:
        v, f = mesh
        pull = torch.stack([torch.sin(10 * v[:, 2]), torch.cos(8 * v[:, 0]), v[:, 1] * v[:, 2]], 1)
        return LargeSteps(v, f, 20.0).from_differential(pull)

    one, other = moved(coarse), moved(fine)[: len(coarse[0])]
    torch.testing.assert_close(coarse[0], fine[0][: len(coarse[0])])
    assert (one - other).norm(dim=1).max() < 0.03 * other.norm(dim=1).max()
    pull = torch.sin(10 * coarse[0][:, 2:])
    edges = trimesh.Trimesh(coarse[0], coarse[1], process=False).edges_unique
    stiff = torch.eye(len(pull), dtype=torch.float64)
    for a, b in edges.tolist():
        stiff[[a, b], [a, b]] += 20
        stiff[[a, b], [b, a]] -= 20
    assert (torch.linalg.solve(stiff, pull) - other[:, :1]).abs().max() > 0.3 * pull.abs().max()


def test_the_length_is_the_same_where_a_mesh_is_fine_and_where_it_is_coarse() -> None:
    """A ball of which one half has edges half as long: a wave is damped as much there as here."""
    mesh = trimesh.creation.icosphere(3, 0.25)
    mesh = mesh.subdivide(face_index=np.flatnonzero(mesh.triangles_center[:, 0] > 0))
    v = torch.from_numpy(np.array(mesh.vertices))
    v = v / v.norm(dim=1, keepdim=True) * 0.25
    wave = harmonic(v, 6)
    smooth = LargeSteps(v, torch.from_numpy(np.array(mesh.faces, np.int64)), 10.0).from_differential(wave)
    fine, coarse = v[:, 0] > 0.05, v[:, 0] < -0.05

    def damped(where: Tensor) -> float:
        return float((smooth * wave)[where].sum() / wave[where].square().sum())

    assert damped(fine) == pytest.approx(damped(coarse), rel=0.05)


def test_neighbours_on_the_coarsest_mesh_still_move_together() -> None:
    """A pull of one vertex of 42, with edges a quarter of the size: others come along, but most of it stays there."""
    v, f = ball(1, 0.5)
    spike = torch.zeros(len(v), 1, dtype=torch.float64)
    spike[0] = 1
    bump = LargeSteps(v, f, 10.0).from_differential(spike)[:, 0]
    assert 0.15 < float(bump[0]) < 0.4
    assert float(bump[1:].max()) > 0.02


def test_edges_of_no_length_do_no_harm() -> None:
    """What is nearly at one place moves nearly as one, and the system stays well-conditioned."""
    v, f = patch(6)
    v = v.clone()
    v[14] = v[15] + 1e-12
    pull = torch.zeros(len(v), 3, dtype=torch.float64)
    pull[14] = 1
    moved = LargeSteps(v, f, 10.0).from_differential(pull)
    assert torch.isfinite(moved).all()
    torch.testing.assert_close(moved[14], moved[15], rtol=0.25, atol=0)


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
    pinned = v[:, 0] < 2.5 * EDGE
    steps = LargeSteps(v, f, 10.0, pinned)
    inner = dense(v, f, 10.0)[~pinned][:, ~pinned]
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
    steps = LargeSteps(v, f, 4.0, v[:, 0] < 0.5 * EDGE)
    assert torch.autograd.gradcheck(steps.from_differential, (v.clone().requires_grad_(),))


def test_a_mesh_that_is_pinned_throughout_stays() -> None:
    v, f = patch(3)
    assert (LargeSteps(v, f, 4.0, torch.ones(len(v), dtype=torch.bool)).from_differential(v) == 0).all()


def test_iterations_solve_what_a_factor_solves() -> None:
    """To single precision, also for columns of zeros, single spikes and a strong λ."""
    v, f = patch(20)
    matrix = system_matrix(f, v.numpy(), 50.0)
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
