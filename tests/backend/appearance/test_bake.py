"""Baking against closed forms: orientation, linear functions, island borders and dilation."""

import numpy as np
import pytest
import torch
from maquette_backend.appearance.bake import bake_color, dilated
from maquette_backend.appearance.uv_raster import coverage, surface_under_texels
from numpy.typing import NDArray
from torch import Tensor

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.0]])
HALVES = np.array([[0, 1, 2], [0, 2, 3]])


def uvs_of_xy(scale: float = 1.0, shift: float = 0.0) -> NDArray[np.float64]:
    return SQUARE[HALVES][..., :2] * scale + shift


def centers(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """u and v of every texel centre, [size,size]."""
    axis = (np.arange(size) + 0.5) / size
    v, u = np.meshgrid(axis, axis, indexing="ij")
    return u, v


def test_u_goes_right_and_v_goes_up_from_the_first_row() -> None:
    texture = bake_color(lambda p: p, SQUARE, uvs_of_xy(), HALVES, 16)
    u, v = centers(16)
    expected = np.stack([u, v, np.zeros_like(u)], -1)
    np.testing.assert_array_equal(texture, np.round(expected * 255).astype(np.uint8))


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_linear_function_is_exact_at_every_texel_of_an_island(size: int) -> None:
    rng = np.random.default_rng(3)
    vertices = rng.uniform(-0.5, 0.5, (3, 3))
    uvs = np.array([[[0.1, 0.15], [0.9, 0.3], [0.35, 0.95]]])
    matrix = torch.tensor(rng.uniform(-0.5, 0.5, (3, 3)), dtype=torch.float32)

    def linear(p: Tensor) -> Tensor:
        return p @ matrix + 0.5

    texture = bake_color(linear, vertices, uvs, np.array([[0, 1, 2]]), size)
    u, v = centers(size)
    edges = np.stack([uvs[0, 1] - uvs[0, 0], uvs[0, 2] - uvs[0, 0]], axis=1)
    w = np.einsum("ij,jyx->yxi", np.linalg.inv(edges), np.stack([u, v]) - uvs[0, 0][:, None, None])
    inside = (w > 0).all(-1) & (w.sum(-1) < 1)
    points = vertices[0] + w @ (vertices[1:] - vertices[0])
    expected = linear(torch.tensor(points, dtype=torch.float32)).numpy() * 255
    assert inside.any()
    assert np.abs(texture[inside] - expected[inside]).max() <= 0.501


def test_the_whole_texture_is_filled_from_the_nearest_island() -> None:
    two = np.concatenate([uvs_of_xy(0.25, 0.1), uvs_of_xy(0.25, 0.6)])
    vertices = np.concatenate([SQUARE, SQUARE + np.array([0, 0, 1])])
    texture = bake_color(lambda p: p[:, 2:].expand(-1, 3), vertices, two, np.concatenate([HALVES, HALVES + 4]), 64)
    assert set(np.unique(texture)) == {0, 255}
    u, v = centers(64)
    sides = u + v
    assert (texture[sides < 0.9] == 0).all()
    assert (texture[sides > 1.1] == 255).all()


def test_bilinear_look_ups_inside_an_island_read_only_owned_texels() -> None:
    uvs = np.array([[[0.11, 0.12], [0.83, 0.27], [0.41, 0.88]]])
    owner, bary = surface_under_texels(uvs, 32)
    rng = np.random.default_rng(0)
    w = rng.dirichlet([0.4] * 3, 5000)
    low = np.floor(w @ uvs[0] * 32 - 0.5).astype(int)
    for di in (0, 1):
        for dj in (0, 1):
            assert (owner[low[:, 1] + dj, low[:, 0] + di] >= 0).all()
    np.testing.assert_allclose(bary[owner >= 0].sum(-1), 1, atol=1e-9)
    assert (bary >= -1e-9).all()


def test_shared_edges_are_owned_once() -> None:
    # the diagonal passes exactly through texel centres
    count, owner = coverage(uvs_of_xy(), 16)
    assert (count == 1).all()
    assert set(np.unique(owner)) == {0, 1}


@pytest.mark.parametrize("seed", range(3))
def test_a_triangulated_square_is_covered_exactly_once_whatever_the_winding(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(7), np.arange(7), indexing="ij"), -1).reshape(-1, 2) / 6
    inner = ((grid > 0) & (grid < 1)).all(1)
    grid[inner] += rng.uniform(-0.05, 0.05, (int(inner.sum()), 2))
    i, j = np.meshgrid(np.arange(6), np.arange(6), indexing="ij")
    a = (i * 7 + j).reshape(-1)
    faces = np.concatenate([np.stack([a, a + 7, a + 8], 1), np.stack([a, a + 8, a + 1], 1)])
    turned = rng.random(len(faces)) < 0.5
    faces[turned] = faces[turned, ::-1]
    count, _ = coverage(grid[faces], 50)
    assert (count == 1).all()


def test_dilation_takes_the_nearest_texel() -> None:
    covered = np.zeros((5, 9), bool)
    covered[2, 1] = covered[2, 7] = True
    texture = np.zeros((5, 9, 3), np.uint8)
    texture[2, 1], texture[2, 7] = 10, 20
    filled = dilated(texture, covered)
    assert (filled[:, :4] == 10).all()
    assert (filled[:, 5:] == 20).all()


def test_triangles_without_uv_area_harm_nothing() -> None:
    uvs = np.concatenate([uvs_of_xy(), np.zeros((1, 3, 2)), np.full((1, 3, 2), np.nan)])
    triangles = np.concatenate([HALVES, [[0, 0, 0], [0, 1, 2]]])
    np.testing.assert_array_equal(
        bake_color(lambda p: p, SQUARE, uvs, triangles, 16), bake_color(lambda p: p, SQUARE, uvs_of_xy(), HALVES, 16)
    )
    nothing = bake_color(lambda p: p, SQUARE, uvs[:1] * 0 + 5, HALVES[:1], 4)
    assert (nothing == 128).all()


@pytest.mark.parametrize("size", [0, 8193])
def test_refuses_an_impossible_size(size: int) -> None:
    with pytest.raises(ValueError, match="texture size"):
        bake_color(lambda p: p, SQUARE, uvs_of_xy(), HALVES, size)


def test_refuses_uvs_of_another_mesh() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        bake_color(lambda p: p, SQUARE, uvs_of_xy()[:1], HALVES, 8)
