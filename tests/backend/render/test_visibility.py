"""Visibility: two implementations against each other, near-plane cuts against ray casting, interpolation in closed form."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from maquette_backend.render import visibility_numba, visibility_torch
from maquette_backend.render.choose import choose_rasterizer
from maquette_backend.render.rasterizer import EdgeRasterizer, Visibility
from torch import Tensor

VISIBILITIES = [pytest.param(visibility_numba.visible, id="numba"), pytest.param(visibility_torch.visible, id="torch")]


def random_scene(seed: int, triangles: int = 400) -> tuple[Tensor, Tensor]:
    """Clip-space corners, a tenth of them behind the eye; small and large triangles, some through one another."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.rand(2, triangles, 1, 1, generator=generator) * 3 - 0.3
    centre = torch.randn(2, triangles, 1, 3, generator=generator) * 0.8
    size = torch.rand(2, triangles, 1, 1, generator=generator) ** 3
    corner = centre + size * torch.randn(2, triangles, 3, 3, generator=generator)
    w = w + size * torch.randn(2, triangles, 3, 1, generator=generator)
    pos = torch.cat([corner[..., :2], corner[..., 2:] * 0.4 + 0.5 * w, w], -1)
    return pos.reshape(2, -1, 4), torch.arange(3 * triangles, dtype=torch.int32).reshape(-1, 3)


@pytest.mark.parametrize("seed", range(5))
def test_the_two_visibilities_agree(seed: int) -> None:
    pos, tri = random_scene(seed)
    ids, depth = visibility_numba.visible(pos, tri, (61, 83))
    ids_torch, depth_torch = visibility_torch.visible(pos, tri, (61, 83))
    same = ids == ids_torch
    assert 0.2 < (ids > 0).float().mean() <= 1
    assert same.float().mean() >= 0.999
    assert torch.allclose(depth[same], depth_torch[same], atol=1e-6)


def ray_cast(pos: Tensor, tri: Tensor, size: tuple[int, int]) -> Tensor:
    """Ids + 1 by solving, for each pixel and triangle, b ≥ 0 with Σ b·(x,y,w) = (X,Y,1): brute force, one view."""
    h, w = size
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    ndc = torch.stack([(x + 0.5) * 2 / w - 1, (y + 0.5) * 2 / h - 1, torch.ones(h, w)], -1).double()
    corners = pos[0].double()[tri.long()]
    weights = torch.linalg.solve(corners[:, :, [0, 1, 3]].transpose(1, 2)[:, None], ndc.reshape(1, -1, 3, 1))[..., 0]
    z = (weights * corners[:, None, :, 2]).sum(-1)
    hit = (weights >= 0).all(-1) & (z >= -1) & (z <= 1)
    nearest = torch.where(hit, z, torch.inf).min(0)
    return torch.where(torch.isfinite(nearest.values), nearest.indices + 1, 0).reshape(1, h, w)


@pytest.mark.parametrize("visible", VISIBILITIES)
def test_triangles_through_near_plane_and_eye_match_ray_casting(visible: Visibility) -> None:
    pos, tri = random_scene(7, 200)
    crossing = ((pos[:1, :, 3] < 0).reshape(-1, 3).any(1)) | ((pos[:1, :, 2] < -pos[:1, :, 3]).reshape(-1, 3).any(1))
    mixed = crossing & ((pos[:1, :, 2] > -pos[:1, :, 3]).reshape(-1, 3).any(1))
    assert mixed.sum() > 20
    ids, _ = visible(pos[:1], tri, (48, 40))
    assert (ids == ray_cast(pos[:1], tri, (48, 40))).float().mean() >= 0.999


@pytest.mark.parametrize("visible", VISIBILITIES)
def test_floor_under_the_camera_ends_at_its_horizon_and_near_plane(visible: Visibility) -> None:
    # The plane y = −1, seen along −z from the origin with 90° of view: NDC y = −1/depth, near .5 → y = −2 (off screen),
    # far 10 → y = −.1. One triangle reaches far behind the eye.
    world = torch.tensor([[-400.0, -1.0, 300.0], [400.0, -1.0, 300.0], [0.0, -1.0, -2000.0]])
    near, far = 0.5, 10.0
    z = -(far + near) / (far - near) * world[:, 2] - 2 * far * near / (far - near)
    clip = torch.stack([world[:, 0] * -1, world[:, 1], z, -world[:, 2]], 1)[None]
    ids, _ = visible(clip, torch.tensor([[0, 1, 2]]), (100, 30))
    rows = ids[0] > 0
    assert (rows == rows[:, :1]).all()
    assert rows[:, 0].nonzero()[:, 0].tolist() == list(range(45))  # NDC −1 … −.1


