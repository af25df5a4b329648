"""Where a new surface came from: identity, two sides of a plate, weights that reproduce the place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from maquette_backend.shape import bcc, marching_tets
from maquette_backend.shape.origin import SurfaceMap, barycentric, surface_origin
from maquette_backend.shape.sdf import nearest_points, signed_distance
from numpy.typing import NDArray

Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]

QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
"""Faces of a box whose vertex index has x in bit 2, y in bit 1, z in bit 0: −x, x, −y, y, −z, z; outward."""


def box(*half: float) -> Mesh:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * np.array(half)
    return corners, np.concatenate([QUADS[:, [0, 1, 2]], QUADS[:, [0, 2, 3]]])


def sphere(rings: int = 24, radius: float = 0.5) -> Mesh:
    theta, phi = np.meshgrid(np.linspace(0, np.pi, rings + 1), np.linspace(0, 2 * np.pi, 2 * rings + 1), indexing="ij")
    v = radius * np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(rings), np.arange(2 * rings), indexing="ij")
    a = (i * (2 * rings + 1) + j).reshape(-1)
    b, c, d = a + 2 * rings + 1, a + 2 * rings + 2, a + 1
    return v, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def places(found: SurfaceMap, mesh: Mesh) -> NDArray[np.float64]:
    corners = mesh[0][mesh[1][found.vertices.triangles]]
    return np.einsum("pk,pkx->px", found.vertices.weights.astype(np.float64), corners)


def remeshed(mesh: Mesh, cells: int = 32) -> Mesh:
    grid = bcc.grid(cells)
    sdf = signed_distance(grid.vertices.numpy(), *mesh)
    v, f = marching_tets.extract(grid.vertices, torch.from_numpy(sdf), grid.tets, marching_tets.tet_edges(grid.tets))
    return v.double().numpy(), f.numpy()


def normals(mesh: Mesh) -> NDArray[np.float64]:
    p = mesh[0][mesh[1]]
    return np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])


@pytest.mark.parametrize("mesh", [box(0.5, 0.3, 0.2), sphere()], ids=["box", "sphere"])
def test_a_mesh_comes_from_itself(mesh: Mesh) -> None:
    v, f = mesh
    found = surface_origin(v, f, v, f)
    np.testing.assert_allclose(places(found, mesh), v, atol=1e-6)
    real = np.linalg.norm(normals(mesh), axis=1) > 1e-9
    np.testing.assert_array_equal(found.face_triangles[real], np.flatnonzero(real))


def test_a_thin_plate_keeps_its_sides() -> None:
    """The new plate is moved past the old one's middle: by distance alone every vertex would take the other side."""
    plate = box(0.5, 0.5, 0.004)
    found = surface_origin(plate[0] * 0.9 + (0, 0, 0.006), plate[1], *plate)
    new, old = normals(plate), normals(plate)[found.face_triangles]
    flat = np.abs(new[:, 2]) > 0
    assert (new[flat, 2] * old[flat, 2] > 0).all()
    nearest = nearest_points(plate[0][plate[1]].mean(1) * 0.9 + (0, 0, 0.006), *plate)[1]
    assert (new[flat, 2] * normals(plate)[nearest][flat, 2] < 0).any()


def test_inside_out_and_corner_split_change_no_side() -> None:
    plate = box(0.5, 0.5, 0.01)
    for old in ((plate[0], plate[1][:, ::-1]), (plate[0][plate[1]].reshape(-1, 3), np.arange(36).reshape(-1, 3))):
        found = surface_origin(plate[0], plate[1], *old)
        np.testing.assert_array_equal(found.face_triangles, np.arange(12))


def test_both_sides_of_a_sheet_come_from_it_and_not_from_a_wall_behind() -> None:
    """A single plane is drawn as a shell; its back has no triangle of its own and the wall's are not it."""
    x = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0.0]])
    wall = box(0.5, 0.5, 0.01)
    old = np.concatenate([x, wall[0] + (0, 0, -0.08)]), np.concatenate([[[0, 1, 2], [0, 2, 3]], wall[1] + 4])
    shell = box(0.45, 0.45, 0.012)
    assert set(surface_origin(*shell, *old).face_triangles.tolist()) <= {0, 1}


@pytest.mark.parametrize("mesh", [box(0.5, 0.3, 0.02), sphere()], ids=["plate", "sphere"])
def test_weights_reproduce_the_nearest_point_that_faces_the_same_way(mesh: Mesh) -> None:
    v, f = remeshed(mesh)
    found = surface_origin(v, f, *mesh)
    assert (found.vertices.weights >= 0).all()
    np.testing.assert_allclose(found.vertices.weights.sum(1), 1, atol=1e-6)
    away = np.linalg.norm(places(found, mesh) - v, axis=1)
    assert (away >= nearest_points(v, *mesh)[0] - 1e-6).all()
    assert away.max() < 0.03  # a cell's cut corner; the other side of the plate is 0.04 away
    direction = np.einsum("ij,ij->i", normals((v, f)), normals(mesh)[found.face_triangles])
    area = np.linalg.norm(normals((v, f)), axis=1)
    assert area[direction < 0].sum() < 1e-3 * area.sum()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_weights_of_any_triangle_are_sound(seed: int) -> None:
    """Also of one with two or three equal corners."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-1, 1, (6, 3, 3))
    corners[4, 1] = corners[4, 0]
    corners[5] = corners[5, 0]
    truth = rng.dirichlet([0.5] * 3, 6)
    points = np.einsum("pk,pkx->px", truth, corners)
    weights = barycentric(points, corners)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(np.einsum("pk,pkx->px", weights, corners), points, atol=1e-4)


def test_nothing_comes_from_nothing() -> None:
    v, f = box(1, 1, 1)
    with pytest.raises(ValueError, match="without triangles"):
        surface_origin(v, f, v, f[:0])
