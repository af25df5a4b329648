"""Edges of the start found again on a new surface: where two of its sides meet, vertices are put on the line they meet in.

A grid's surface crosses an edge of the start somewhere within a cell and so cuts it, here more and there less. As in
feature-sensitive extraction (Kobbelt et al. 2001, "Feature sensitive surface extraction from volume data") the tangent
planes of both sides say where the line is; here they are those in which the moved sides go on (``side_levels``), and which
vertex is of which side is known from where it came from, so that triangles are only ever divided and a closed surface
stays closed. An edge is found along all of its length or not at all: one that is sharp here and cut there has beads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .crease_sides import Origins, Sides, origins_of
from .evening import evened_places
from .side_levels import FARTHEST, Beside, beside_edges, kept_apart, shortened
from .sided import EDGE, Sided

Points = NDArray[np.float64]
Triangles = NDArray[np.int64]

_LINE = 0.02
"""A triangle lower than this many cells is a line."""
_TURNED = 0.2
"""Least cosine between a triangle and the side that it is of."""
_ROUNDS = 3


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
) -> Sided:
    """The surface (``positions`` [V,3], ``triangles`` [F,3]; closed) divided where two of the start's ``sides`` meet and
    an edge is ``allowed``, at places [P,3].

    ``came_from`` [V,3] is where each vertex was before anything moved, ``spacing`` a cell of the grid it was found on.
    Where the meeting line would turn a triangle over though it is evened, as in a strip thinner than a cell, triangles stay
    as they are.
    """
    vertices, faces = positions.astype(np.float64), triangles.astype(np.int64)
    origin = origins_of(came_from, vertices, faces, sides, spacing)
    beside = beside_edges(vertices, faces, came_from, origin, spacing)
    lines = _meeting(vertices, faces, origin, beside, spacing)
    lines = _without(lines, ~allowed(lines.place))
    apart = kept_apart(beside, origin.outward, spacing)
    for _ in range(_ROUNDS):
        found, parent = _divided(apart, faces, origin, beside, lines, spacing)
        pieces = found.triangles
        turned = _turned(evened_places(found), pieces, _facing(vertices, faces, origin, pieces, parent), _LINE * spacing)
        wrong = _used_lines(lines, faces, pieces[turned], parent[turned], len(vertices))
        if not wrong.any():
            break
        lines = _without(lines, wrong)
    return _divided(apart, faces, origin, beside, lines, spacing)[0]


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


def _meeting(vertices: Points, faces: Triangles, origin: Origins, beside: Beside, spacing: float) -> _Lines:
    """New vertices on all edges of the mesh whose ends are of two sides that meet in a line that is well known."""
    ends = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    keys, crossing = ends @ [len(vertices), 1], np.sort(beside.crossing, axis=1) @ [len(vertices), 1]
    chosen, first = np.unique(crossing, return_index=True)
    chosen_ends = np.sort(beside.crossing, axis=1)[first]
    (p, q), (n, m) = np.moveaxis(beside.anchors[chosen_ends], 1, 0), np.moveaxis(origin.outward[chosen_ends], 1, 0)
    middle = vertices[chosen_ends].mean(axis=1)
    cosine = (n * m).sum(axis=1)
    rise, other = (n * (p - middle)).sum(axis=1), (m * (q - middle)).sum(axis=1)
    scale = 1 / (1 - cosine**2)
    # the shortest way from the middle onto both tangent planes
    way = ((rise - cosine * other) * scale)[:, None] * n + ((other - cosine * rise) * scale)[:, None] * m
    place = np.searchsorted(chosen, keys).clip(max=max(len(chosen) - 1, 0))
    number = np.where(chosen[place] == keys, place, -1) if len(chosen) else np.full(len(keys), -1)
    return _Lines(chosen_ends, middle + shortened(way, FARTHEST * spacing), number.reshape(3, -1).T)


def _divided(
    vertices: Points, faces: Triangles, origin: Origins, beside: Beside, lines: _Lines, spacing: float
) -> tuple[Sided, NDArray[np.int64]]:
    """The surface with the new vertices, its triangles [G,3] divided at them, and which one each was a part of [G]."""
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
    planes, through = origin.outward[faces[corner]], beside.anchors[faces[corner]]
    placed = np.concatenate([vertices, lines.place, _corners(planes, through, lines.place[lines.number[corner]], spacing)])
    added = len(placed) - len(vertices)
    side = np.concatenate([origin.side, np.full(added, EDGE)])
    inside = np.concatenate([beside.inside, np.zeros(added)])
    return Sided(placed, np.concatenate(pieces), side, inside), np.concatenate(parents)


def _corners(planes: Points, through: Points, on_lines: Points, spacing: float) -> Points:
    """Where three sides meet, [C,3]: their normals are ``planes`` [C,3,3], points of them ``through`` [C,3,3]; between the
    new vertices [C,3,3] of the triangle's edges where that is not known."""
    mean = on_lines.mean(axis=1)
    known = np.abs(np.linalg.det(planes)) > 0.15
    rise = np.einsum("ckx,ckx->ck", planes, through - mean[:, None])
    way = np.zeros_like(mean)
    way[known] = np.linalg.solve(planes[known], rise[known][..., None])[..., 0]
    return mean + shortened(way, FARTHEST * spacing)


def _facing(
    vertices: Points, faces: Triangles, origin: Origins, pieces: Triangles, parent: NDArray[np.int64]
) -> Points:
    """The way that each piece [G,3] should face: as the side that its old corners are of, or as what it was a part of."""
    old = pieces < len(vertices)
    first = pieces[np.arange(len(pieces)), old.argmax(axis=1)]
    its = np.where(old, origin.side[np.where(old, pieces, 0)], origin.side[first][:, None])
    a, b, c = np.moveaxis(vertices[faces[parent]], 1, 0)
    return np.where((its == its[:, :1]).all(axis=1)[:, None], origin.outward[first], np.cross(b - a, c - a))


def _turned(placed: Points, divided: Triangles, reference: Points, least: float) -> NDArray[np.bool_]:
    """Which triangles face away from where they should; those lower than ``least`` are lines, and face nowhere."""
    corners = placed[divided]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    double, expected = np.linalg.norm(cross, axis=1), np.linalg.norm(reference, axis=1)
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    return ((cross * reference).sum(axis=1) < _TURNED * double * expected) & (double > least * longest)
