"""Edge-driven antialiasing: gradients in closed form and against finite differences of a supersampled rendering."""

from __future__ import annotations

import math

import pytest
import torch
from maquette_backend.render.cameras import to_clip
from maquette_backend.render.choose import choose_rasterizer
from maquette_backend.render.edges import build_topology
from torch import Tensor

from .surfaces import (
    HARSH,
    SMOOTH,
    GradientReference,
    bumpy_torus,
    gradient_errors,
    gradient_references,
    ring_of_cameras,
)

SIDE = 64


@pytest.fixture(scope="module", params=[SMOOTH, HARSH], ids=lambda subject: subject.name)
def references(request: pytest.FixtureRequest) -> list[GradientReference]:
    return gradient_references(choose_rasterizer("cpu"), request.param, bumps=6, viewpoints=2)


@pytest.mark.parametrize("white", [True, False])
def test_gradient_matches_finite_differences(references: list[GradientReference], white: bool) -> None:
    errors = gradient_errors(choose_rasterizer("cpu"), references, white=white, supersample=2)
    assert errors.rigid < 0.05
    assert errors.local < 0.12


def test_without_antialias_the_outline_has_no_gradient() -> None:
    moving, triangles = bumpy_torus(100, 50)
    moving.requires_grad_()
    rasterizer = choose_rasterizer("cpu")
    rast = rasterizer.rasterize(to_clip(moving, ring_of_cameras(1).clip_from_world), triangles, (SIDE, SIDE))
    rasterizer.interpolate(torch.ones(len(moving), 1), rast, triangles).sum().backward()
    assert moving.grad is not None
    assert moving.grad.abs().max() < 1e-3


@pytest.mark.parametrize("wall", [False, True])
def test_a_moving_edge_uncovers_the_colour_at_the_edge(wall: bool) -> None:
    """A wide square whose red falls linearly to its right edge; d(sum of red)/d(edge) is the red there, not inside."""
    half, edge_red, slope = 0.5, 0.2, 4.0
    corners = half * torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    shift = torch.tensor(0.3 / SIDE, requires_grad=True)
    moved = torch.stack([corners[:, 0] + shift * (corners[:, 0] > 0), corners[:, 1]], 1)
    clip = torch.cat([moved, torch.zeros(4, 1), torch.ones(4, 1)], 1)
    red = edge_red + slope * (moved[1, 0].detach() - moved[:, 0])
    tri = torch.tensor([[0, 1, 2], [0, 2, 3]])
    if wall:
        behind = torch.tensor([[-1.0, -1, 0.5, 1], [1, -1, 0.5, 1], [1, 1, 0.5, 1], [-1, 1, 0.5, 1]])
        clip, tri, red = torch.cat([clip, behind]), torch.cat([tri, tri + 4]), torch.cat([red, torch.zeros(4)])
    rasterizer = choose_rasterizer("cpu")
    rast = rasterizer.rasterize(clip[None].detach(), tri, (SIDE, SIDE))
    image = rasterizer.interpolate(red[:, None].detach(), rast, tri)
    blended = rasterizer.antialias(image, rast, clip[None], tri, build_topology(tri))
    (got,) = torch.autograd.grad(blended.sum() * (2 / SIDE) ** 2, shift)
    assert got.item() == pytest.approx(edge_red * 2 * half, rel=0.02)


def coverage(corners: Tensor, w: Tensor) -> Tensor:
    """Antialiased coverage [SIDE,SIDE] of one triangle with NDC corners [3,2] and given w [3]."""
    clip = torch.cat([corners * w[:, None], torch.zeros(3, 1), w[:, None]], 1)[None]
    tri = torch.tensor([[0, 1, 2]])
    rasterizer = choose_rasterizer("cpu")
    rast = rasterizer.rasterize(clip, tri, (SIDE, SIDE))
    white = rasterizer.interpolate(torch.ones(3, 1), rast, tri)
    return rasterizer.antialias(white, rast, clip, tri, build_topology(tri))[0, ..., 0]


@pytest.mark.parametrize("turn", [0.0, 0.3, 0.7, 1.1, 2.0, 3.0])
@pytest.mark.parametrize("clockwise", [False, True])
def test_area_of_a_large_triangle_and_its_gradient(turn: float, clockwise: bool) -> None:
    angles = torch.tensor([0.1, 2.2, 4.1]) + turn
    order = [0, 2, 1] if clockwise else [0, 1, 2]
    corners = (0.8 * torch.stack([angles.cos(), angles.sin()], 1))[order].requires_grad_()
    x, y = corners.unbind(1)
    exact = ((x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])).abs() / 2
    (expected,) = torch.autograd.grad(exact, corners)
    area = coverage(corners, torch.tensor([1.0, 2.0, 0.7])).sum() * (2 / SIDE) ** 2
    (got,) = torch.autograd.grad(area, corners)
    assert area.item() == pytest.approx(exact.item(), rel=0.005)
    assert (got - expected).norm() / expected.norm() < 0.03


