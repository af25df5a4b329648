"""Where a new surface came from: for each of its points the nearest one of the old surface that faces the same way."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .sdf import DEFAULT_SHEET, consistent, nearest_points, winding_number
from .sides import solid_beside

Points = NDArray[np.float64]
Triangles = NDArray[np.int64]

_DIRECTIONS = np.array([d for d in itertools.product((-1.0, 0.0, 1.0), repeat=3) if any(d)])
_DIRECTIONS /= np.linalg.norm(_DIRECTIONS, axis=1, keepdims=True)
"""26 directions; every other one is within 28 degrees of one of them."""
_SAME_WAY = 0.2
"""Least cosine between a triangle's normal and the direction of the points that may take it: under 107 degrees between
the two normals, so a vertex on a corner finds all its sides, and one on a thin sheet never the other side."""
_FARTHEST = 0.03
"""How much farther than the nearest point of all a point that faces the same way may be, as a share of the old surface's
longest side. Beyond it the old surface has no such side there, as at the rim of a sheet. Little is needed: a refined
surface stays nearer to its own side of a thin part than to the other, but for what simplification adds."""


@dataclass(frozen=True)
class SurfacePoints:
    """Places on an old surface."""

    triangles: NDArray[np.int32]
    """[P]."""
    weights: NDArray[np.float32]
    """[P,3] barycentric: none negative, sums of 1."""


@dataclass(frozen=True)
class SurfaceMap:
    """The old places of a new surface's vertices, and the old triangle of each new face."""

    vertices: SurfacePoints
    face_triangles: NDArray[np.int32]
    """[F]."""


def surface_origin(
    positions: NDArray[np.floating],
    triangles: NDArray[np.integer],
    old_positions: NDArray[np.floating],
    old_triangles: NDArray[np.integer],
) -> SurfaceMap:
    """Where the closed surface (``positions`` [V,3], ``triangles`` [F,3], outward) came from on the old soup.

    The old soup may be wound any way; a sheet in it faces both ways. Both surfaces are in one space, and the weights
    are those of the corners in the order in which ``old_triangles`` lists them.
    Raises ``ValueError`` when the old soup has no triangle.
    """
    if len(old_triangles) == 0:
        raise ValueError("a surface cannot come from one without triangles")
    new, faces = positions.astype(np.float64), triangles.astype(np.int64)
    cross = np.cross(new[faces[:, 1]] - new[faces[:, 0]], new[faces[:, 2]] - new[faces[:, 0]])
    normal = np.zeros_like(new)
    for corner in range(3):
        np.add.at(normal, faces[:, corner], cross)
    query = np.concatenate([new, new[faces].mean(axis=1)])
    found = facing_points(query, np.concatenate([normal, cross]), old_positions, old_triangles)
    at_vertices = SurfacePoints(found.triangles[: len(new)], found.weights[: len(new)])
    return SurfaceMap(at_vertices, found.triangles[len(new) :])


def facing_points(
    query: Points, normal: Points, old_positions: NDArray[np.floating], old_triangles: NDArray[np.integer]
) -> SurfacePoints:
    """The nearest places of the old soup that face as ``query`` [P,3] with outward ``normal`` [P,3] (any length) do.

    Where the old soup has no such side near by, the nearest place of all.
    """
    soup, faces = old_positions.astype(np.float64), old_triangles.astype(np.int64)
    extent = max(float(np.ptp(soup[faces.reshape(-1)], axis=0).max()), 1e-12)
    index, outward = _outward(soup, faces, extent)
    distance, owner, nearest = nearest_points(query, soup, faces)
    limit = distance + _FARTHEST * extent
    group = np.argmax(normal @ _DIRECTIONS.T, axis=1)
    for number, direction in enumerate(_DIRECTIONS):
        mine = np.flatnonzero(group == number)
        candidates = index[outward @ direction > _SAME_WAY]
        if len(mine) == 0 or len(candidates) == 0:
            continue
        far, which, place = nearest_points(query[mine], soup, faces[candidates])
        take = far <= limit[mine]
        owner[mine[take]], nearest[mine[take]] = candidates[which[take]], place[take]
    return SurfacePoints(owner.astype(np.int32), barycentric(nearest, soup[faces[owner]]))


def barycentric(points: Points, corners: Points) -> NDArray[np.float32]:
    """Weights [P,3] of the corners [P,3,3] of triangles that hold ``points`` [P,3]; a triangle without area is judged
    along its longest edge."""
    weights = _by_areas(points, corners)
    flat = ~np.isfinite(weights).all(axis=1)
    if flat.any():
        weights[flat] = _along_longest(points[flat], corners[flat])
    weights = np.clip(weights, 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _outward(soup: Points, faces: Triangles, extent: float) -> tuple[NDArray[np.int64], Points]:
    """Triangles [n] that can be seen and the unit directions [n,3] from which; sheets come twice."""
    turned = consistent(soup, faces)
    normal = np.cross(soup[turned[:, 1]] - soup[turned[:, 0]], soup[turned[:, 2]] - soup[turned[:, 0]])
    length = np.linalg.norm(normal, axis=1)
    real = np.flatnonzero(length > 1e-14 * extent * extent)
    unit = normal[real] / length[real, None]
    center = soup[turned[real]].mean(axis=1)
    solid = solid_beside(
        center, unit, DEFAULT_SHEET * extent, extent, lambda at: winding_number(at, soup, turned)
    )
    front, back = ~solid.in_front | solid.sheet, ~solid.behind | solid.sheet
    return np.concatenate([real[front], real[back]]), np.concatenate([unit[front], -unit[back]])


def _by_areas(points: Points, corners: Points) -> Points:
    """Shares of the area opposite each corner, not finite where there is none."""
    a, b, c = np.moveaxis(corners, 1, 0)
    normal = np.cross(b - a, c - a)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = normal / np.einsum("ij,ij->i", normal, normal)[:, None]
        first = np.einsum("ij,ij->i", np.cross(c - b, points - b), scaled)
        second = np.einsum("ij,ij->i", np.cross(a - c, points - c), scaled)
    return np.stack([first, second, 1 - first - second], axis=1)


def _along_longest(points: Points, corners: Points) -> Points:
    along = np.roll(corners, -1, axis=1) - corners
    squared = np.einsum("pkx,pkx->pk", along, along)
    edge = np.argmax(squared, axis=1)
    rows = np.arange(len(points))
    offset = np.einsum("px,px->p", points - corners[rows, edge], along[rows, edge])
    share = np.clip(offset / np.maximum(squared[rows, edge], 1e-300), 0, 1)
    weights = np.zeros((len(points), 3))
    weights[rows, edge] = 1 - share
    weights[rows, (edge + 1) % 3] = share
    return weights
