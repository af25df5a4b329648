"""Edges found again: exact where nothing moved, in a closed form where it did, and marked ones that are nearly flat."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from maquette_backend.refine.finish import Mesh
from maquette_backend.refine.remesh import RemeshBody, RemeshSettings
from maquette_backend.refine.remeshed import delivered
from maquette_backend.shape.clean import is_closed
from maquette_backend.shape.crease_sides import sides_of
from maquette_backend.shape.manifold import is_edge_manifold
from numpy.typing import NDArray

from benchmarks.recovery_shapes import box

CUBE = box((-0.4, -0.4, -0.4), (0.4, 0.4, 0.4))
NONE: NDArray[np.int32] = np.zeros((0, 2), np.int32)


def roof(rise: float = 0.13) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A block whose top is two slopes that meet along the line x = 0, between its last two vertices."""
    low = [(x, y, -0.3) for x in (-0.45, 0.45) for y in (-0.45, 0.45)]
    top = [(x, y, 0.1) for x in (-0.45, 0.45) for y in (-0.45, 0.45)]
    ridge = [(0.0, -0.45, 0.1 + rise), (0.0, 0.45, 0.1 + rise)]
    sides = [(0, 1, 3, 2), (0, 4, 5, 1), (2, 3, 7, 6), (4, 8, 9, 5), (6, 7, 9, 8)]
    faces = [part for a, b, c, d in sides for part in ((a, b, c), (a, c, d))]
    faces += [part for a, b, c, d, e in ((0, 2, 6, 8, 4), (1, 5, 9, 7, 3)) for part in ((a, b, c), (a, c, d), (a, d, e))]
    return np.array(low + top + ridge, np.float32), np.array(faces, np.int32)


def remeshed(start: tuple[NDArray[np.float32], NDArray[np.int32]], push: float, marked: NDArray[np.int32] = NONE) -> Mesh:
    body = RemeshBody(*start, RemeshSettings(grid_class=32, bound=0.08))
    with torch.no_grad():
        for level in body.field.levels:
            level[:, :1] = push
    mesh = delivered(body, Mesh(*start), 0, marked)
    assert is_closed(mesh.triangles)
    assert is_edge_manifold(mesh.triangles)
    return mesh


@pytest.mark.parametrize(("push", "tolerance"), [(0.0, 2e-5), (0.01, 2e-5), (-0.004, 5e-3)])
def test_a_cube_stays_a_cube(push: float, tolerance: float) -> None:
    """Moved by as much everywhere, it has six flat sides and corners where they meet: exactly, but that what is as far
    from an edge everywhere is round there, which shows beside the edges of one that grows."""
    found = remeshed(CUBE, push).positions.astype(np.float64)
    half = np.abs(found).max()
    assert half == pytest.approx(0.4 - 0.08 * np.tanh(4 * push / 0.08), abs=2e-3)
    to_side = half - np.abs(found).max(axis=1)
    assert to_side.max() < tolerance
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * half
    assert np.linalg.norm(found[:, None] - corners, axis=2).min(axis=0).max() < max(1e-4, 2 * tolerance)


def test_a_marked_edge_that_is_nearly_flat_stays_one() -> None:
    """A ridge of 32 degrees: all of its turn is on the line where it is marked, and next to none where it is not."""
    start = roof()

    def on_ridge(marked: NDArray[np.int32]) -> float:
        """The length along the ridge of edges of the new surface that lie on it."""
        mesh = remeshed(start, 0.0, marked)
        near = (np.abs(mesh.positions[:, 0]) < 1e-3) & (np.abs(mesh.positions[:, 2] - 0.23) < 1e-3)
        ends = np.concatenate([mesh.triangles[:, [0, 1]], mesh.triangles[:, [1, 2]], mesh.triangles[:, [2, 0]]])
        ends = ends[near[ends].all(axis=1)]
        return float(np.abs(np.diff(mesh.positions[ends, 1], axis=1)).sum() / 2)

    assert on_ridge(np.array([[8, 9]], np.int32)) > 0.85
    assert on_ridge(NONE) < 0.5


def test_sides_end_at_hard_and_at_marked_edges() -> None:
    assert sides_of(*CUBE, NONE).side.max() == 5
    start = roof()
    assert sides_of(*start, NONE).side.max() == 5  # both slopes are one
    assert sides_of(*start, np.array([[9, 8]])).side.max() == 6
    split = start[0][start[1]].reshape(-1, 3)
    assert sides_of(split, np.arange(len(split)).reshape(-1, 3), NONE).side.max() == 5


def test_triangles_without_area_and_open_borders_are_no_edges() -> None:
    positions, triangles = CUBE
    broken = np.concatenate([triangles[:-1], [[0, 0, 1], [2, 3, 2]]]).astype(np.int32)
    assert len(sides_of(positions, broken, NONE).side) == len(broken)
