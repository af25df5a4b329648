"""How a refined surface compares with the one it began as, in per cent of the longest side. Needs Blender's Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import bpy  # isort: skip  # first: it brings the two below with it
import numpy as np
from mathutils.bvhtree import BVHTree
from numpy.typing import NDArray
from pieces import Box, Part

Floats = NDArray[np.float64]
SAMPLES = 20_000
NEAR = 1.0
"""Per cent of the longest side within which a point counts as found, for the F-score."""


@dataclass(frozen=True)
class Measures:
    """Distances are in per cent of the start's longest side."""

    chamfer: float
    """Mean of both ways' mean distances."""
    f_score: float
    """Harmonic mean of the shares of either surface that lie within ``NEAR`` of the other."""
    normals: float
    """Mean cosine between normals at nearest points, both ways."""
    drifts: Floats
    """[N], of samples of the result from the start's surface."""
    places: Floats
    """[N,3], those samples, metres."""
    open_edges: int
    """Edges of the result that have not exactly two faces."""
    start_triangles: int
    triangles: int


@dataclass(frozen=True)
class _Surface:
    positions: Floats
    triangles: NDArray[np.int32]
    tree: BVHTree

    @property
    def normals(self) -> Floats:
        """[F,3], of length 1."""
        a, b, c = (self.positions[self.triangles[:, corner]] for corner in range(3))
        crossed = np.cross(b - a, c - a)
        return crossed / np.maximum(np.linalg.norm(crossed, axis=1, keepdims=True), 1e-20)


def measure(start: bpy.types.Mesh, result: bpy.types.Mesh, parts: Sequence[Part] = ()) -> Measures:
    """Compare two meshes of one space. What of the start lies inside another of its ``parts`` is no surface: left out."""
    old, new = _surface(start), _surface(result)
    scale = 100 / float(np.ptp(old.positions, axis=0).max())
    old_points, old_faces = _samples(old, 1)
    outside = ~_hidden(old_points, parts)
    old_points, old_faces = old_points[outside], old_faces[outside]
    new_points, new_faces = _samples(new, 2)
    there, there_cosines = _to(old, new_points, new.normals[new_faces])
    back, back_cosines = _to(new, old_points, old.normals[old_faces])
    there, back = there * scale, back * scale
    precision, recall = (there < NEAR).mean(), (back < NEAR).mean()
    return Measures(
        chamfer=float(there.mean() + back.mean()) / 2,
        f_score=float(2 * precision * recall / max(precision + recall, 1e-9)),
        normals=float(there_cosines.mean() + back_cosines.mean()) / 2,
        drifts=there,
        places=new_points,
        open_edges=_open_edges(result),
        start_triangles=len(old.triangles),
        triangles=len(new.triangles),
    )


def mirror_error(mesh: bpy.types.Mesh, axis: int) -> float:
    """Largest distance of the mirrored surface's vertices from the surface, in per cent of the longest side."""
    surface = _surface(mesh)
    mirrored = surface.positions.copy()
    mirrored[:, axis] *= -1
    away, _ = _to(surface, mirrored, np.zeros_like(mirrored))
    return float(100 * away.max() / np.ptp(surface.positions, axis=0).max())


def _surface(mesh: bpy.types.Mesh) -> _Surface:
    mesh.calc_loop_triangles()
    triangles = np.zeros((len(mesh.loop_triangles), 3), np.int32)
    mesh.loop_triangles.foreach_get("vertices", triangles.ravel())
    positions = np.zeros((len(mesh.vertices), 3), np.float32)
    mesh.vertices.foreach_get("co", positions.ravel())
    tree = BVHTree.FromPolygons(positions.tolist(), triangles.tolist(), all_triangles=True)
    return _Surface(positions.astype(np.float64), triangles, tree)


def _samples(surface: _Surface, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Points spread evenly over the area, and their triangles."""
    random = np.random.default_rng(seed)
    a, b, c = (surface.positions[surface.triangles[:, corner]] for corner in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    faces = random.choice(len(areas), SAMPLES, p=areas / areas.sum())
    u, v = random.random((2, SAMPLES, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    return a[faces] + u * (b - a)[faces] + v * (c - a)[faces], faces


def _to(surface: _Surface, points: Floats, normals: Floats) -> tuple[Floats, Floats]:
    """Distances [N] to a surface, and the cosines of the angles between the normals there."""
    hits = [surface.tree.find_nearest(point) for point in points.tolist()]
    distances = np.array([hit[3] for hit in hits])
    theirs = surface.normals[[hit[2] for hit in hits]]
    return distances, (theirs * normals).sum(axis=1)


def _hidden(points: Floats, parts: Sequence[Part]) -> NDArray[np.bool_]:
    """Whether a point lies inside any of the parts."""
    inside = np.zeros(len(points), bool)
    for part in parts:
        inside |= _inside(points, part)
    return inside


def _inside(points: Floats, part: Part, slack: float = 1e-5) -> NDArray[np.bool_]:
    if isinstance(part, Box):
        return ((points > np.array(part.low) + slack) & (points < np.array(part.high) - slack)).all(axis=1)
    up = (points[:, 2] - part.foot[2]) / part.height
    across = np.linalg.norm(points[:, :2] - np.array(part.foot[:2]), axis=1)
    # the drum's sides are flat: its walls are nearer than its corners
    wall = (part.radius + (part.top_radius - part.radius) * up) * np.cos(np.pi / part.segments)
    return (up > slack) & (up < 1 - slack) & (across < wall - slack)


def _open_edges(mesh: bpy.types.Mesh) -> int:
    edges = np.zeros(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("edge_index", edges)
    return int((np.bincount(edges, minlength=len(mesh.edges)) != 2).sum())
