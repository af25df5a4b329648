"""Edges of the start found again on a new surface: where two of its sides meet, vertices are put on the line they meet in.

A grid's surface crosses an edge of the start somewhere within a cell and so cuts it, here more and there less. As in
feature-sensitive extraction (Kobbelt et al. 2001, "Feature sensitive surface extraction from volume data") the tangent
planes of both sides say where the line is; here they are those of the moved surface, and which vertex is of which side
is known from where it came from, so that triangles are only ever divided and a closed surface stays closed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .crease_sides import Sides, side_of_vertices

Points = NDArray[np.float64]
Triangles = NDArray[np.int64]

_LEAST_ANGLE, _MOST_ANGLE = 20.0, 140.0
"""Degrees between two sides' normals for which the line they meet in is well known."""
_FARTHEST = 0.6
"""What a vertex may be moved by to get onto that line, in cells of the grid."""
_LINE = 0.02
"""A triangle lower than this many cells is a line."""
_OWN_AREA = 0.05
"""For its normal a vertex counts the start's as much as a triangle of this many cells squared."""
_BLUR = 3


EDGE = -1
"""In place of a side: that of a vertex on an edge."""


@dataclass(frozen=True)
class Creased:
    """A surface with vertices along its edges."""

    positions: Points
    """[V,3]."""
    triangles: Triangles
    """[F,3]."""
    side: NDArray[np.int64]
    """[V]: of the start; EDGE on the line in which two meet. Two such vertices are neighbours only along a line."""


@dataclass(frozen=True)
class _Lines:
    """New vertices on edges of the mesh whose ends are of two sides, where these meet."""

    ends: Triangles
    """[N,2]."""
    place: Points
    """[N,3]."""
    number: Triangles
    """[F,3]: which one is on each triangle's sides 01, 12, 20; −1 for none."""


def creased(
    positions: NDArray[np.floating],
    triangles: NDArray[np.integer],
    came_from: Points,
    sides: Sides,
    spacing: float,
    allowed: Callable[[Points], NDArray[np.bool_]] = lambda points: np.ones(len(points), bool),
) -> Creased:
    """The surface (``positions`` [V,3], ``triangles`` [F,3]; closed) divided where two of the start's ``sides`` meet.

    ``came_from`` [V,3] is where each vertex was before anything moved, ``spacing`` a cell of the grid it was found on;
    ``allowed`` says at which places [P,3] a vertex may be.
    Nothing is turned over: where the meeting line would do that, or is not well known, a triangle stays as it is.
    """
    vertices, faces = positions.astype(np.float64), triangles.astype(np.int64)
    side, outward = side_of_vertices(came_from, vertices, faces, sides, spacing)
    normal = _side_normals(vertices, faces, side, outward * (_OWN_AREA * spacing**2))
    lines = _meeting(vertices, faces, side, normal, spacing)
    lines = _without(lines, ~allowed(lines.place))
    while len(lines.ends):
        placed, divided, parent = _divided(vertices, faces, side, normal, lines, spacing)
        turned = _turned(placed, divided, _facing(vertices, faces, side, normal, divided, parent), _LINE * spacing)
        wrong = _used_lines(lines, faces, divided[turned], parent[turned], len(vertices))
        if not wrong.any():
            return Creased(placed, divided, np.concatenate([side, np.full(len(placed) - len(side), EDGE)]))
        lines = _without(lines, wrong)
    return Creased(vertices, faces, side)


def _used_lines(lines: _Lines, faces: Triangles, pieces: Triangles, parent: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """Which lines [N] the ``pieces`` [P,3] of the triangles ``parent`` [P] lean on; of one with the vertex where three
    meet, all three."""
    used: NDArray[np.bool_] = np.zeros(len(lines.ends), bool)
    new = pieces - count
    used[new[(new >= 0) & (new < len(used))]] = True
    at_corner = parent[(new >= len(used)).any(axis=1)]
    used[lines.number[at_corner].reshape(-1)] = True
    return used


def _without(lines: _Lines, wrong: NDArray[np.bool_]) -> _Lines:
    renumbered = np.append(np.where(wrong, -1, np.cumsum(~wrong) - 1), -1)  # the last for those that have none
    return _Lines(lines.ends[~wrong], lines.place[~wrong], renumbered[lines.number])


def _side_normals(vertices: Points, faces: Triangles, side: NDArray[np.int64], start: Points) -> Points:
    """Unit normal [V,3] of each vertex's own side there: of triangles with no other side's corner, blurred along it.
    ``start`` [V,3], the start's normal times an area, decides where there is hardly one."""
    cross = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    corners = side[faces]
    pure = (corners == corners[:, :1]).all(axis=1)
    total = start.copy()
    for corner in range(3):
        np.add.at(total, faces[pure, corner], cross[pure])
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ends = ends[side[ends[:, 0]] == side[ends[:, 1]]]
    both = np.concatenate([ends, ends[:, ::-1]])
    count = len(vertices)
    beside = sparse.csr_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(count, count))
    for _ in range(_BLUR):
        total = total + 0.5 * (beside @ total)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-300)


