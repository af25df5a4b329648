"""Edges of a moved box stay lines: no beads at the grid's spacing, no spikes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from maquette_backend.refine.finish import Mesh
from maquette_backend.refine.remesh import RemeshBody, RemeshSettings
from maquette_backend.refine.remeshed import delivered
from maquette_backend.shape.clean import is_closed
from maquette_backend.shape.manifold import is_edge_manifold
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from benchmarks.recovery_shapes import box

HALF, LOOKED_AT = 0.4, 0.3
PER_CELL = 6
AMPLITUDES = (0.01, 0.008, 0.005, 0.005)
"""Of the field's levels after a job on a table, 100 steps with the starter prior, about: 0.008, 0.009, 0.005, 0.006."""
CLASSES = (32, 64)


@cache
def moved_box(grid_class: int, bound: float) -> tuple[Mesh, float]:
    """What a seeded motion, some of it as short as a cell, makes of a box; and a cell."""
    start = box((-HALF, -HALF, -HALF), (HALF, HALF, HALF))
    body = RemeshBody(*start, RemeshSettings(grid_class=grid_class, bound=bound))
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for level, amplitude in zip(body.field.levels, AMPLITUDES, strict=False):
            level[:, :4] = amplitude * torch.randn(level[:, :4].shape, generator=random)
    mesh = delivered(body, Mesh(*start), 0)
    return mesh, body.grid.grid.spacing


@pytest.mark.parametrize("bound", [0.05, 0.02])
@pytest.mark.parametrize("grid_class", CLASSES)
def test_edges_have_no_beads(grid_class: int, bound: float) -> None:
    """How high the twelve edges are, against their own mean over three cells: what is shorter than that is no motion."""
    mesh, spacing = moved_box(grid_class, bound)
    height = heights(mesh, spacing) / spacing
    beads = (height - uniform_filter1d(height, 3 * PER_CELL, axis=1, mode="nearest"))[:, PER_CELL:-PER_CELL]
    assert np.sqrt((beads**2).mean()) < 0.03
    assert np.abs(beads).max() < 0.12


@pytest.mark.parametrize("bound", [0.05, 0.02])
@pytest.mark.parametrize("grid_class", CLASSES)
def test_edges_have_no_spikes(grid_class: int, bound: float) -> None:
    """Nothing turns by more than an edge's 90 degrees and a little, but a sliver here and there."""
    mesh, _ = moved_box(grid_class, bound)
    assert is_closed(mesh.triangles)
    assert is_edge_manifold(mesh.triangles)
    assert folded(mesh) <= 4


def heights(mesh: Mesh, spacing: float) -> NDArray[np.float64]:
    """How far out the surface reaches along each of the box's edges, [12, stations]."""
    part = np.array([(i, j, 12 - i - j) for i in range(13) for j in range(13 - i)]) / 12
    points = np.einsum("pk,fkx->fpx", part, mesh.positions.astype(np.float64)[mesh.triangles]).reshape(-1, 3)
    count = int(2 * LOOKED_AT / spacing * PER_CELL)
    found: list[NDArray[np.float64]] = []
    for axis in range(3):
        at = np.floor((points[:, axis] + LOOKED_AT) / spacing * PER_CELL).astype(int)
        seen = (at >= 0) & (at < count)
        for one in (-1, 1):
            for other in (-1, 1):
                height = np.full(count, -1.0)
                out = one * points[seen, (axis + 1) % 3] + other * points[seen, (axis + 2) % 3]
                np.maximum.at(height, at[seen], out / np.sqrt(2))
                found.append(height)
    return np.array(found)


def folded(mesh: Mesh) -> int:
    """Edges about which the surface turns by more than 120 degrees."""
    corners = mesh.positions.astype(np.float64)[mesh.triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    faces = mesh.triangles.astype(np.int64)
    ends = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    owner = (np.lexsort(ends.T) % len(faces)).reshape(-1, 2)
    return int(((normal[owner[:, 0]] * normal[owner[:, 1]]).sum(axis=1) < -0.5).sum())
