"""Rendered views: a sphere in closed form, orientation, sources of colour."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from maquette_backend.render.cameras import Cameras, orbit_camera, perspective
from maquette_backend.render.choose import choose_rasterizer
from maquette_backend.render.shading import HeadLight, TextureMap, render_views

from .surfaces import bumpy_torus, ring_of_cameras, sphere

SIDE = 64
FOV = 0.6


def front_camera(elevation: float = 0.0, azimuth: float = 0.0) -> Cameras:
    one = torch.ones(1)
    return Cameras(
        orbit_camera(one * azimuth, one * elevation, one * 2.5), perspective(torch.tensor(FOV), 1.0, 0.1, 9.0)
    )


def sphere_hits(radius: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Camera-space unit normals [H,W,3] of a sphere at the origin seen from 2.5 away, and which pixels hit it well."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    tangent = math.tan(FOV / 2)
    ray = torch.stack(
        [((x + 0.5) * 2 / SIDE - 1) * tangent, (1 - (y + 0.5) * 2 / SIDE) * tangent, -torch.ones_like(x)], -1
    )
    ray = functional.normalize(ray, dim=-1)
    along = -ray[..., 2] * 2.5  # distance to the point nearest the centre
    squared = radius**2 - (2.5**2 - along**2)
    point = ray * (along - squared.clamp(min=0).sqrt())[..., None] + torch.tensor([0.0, 0.0, 2.5])
    return functional.normalize(point, dim=-1), squared > 0.02


def test_sphere_normals_colour_and_mask_in_closed_form() -> None:
    positions, triangles = sphere(64)
    albedo = torch.tensor([0.9, 0.5, 0.2])
    for elevation, azimuth in ((0.0, 0.0), (0.6, 2.0)):
        view = render_views(
            choose_rasterizer("cpu"),
            positions,
            triangles,
            albedo.expand(len(positions), 3),
            front_camera(elevation, azimuth),
            SIDE,
        )
        normal, hit = sphere_hits(0.5)
        assert torch.allclose(view.normal[0].permute(1, 2, 0)[hit], normal[hit], atol=0.01)
        light = functional.normalize(torch.tensor([-0.45, 0.60, 0.66]), dim=0)
        up = torch.tensor([0.0, math.cos(elevation), math.sin(elevation)])  # the world's up in the camera
        shade = 0.40 + 0.40 * (normal @ light).clamp(min=0) + 0.25 * (0.5 + 0.5 * normal @ up)
        expected = (shade[..., None] * albedo).clamp(max=1) * 2 - 1
        assert torch.allclose(view.color[0].permute(1, 2, 0)[hit], expected[hit], atol=0.01)
        covered = math.pi * math.tan(math.asin(0.5 / 2.5)) ** 2 / (2 * math.tan(FOV / 2)) ** 2
        assert abs(float(view.mask.mean()) - covered) < 0.005 * covered
        empty = view.mask[0, 0] == 0
        assert view.color[0][:, empty].abs().max() == 0
        assert view.normal[0][:, empty].abs().max() == 0


def test_the_front_is_seen_from_azimuth_0_and_up_is_up() -> None:
    """Red where y < 0, else blue; green grows with z."""

    def paint(points: torch.Tensor) -> torch.Tensor:
        front = (points[:, 1] < 0).float()
        return torch.stack([front, points[:, 2] + 0.5, 1 - front], 1)

    positions, triangles = sphere(24)
    front = render_views(choose_rasterizer("cpu"), positions, triangles, paint, front_camera(), SIDE).color[0]
    back = render_views(
        choose_rasterizer("cpu"), positions, triangles, paint, front_camera(azimuth=math.pi), SIDE
    ).color[0]
    middle = SIDE // 2
    assert front[0, middle, middle] > 0 > front[2, middle, middle]
    assert back[2, middle, middle] > 0 > back[0, middle, middle]
    assert front[1, middle - 12, middle] > front[1, middle + 12, middle] + 0.3  # row 0 is the top


def test_turned_triangles_look_the_same_when_two_sided() -> None:
    positions, triangles = bumpy_torus(40, 20)
    color, cameras, rasterizer = torch.rand(len(positions), 3), ring_of_cameras(2), choose_rasterizer("cpu")
    flipped = triangles[:, [0, 2, 1]]
    outside = render_views(rasterizer, positions, triangles, color, cameras, SIDE)
    inside = render_views(rasterizer, positions, flipped, color, cameras, SIDE)
    assert torch.allclose(outside.color, inside.color, atol=1e-4)
    assert torch.allclose(outside.normal, inside.normal, atol=1e-4)
    away = render_views(rasterizer, positions, flipped, color, cameras, SIDE, two_sided=False)
    assert torch.allclose(
        away.normal,
        -render_views(rasterizer, positions, triangles, color, cameras, SIDE, two_sided=False).normal,
        atol=1e-4,
    )


def test_vertex_function_and_texture_colours_agree() -> None:
    """A square in the plane y = 0 whose colour is linear in place, given in three ways."""
    positions = torch.tensor([[-0.5, 0, -0.5], [0.5, 0, -0.5], [0.5, 0, 0.5], [-0.5, 0, 0.5]])
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]])
    place = positions[:, [0, 2]] + 0.5
    vertex = torch.cat([place * 0.8 + 0.1, torch.full((4, 1), 0.5)], 1)
    grid = (torch.arange(64) + 0.5) / 64
    v, u = torch.meshgrid(grid, grid, indexing="ij")
    image = torch.stack([u * 0.8 + 0.1, v * 0.8 + 0.1, torch.full_like(u, 0.5)], -1)
    texture = TextureMap(image, place[triangles])

    def function(points: torch.Tensor) -> torch.Tensor:
        return torch.cat([(points[:, [0, 2]] + 0.5) * 0.8 + 0.1, torch.full((len(points), 1), 0.5)], 1)

    views = [
        render_views(choose_rasterizer("cpu"), positions, triangles, color, front_camera(), SIDE).color[
            0, :, 16:48, 16:48
        ]
        for color in (vertex, function, texture)
    ]
    assert torch.allclose(views[0], views[1], atol=1e-5)
    assert torch.allclose(views[0], views[2], atol=0.02)


def test_a_far_checkerboard_is_grey() -> None:
    """The texture is minified some 16 times: without mip-mapping the pixels would be black and white."""
    positions = torch.tensor([[-0.5, 0, -0.5], [0.5, 0, -0.5], [0.5, 0, 0.5], [-0.5, 0, 0.5]])
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]])
    board = (torch.arange(512)[:, None] + torch.arange(512)[None]).remainder(2).float()[..., None].expand(-1, -1, 3)
    texture = TextureMap(board, (positions[:, [0, 2]] + 0.5)[triangles])
    flat = HeadLight(ambient=1.0, diffuse=0.0, sky=0.0)
    view = render_views(choose_rasterizer("cpu"), positions, triangles, texture, front_camera(), SIDE, light=flat)
    assert view.color[0, :, 20:44, 20:44].abs().max() < 1e-4


def test_everything_receives_a_gradient_and_an_empty_view_is_empty() -> None:
    positions, triangles = bumpy_torus(30, 16)
    positions = positions.requires_grad_()
    color = torch.rand(len(positions), 3, requires_grad=True)
    view = render_views(
        choose_rasterizer("cpu"), positions, triangles, color, ring_of_cameras(2), (32, 48), supersample=2
    )
    assert view.color.shape == (2, 3, 32, 48)
    (view.color.square().mean() + view.normal[:, 0].mean() + view.mask.mean()).backward()
    assert positions.grad is not None
    assert color.grad is not None
    assert torch.isfinite(positions.grad).all()
    assert (positions.grad.abs().sum(1) > 0).float().mean() > 0.5
    away = positions.detach() + torch.tensor([0.0, 0.0, 500.0])
    nothing = render_views(choose_rasterizer("cpu"), away, triangles, color, ring_of_cameras(2), 32)
    assert not nothing.mask.any()