def _meeting(vertices: Points, faces: Triangles, side: NDArray[np.int64], normal: Points, spacing: float) -> _Lines:
    """All edges with ends on two sides for which the place where these meet is well known."""
    ends = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges, place = np.unique(ends, axis=0, return_inverse=True)
    crossing = np.flatnonzero(side[edges[:, 0]] != side[edges[:, 1]])
    chosen = edges[crossing]
    (p, q), (n, m) = np.moveaxis(vertices[chosen], 1, 0), np.moveaxis(normal[chosen], 1, 0)
    middle = (p + q) / 2
    cosine = (n * m).sum(axis=1)
    known = (cosine < np.cos(np.deg2rad(_LEAST_ANGLE))) & (cosine > np.cos(np.deg2rad(_MOST_ANGLE)))
    rise, other = (n * (p - middle)).sum(axis=1), (m * (q - middle)).sum(axis=1)
    scale = 1 / np.where(known, 1 - cosine**2, 1.0)
    # the shortest way from the middle onto both tangent planes
    way = ((rise - cosine * other) * scale)[:, None] * n + ((other - cosine * rise) * scale)[:, None] * m
    known &= np.linalg.norm(way, axis=1) <= _FARTHEST * spacing
    number = np.full(len(edges), -1)
    number[crossing[known]] = np.arange(int(known.sum()))
    return _Lines(chosen[known], (middle + way)[known], number[place.reshape(3, -1).T])


def _divided(
    vertices: Points, faces: Triangles, side: NDArray[np.int64], normal: Points, lines: _Lines, spacing: float
) -> tuple[Points, Triangles, NDArray[np.int64]]:
    """The vertices with the new ones [W,3], the triangles divided at them [G,3], and which one each was a part of [G]."""
    new = np.where(lines.number >= 0, len(vertices) + lines.number, -1)
    split = (new >= 0).sum(axis=1)
    whole, corner = np.flatnonzero(split == 0), np.flatnonzero(split == 3)
    pieces, parents = [faces[whole]], [whole]
    for k in range(3):
        turn = [(k + j) % 3 for j in range(3)]
        (a, b, c), (ab, bc, ca) = faces[:, turn].T, new[:, turn].T
        two, one = (split == 2) & (bc < 0), (split == 1) & (ab >= 0)
        parts = [(two, (a, ab, ca)), (two, (ab, b, c)), (two, (ab, c, ca)), (one, (a, ab, c)), (one, (ab, b, c))]
        middle = np.full(len(faces), -1)
        middle[corner] = len(vertices) + len(lines.ends) + np.arange(len(corner))
        parts += [(split == 3, (a, ab, middle)), (split == 3, (a, middle, ca))]
        for chosen, piece in parts:
            pieces.append(np.stack(piece, 1)[chosen])
            parents.append(np.flatnonzero(chosen))
    at_corner = _corners(vertices, faces[corner], normal, lines.place[lines.number[corner]], spacing)
    return np.concatenate([vertices, lines.place, at_corner]), np.concatenate(pieces), np.concatenate(parents)


def _corners(vertices: Points, corners: Triangles, normal: Points, on_lines: Points, spacing: float) -> Points:
    """Where three sides meet, [C,3]; between the new vertices [C,3,3] of the triangle's edges where that is not known."""
    mean = on_lines.mean(axis=1)
    planes = normal[corners]
    known = np.abs(np.linalg.det(planes)) > 0.15
    rise = np.einsum("ckx,ckx->ck", planes, vertices[corners] - mean[:, None])
    way = np.zeros_like(mean)
    way[known] = np.linalg.solve(planes[known], rise[known][..., None])[..., 0]
    near = np.linalg.norm(way, axis=1) <= _FARTHEST * spacing
    return mean + np.where(near[:, None], way, 0.0)


def _facing(
    vertices: Points, faces: Triangles, side: NDArray[np.int64], normal: Points, pieces: Triangles, parent: NDArray[np.int64]
) -> Points:
    """The way that each piece [G,3] should face: as the side that its old corners are of, or as what it was a part of."""
    old = pieces < len(vertices)
    first = pieces[np.arange(len(pieces)), old.argmax(axis=1)]
    its = np.where(old, side[np.where(old, pieces, 0)], side[first][:, None])
    a, b, c = np.moveaxis(vertices[faces[parent]], 1, 0)
    return np.where((its == its[:, :1]).all(axis=1)[:, None], normal[first], np.cross(b - a, c - a))


def _turned(placed: Points, divided: Triangles, reference: Points, least: float) -> NDArray[np.bool_]:
    """Which triangles face away from where they should; those lower than ``least`` are lines, and face nowhere."""
    corners = placed[divided]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    double, expected = np.linalg.norm(cross, axis=1), np.linalg.norm(reference, axis=1)
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    return ((cross * reference).sum(axis=1) < 0.2 * double * expected) & (double > least * longest)
