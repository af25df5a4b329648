"""From a moved DMTet body to a clean mesh: closed, manifold, within its budget, none of the start's parts lost."""

from __future__ import annotations

import numpy as np
import torch
import trimesh
import trimesh.smoothing
from numpy.typing import NDArray

from maquette_backend.refine.finish import Mesh
from maquette_backend.refine.remesh import RemeshBody, RemeshSettings
from maquette_backend.shape.clean import is_closed, keep_parts, remove_degenerate, simplify_parts
from maquette_backend.shape.manifold import is_edge_manifold, manifold, without_slivers
from maquette_backend.shape.sdf import Solid, nearest_points
from maquette_backend.shape.start_parts import start_parts

FACE_BUDGET = 16_000
"""Triangles of a remeshed subject that has no budget of its own: fine enough for a 64-class grid, few enough to unwrap
in seconds."""
SMOOTHING_STEPS = 10
_LEAST_HEIGHT = 1e-5
"""Of a delivered triangle, in units of the longest side."""
_LOST_PART_CLASS = 48
"""The grid on which a part that came to nothing is found again, by itself."""

Positions = NDArray[np.floating]
Triangles = NDArray[np.integer]


def delivered(body: RemeshBody, start: Mesh, triangle_budget: int) -> Mesh:
    """What the artist gets of ``body``, which began as ``start``: at most ``triangle_budget`` triangles (0: FACE_BUDGET)."""
    positions, triangles = sound(*body.delivered())
    spacing = body.grid.grid.spacing
    positions = evened(positions, triangles, body.solid, spacing)
    positions, triangles = with_every_part(positions, triangles, start)
    positions, triangles = simplify_parts(positions, triangles, triangle_budget or FACE_BUDGET)
    positions, triangles = without_slivers(positions, triangles, _LEAST_HEIGHT)
    return Mesh(positions.astype(np.float32), triangles.astype(np.int32))


def sound(positions: Positions, triangles: Triangles) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """An extracted surface without degenerate triangles, every edge between exactly two."""
    return without_slivers(*manifold(*remove_degenerate(positions, triangles)))


def evened(positions: Positions, triangles: Triangles, solid: Solid, spacing: float) -> NDArray[np.float64]:
    """Positions [V,3] evened along the surface: a low-pass filter that does not shrink (Taubin 1995), after which each
    vertex goes back to where it was from the start's surface. So steps along edges go, and no motion is lost."""
    if len(triangles) == 0:
        return positions.astype(np.float64)
    level, _ = solid.to_surface(positions)
    mesh = trimesh.Trimesh(positions, triangles, process=False)
    trimesh.smoothing.filter_taubin(mesh, lamb=0.5, nu=0.53, iterations=SMOOTHING_STEPS)
    smooth = np.asarray(mesh.vertices, np.float64)
    distance, outward = solid.to_surface(smooth)
    wrong = distance - level
    return smooth - np.where(np.abs(wrong) < spacing, wrong, 0.0)[:, None] * outward


def with_every_part(
    positions: Positions, triangles: Triangles, start: Mesh
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Without floaters, and with every part of the start that can be told apart: one that came to nothing, as when it
    lies inside another, comes back as it was."""
    own = start_parts(start.positions, start.triangles)
    owner = np.zeros(len(positions), np.int64)
    if len(positions):
        nearest = nearest_points(positions.astype(np.float64), own.vertices, own.triangles)[1]
        owner = own.part[nearest]
    pieces = [keep_parts(positions, triangles, owner)]
    for part in np.setdiff1d(np.arange(own.count), owner):
        lost = own.alone(int(part))
        if lost is not None:
            pieces.append(_closed(*lost))
    first = np.cumsum([0, *[len(vertices) for vertices, _ in pieces]])
    joined = [faces + shift for (_, faces), shift in zip(pieces, first[:-1], strict=True)]
    return np.concatenate([vertices for vertices, _ in pieces]), np.concatenate(joined).astype(np.int32)


def _closed(positions: Positions, triangles: Triangles) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A lone part as it is where it is closed, else what it encloses."""
    if is_closed(triangles) and is_edge_manifold(triangles):
        return without_slivers(positions.astype(np.float32), triangles.astype(np.int32))
    low, high = positions.min(axis=0), positions.max(axis=0)
    size, center = float((high - low).max()), (low + high) / 2
    unit = ((positions - center) / size).astype(np.float32)
    body = RemeshBody(unit, triangles.astype(np.int32), RemeshSettings(_LOST_PART_CLASS, 1e-3), torch.device("cpu"))
    found, faces = sound(*body.delivered())
    return (found * size + center).astype(np.float32), faces


__all__ = ["FACE_BUDGET", "delivered", "evened", "sound", "with_every_part"]