def test_an_edge_through_the_eye_plane_is_blended_where_its_line_runs() -> None:
    # The left half-plane x < .1 in NDC, by a triangle whose one corner lies behind the eye (near plane at w = .1).
    shift = torch.tensor(0.1, requires_grad=True)
    corners = torch.tensor([[0.0, -9.0, 0.8, 1.0], [0.0, 20.0, -0.7, -0.5], [-30.0, 0.0, 0.8, 1.0]])
    clip = torch.stack([corners[:, 0] + shift * corners[:, 3], *corners[:, 1:].unbind(1)], 1)[None]
    tri = torch.tensor([[0, 1, 2]])
    rasterizer = choose_rasterizer("cpu")
    rast = rasterizer.rasterize(clip, tri, (SIDE, SIDE))
    white = rasterizer.interpolate(torch.ones(3, 1), rast, tri)
    image = rasterizer.antialias(white, rast, clip, tri, build_topology(tri))[0, ..., 0]
    width = image[SIDE // 2].sum() * 2 / SIDE - 1
    (slope,) = torch.autograd.grad(width, shift)
    assert width.item() == pytest.approx(0.1, abs=1e-3)
    assert slope.item() == pytest.approx(1.0, abs=1e-3)


def test_an_outline_hidden_behind_another_is_not_blended() -> None:
    """A red square in front covers a blue one whose border is hidden by a fraction of a pixel: no blue shows."""

    def square(half: float, depth: float) -> Tensor:
        xy = half * torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
        return torch.cat([xy * depth, torch.full((4, 1), 1 - 1.5 / depth) * depth, torch.full((4, 1), depth)], 1)

    clip = torch.cat([square(0.5 + 0.6 / SIDE, 3.0), square(0.5 + 0.9 / SIDE, 2.0)])[None]
    tri = torch.tensor([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    color = torch.tensor([[0, 0, 1.0]] * 4 + [[1.0, 0, 0]] * 4)
    rasterizer = choose_rasterizer("cpu")
    clip.requires_grad_()
    rast = rasterizer.rasterize(clip, tri, (SIDE, SIDE))
    image = rasterizer.antialias(rasterizer.interpolate(color, rast, tri), rast, clip, tri, build_topology(tri))
    assert float(image[..., 2].detach().abs().max()) == 0
    image.square().sum().backward()
    assert clip.grad is not None
    assert clip.grad[0, :4].abs().max() == 0
    assert clip.grad[0, 4:].abs().max() > 1


def test_inner_edges_change_nothing_and_the_result_repeats() -> None:
    positions, triangles = bumpy_torus(40, 20)
    rasterizer, topology = choose_rasterizer("cpu"), build_topology(triangles)
    clip = to_clip(positions, ring_of_cameras(2).clip_from_world)
    rast = rasterizer.rasterize(clip, triangles, (SIDE, SIDE))
    white = rasterizer.interpolate(torch.ones(len(positions), 1), rast, triangles)
    first = rasterizer.antialias(white, rast, clip, triangles, topology)
    assert torch.equal(first, rasterizer.antialias(white, rast, clip, triangles, topology))
    covered = torch.nn.functional.max_pool2d(1 - white.permute(0, 3, 1, 2), 3, 1, 1)[:, 0] == 0
    assert torch.equal(first[covered], torch.ones_like(first[covered]))
    assert -1e-4 <= float(first.min()) <= float(first.max()) <= 1 + 1e-4


def test_topology_of_closed_open_and_non_manifold_meshes() -> None:
    _, torus = bumpy_torus(12, 7)
    topology = build_topology(torus)
    assert len(topology.edges) == 3 * len(torus) / 2  # Euler characteristic 0
    assert (topology.sides.sum(1) == 0).all()  # consistently wound: the two triangles run opposite ways
    for column in (0, 1):
        corners = torus[topology.triangles[:, column]]
        assert (corners[:, :, None] == topology.edges[:, None]).any(1).all()
    single = build_topology(torch.tensor([[5, 2, 9]], dtype=torch.int32))
    assert single.edges.tolist() == [[2, 5], [2, 9], [5, 9]]
    assert single.sides.tolist() == [[-1, 0], [1, 0], [-1, 0]]
    fan = build_topology(torch.tensor([[0, 1, 2], [1, 0, 3], [0, 1, 4]]))
    shared = (fan.edges == torch.tensor([0, 1])).all(1)
    assert fan.triangles[shared].tolist() == [[0, 1]]
    with pytest.raises(ValueError, match="triangles"):
        build_topology(torch.zeros(0, 3, dtype=torch.int64))


def test_large_vertex_numbers_sort_like_small_ones() -> None:
    _, torus = bumpy_torus(9, 5)
    small, large = build_topology(torus), build_topology(torus * 40_000_000)
    assert math.log2(int(torus.max()) * 40_000_000) * 2 > 60
    assert torch.equal(small.edges * 40_000_000, large.edges)
    assert torch.equal(small.triangles, large.triangles)
