"""Each regulariser against a closed form, and against finite differences."""

import math

import pytest
import torch
from maquette_backend.shape import adjacency, regularisers
from torch import Tensor

TETRA = torch.tensor([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
CORNERS = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64)
HINGE = torch.tensor([[0, 1, 2], [1, 0, 3]])


def hinge(angle: float) -> Tensor:
    """Two triangles along the x axis, the second folded up by ``angle`` from flat."""
    return torch.tensor(
        [[0.0, 0, 0], [1, 0, 0], [0.5, 1, 0], [0.5, -math.cos(angle), math.sin(angle)]], dtype=torch.float64
    )


@pytest.mark.parametrize("angle", [0.0, 0.5, math.pi / 2, 3.0])
def test_normal_consistency_is_half_of_one_minus_the_cosine(angle: float) -> None:
    value = regularisers.normal_consistency(hinge(angle), HINGE)
    assert value.item() == pytest.approx((1 - math.cos(angle)) / 2, abs=1e-9)


def test_normal_consistency_of_a_regular_tetrahedron() -> None:
    # outward normals meet at arccos(−1/3)
    assert regularisers.normal_consistency(CORNERS, TETRA).item() == pytest.approx(2 / 3)


def test_sign_change_is_the_cross_entropy_over_changing_edges_only() -> None:
    sdf = torch.tensor([-0.3, 0.7, 0.2, -2.0])
    edges = torch.tensor([[0, 1], [1, 2], [0, 3]])  # only the first changes sign
    expected = math.log(1 + math.exp(0.3)) + math.log(1 + math.exp(0.7))
    assert regularisers.sign_change(sdf, edges).item() == pytest.approx(expected, rel=1e-6)
    assert regularisers.sign_change(sdf.abs(), edges).item() == 0


def test_sign_change_pulls_both_ends_together() -> None:
    sdf = torch.tensor([-0.3, 0.7], requires_grad=True)
    regularisers.sign_change(sdf, torch.tensor([[0, 1]])).backward()
    assert sdf.grad is not None
    assert sdf.grad[0] < 0 < sdf.grad[1]  # a descent step raises the negative and lowers the positive


def test_uniform_laplacian_of_a_fan_and_of_a_lonely_vertex() -> None:
    fan = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 1]])
    values = torch.tensor([[5.0], [1], [2], [6], [9]])
    expected = torch.tensor([[2.0], [1 - 13 / 3], [2 - 12 / 3], [6 - 8 / 3], [0]])
    torch.testing.assert_close(regularisers.uniform_laplacian(values, fan), expected)


def test_laplacian_change_ignores_translation_and_the_start_shape() -> None:
    assert regularisers.laplacian_change(CORNERS + 3, CORNERS, TETRA).item() == pytest.approx(0, abs=1e-20)
    moved = CORNERS.clone()
    moved[0, 2] += 0.3  # δ changes by 0.3 at vertex 0 and by −0.1 at its three neighbours
    assert regularisers.laplacian_change(moved, CORNERS, TETRA).item() == pytest.approx((0.09 + 3 * 0.01) / 4)


def test_edge_length_absolute_and_against_the_start() -> None:
    assert regularisers.edge_length(CORNERS, TETRA).item() == pytest.approx(8)
    grown = regularisers.edge_length(CORNERS * 1.5, TETRA, CORNERS)
    assert grown.item() == pytest.approx(8 * 0.25)


def test_gradients_match_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    vertices = (CORNERS + 0.2 * torch.randn(4, 3, generator=generator)).requires_grad_()
    for penalty in (
        lambda v: regularisers.normal_consistency(v, TETRA),
        lambda v: regularisers.laplacian_change(v, CORNERS, TETRA),
        lambda v: regularisers.edge_length(v, TETRA),
        lambda v: regularisers.edge_length(v, TETRA, CORNERS),
    ):
        assert torch.autograd.gradcheck(penalty, (vertices,))


def test_empty_meshes_cost_nothing() -> None:
    v, f = torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)
    assert regularisers.normal_consistency(v, f) == 0
    assert regularisers.laplacian_change(v, v, f) == 0
    assert regularisers.edge_length(v, f) == 0


def test_adjacency_of_a_tetrahedron() -> None:
    assert adjacency.unique_edges(TETRA).tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    pairs = {frozenset(p) for p in adjacency.neighbouring_triangles(TETRA).tolist()}
    assert pairs == {frozenset((a, b)) for a in range(4) for b in range(a)}


def test_an_edge_of_three_triangles_gives_two_pairs() -> None:
    book = torch.tensor([[0, 1, 2], [0, 1, 3], [1, 0, 4]])
    assert adjacency.neighbouring_triangles(book).tolist() == [[0, 1], [1, 2]]


def folded(start: float, now: float) -> float:
    hinges = regularisers.hinges(hinge(start), HINGE, torch.tensor([[0, 1]]), torch.tensor([[0, 1]]))
    return regularisers.fold_change(regularisers.unit_normals(hinge(now), HINGE), hinge(now), hinges).item()


@pytest.mark.parametrize(("start", "now"), [(0.0, 0.7), (math.pi / 2, math.pi / 2), (1.2, -1.2), (3.0, 0.1), (-2.0, -1.0)])
def test_fold_change_is_half_of_one_minus_the_cosine_of_the_turn(start: float, now: float) -> None:
    """Also through flat: a ridge is no valley."""
    assert folded(start, now) == pytest.approx((1 - math.cos(start - now)) / 2, abs=1e-12)


def test_fold_change_takes_no_notice_of_rotation_and_size() -> None:
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64)).Q
    turn = turn * torch.linalg.det(turn)
    pairs, edges = adjacency.neighbouring_triangles(TETRA), []
    for one, two in TETRA[pairs].tolist():
        edges.append(sorted(set(one) & set(two)))
    hinges = regularisers.hinges(CORNERS, TETRA, pairs, torch.tensor(edges))
    assert len(hinges.edges) == 6
    moved = 3 * CORNERS @ turn.T + 1
    assert regularisers.fold_change(regularisers.unit_normals(moved, TETRA), moved, hinges).item() == pytest.approx(0, abs=1e-12)


def test_fold_change_follows_finite_differences_also_from_flat() -> None:
    flat = hinge(0.0)
    hinges = regularisers.hinges(flat, HINGE, torch.tensor([[0, 1]]), torch.tensor([[0, 1]]))
    now = hinge(0.3).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v: regularisers.fold_change(regularisers.unit_normals(v, HINGE), v, hinges), (now,)
    )


def test_borders_and_triangles_without_area_are_no_hinges() -> None:
    v = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0.5, 1, 0], [0.5, 0, 0]], dtype=torch.float64)
    pairs, edges = torch.tensor([[0, 1], [0, 0]]), torch.tensor([[0, 1], [1, 2]])
    assert len(regularisers.hinges(v, HINGE, pairs, edges).edges) == 0