@pytest.mark.parametrize("visible", VISIBILITIES)
def test_a_shared_edge_leaves_no_gap_and_empty_input_is_empty(visible: Visibility) -> None:
    corners = torch.tensor([[-1.0, -1, 0, 1], [1, -1, 0, 1], [1, 1, 0, 1], [-1, 1, 0, 1]])[None]
    quad = torch.tensor([[0, 1, 2], [0, 2, 3]])
    ids, _ = visible(corners, quad, (64, 64))  # the diagonal passes through pixel centres
    assert (ids > 0).all()
    assert (ids.diagonal(dim1=1, dim2=2) == 1).all()  # of equally near triangles the first
    nothing, depth = visible(corners, quad[:0], (8, 8))
    assert not nothing.any()
    assert not depth.any()


@pytest.mark.parametrize("visible", VISIBILITIES)
def test_non_finite_corners_are_not_drawn(visible: Visibility) -> None:
    pos, tri = random_scene(3, 50)
    pos[:, 0] = torch.nan
    pos[:, 3, 3] = torch.inf
    ids, _ = visible(pos, tri, (32, 32))
    assert not torch.isin(ids, torch.tensor([1, 2])).any()
    assert (ids > 2).any()


@pytest.mark.parametrize("visible", VISIBILITIES)
def test_interpolation_is_perspective_correct(visible: Visibility) -> None:
    """A linear function of world space, given at the corners, is that function of the surface point at every pixel."""
    rasterizer = EdgeRasterizer(visible)
    world = torch.tensor([[-2.0, -1.0, -1.0], [3.0, -1.5, -2.0], [0.5, 4.0, -9.0]])
    clip = torch.stack([world[:, 0], world[:, 1], -world[:, 2] - 0.2, -world[:, 2]], 1)[None]
    tri = torch.tensor([[0, 1, 2]])
    rast = rasterizer.rasterize(clip, tri, (50, 70))
    function = world @ torch.tensor([0.3, -0.7, 0.2]) + 0.1
    got = rasterizer.interpolate(function[:, None], rast, tri)[0, ..., 0]
    y, x = (rast[0, ..., 3] > 0).nonzero(as_tuple=True)
    ray = torch.stack([(x + 0.5) * 2 / 70 - 1, (y + 0.5) * 2 / 50 - 1, -torch.ones(len(x))], 1)
    normal = torch.linalg.cross(world[1] - world[0], world[2] - world[0])
    point = ray * ((normal @ world[0]) / (ray @ normal))[:, None]
    assert len(x) > 300
    assert torch.allclose(got[y, x], point @ torch.tensor([0.3, -0.7, 0.2]) + 0.1, atol=1e-5)
    assert torch.allclose(rast[0, y, x, 2], 1 - 0.2 / -point[:, 2], atol=1e-5)


def test_barycentrics_have_the_gradient_of_finite_differences() -> None:
    rasterizer = choose_rasterizer("cpu")
    pos, tri = random_scene(2, 6)
    ids, depth = visibility_torch.visible(pos, tri, (9, 11))

    def uv(points: Tensor) -> Tensor:
        from maquette_backend.render.fragments import rast_from_ids

        return rast_from_ids(points, tri, ids, depth.double())[..., :2]

    assert torch.autograd.gradcheck(uv, (pos.double().requires_grad_(),), eps=1e-7, atol=1e-3, rtol=1e-3)
    assert rasterizer.rasterize(pos.requires_grad_(), tri, (9, 11)).requires_grad


def test_numba_repeats_itself_and_may_be_called_from_several_threads() -> None:
    pos, tri = random_scene(1)
    expected, depth = visibility_numba.visible(pos, tri, (64, 64))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: visibility_numba.visible(pos, tri, (64, 64)), range(24)))
    assert all(torch.equal(ids, expected) and torch.equal(z, depth) for ids, z in found)


def test_many_threads_draw_what_one_does() -> None:
    pos, tri = random_scene(4, 60)
    large = (900, 700)  # enough pixels for threads
    ids, depth = visibility_numba.visible(pos, tri, large)
    ids_torch, depth_torch = visibility_torch.visible(pos, tri, large)
    assert (ids == ids_torch).float().mean() >= 0.9999
    assert torch.equal(ids, visibility_numba.visible(pos, tri, large)[0])
    assert torch.allclose(depth, depth_torch, atol=1e-5)


@pytest.mark.parametrize(
    ("pos", "tri", "size"),
    [
        (torch.zeros(3, 4), torch.zeros(1, 3, dtype=torch.int32), (4, 4)),
        (torch.zeros(1, 3, 4), torch.zeros(1, 4, dtype=torch.int32), (4, 4)),
        (torch.zeros(1, 3, 4), torch.tensor([[0, 1, 3]]), (4, 4)),
        (torch.zeros(1, 3, 4), torch.tensor([[0, -1, 2]]), (4, 4)),
        (torch.zeros(1, 3, 4), torch.tensor([[0, 1, 2]]), (4, 1 << 20)),
    ],
)
def test_bad_input_is_refused_before_anything_is_drawn(pos: Tensor, tri: Tensor, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"pos|tri|size|corner"):
        choose_rasterizer("cpu").rasterize(pos, tri, size)
