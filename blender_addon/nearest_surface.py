"""Where a new surface came from, found in Blender: for results that do not say, and for originals edited meanwhile."""

# mathutils' stubs say that a tree and what it finds may be none: not of a mesh with faces
# pyright: reportArgumentType=false, reportCallIssue=false, reportOptionalMemberAccess=false, reportOptionalOperand=false

from __future__ import annotations

import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from .correspondence import Source
from .refined import Correspondence, Floats, Ints

_REACH = 0.02
"""How much farther than the nearest point one that faces the same way may be, as a share of the source's size."""


def nearest_origin(source: Source, positions: Floats, faces: Ints) -> Correspondence:
    """The nearest points of the source, those that face the same way where such a one is about as near.

    positions [V,3] and faces [F,K] are the new surface's, in the source's space.
    """
    tree = BVHTree.FromPolygons(source.positions.tolist(), source.triangles.tolist(), all_triangles=True)
    normals = face_normals(positions, faces)
    reach = float(_REACH * np.ptp(source.positions, axis=0).max())
    found, places = _nearest(tree, positions, _vertex_normals(len(positions), faces, normals), reach)
    middles, _ = _nearest(tree, positions[faces].mean(axis=1), normals, reach)
    return Correspondence(found, barycentric(source.positions[source.triangles[found]], places), middles)


def face_normals(positions: Floats, faces: Ints) -> Floats:
    """[F,3], of length 1 (0 for faces without area), of triangles or quads [F,K]."""
    # of a quad the cross product of the diagonals; of a triangle that of two edges
    a, b, c = (positions[faces[:, corner]] for corner in range(3))
    last = positions[faces[:, -1]]
    return _unit(np.cross(c - a, last - b) if faces.shape[1] == 4 else np.cross(b - a, c - a))


def barycentric(corners: Floats, points: Floats) -> Floats:
    """Weights [N,3] of points [N,3] on triangles [N,3,3]; a point beside its triangle is drawn onto it."""
    ab, ac, to_point = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], points - corners[:, 0]
    aa, bb, cc = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    pa, pc = (to_point * ab).sum(-1), (to_point * ac).sum(-1)
    area = np.maximum(aa * cc - bb * bb, np.float32(1e-30))
    v, w = (cc * pa - bb * pc) / area, (aa * pc - bb * pa) / area
    weights = np.clip(np.stack([1 - v - w, v, w], axis=-1), 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _nearest(tree: BVHTree, points: Floats, normals: Floats, reach: float) -> tuple[Ints, Floats]:
    """Triangles [N] and places [N,3]."""
    triangles, places = np.zeros(len(points), np.int32), np.zeros((len(points), 3), np.float32)
    for index, (point, normal) in enumerate(zip(points.tolist(), normals.tolist(), strict=True)):
        place, facing, triangle, distance = tree.find_nearest(point)
        if facing.dot(normal) < 0:
            around = tree.find_nearest_range(point, distance + reach)
            same_way = [hit for hit in around if hit[1].dot(Vector(normal)) > 0]
            place, _, triangle, _ = min(same_way, key=_distance_of, default=(place, facing, triangle, distance))
        triangles[index], places[index] = triangle, place
    return triangles, places


def _distance_of(hit: tuple[Vector, Vector, int, float]) -> float:
    return hit[3]


def _vertex_normals(count: int, faces: Ints, normals: Floats) -> Floats:
    total = np.zeros((count, 3), np.float32)
    for corner in range(faces.shape[1]):
        np.add.at(total, faces[:, corner], normals)
    return _unit(total)


def _unit(vectors: Floats) -> Floats:
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32(1e-20))).astype(np.float32)
