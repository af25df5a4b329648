"""A start surface taken apart at its edges, and which of its sides the vertices of a new one came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .adjacency import neighbouring_triangles
from .origin import facing_points
from .places import first_at_each_place
from .sdf import nearest_points

Points = NDArray[np.float64]
Triangles = NDArray[np.int64]

HARD_ANGLE = 50.0
"""Degrees: where a surface turns by more along an edge, it is one, whether or not it is marked."""


@dataclass(frozen=True)
class Sides:
    """A start mesh, and what of it is smooth in itself."""

    vertices: Points
    """[V,3]."""
    triangles: Triangles
    """[F,3]."""
    side: NDArray[np.int64]
    """[F], from 0."""


@dataclass(frozen=True)
class Origins:
    """Where on a start surface the vertices of a new one came from."""

    side: NDArray[np.int64]
    """[V]."""
    outward: Points
    """[V,3]: the start's normal there."""
    foot: Points
    """[V,3]: the nearest point of that side."""


def sides_of(
    positions: NDArray[np.floating], triangles: NDArray[np.integer], marked: NDArray[np.integer]
) -> Sides:
    """The sides of a mesh (``positions`` [V,3], ``triangles`` [F,3]): parts of its surface that no hard edge and none of
    the ``marked`` [E,2] cuts off from each other."""
    vertices, faces = positions.astype(np.float64), triangles.astype(np.int64)
    place = first_at_each_place(positions)
    welded = place[faces]
    pairs = neighbouring_triangles(torch.from_numpy(welded)).numpy()
    one, two = welded[pairs[:, 0]], welded[pairs[:, 1]]
    common = (one[:, :, None] == two[:, None, :]).any(axis=2)
    proper = (common.sum(axis=1) == 2) & _are_areas(one) & _are_areas(two)
    pairs, one, common = pairs[proper], one[proper], common[proper]
    edge = np.sort(one[common].reshape(-1, 2), axis=1)
    hard = _turn(vertices, welded[pairs], edge) > np.deg2rad(HARD_ANGLE)
    if len(marked):
        wanted = np.sort(place[marked.astype(np.int64)], axis=1)
        hard |= np.isin(edge[:, 0] * len(vertices) + edge[:, 1], wanted[:, 0] * len(vertices) + wanted[:, 1])
    soft = pairs[~hard]
    links = coo_array((np.ones(len(soft), np.int8), (soft[:, 0], soft[:, 1])), shape=(len(faces), len(faces)))
    side = connected_components(links, directed=False)[1].astype(np.int64)
    return Sides(vertices, faces, side)


def origins_of(came_from: Points, vertices: Points, faces: Triangles, sides: Sides, spacing: float) -> Origins:
    """Which side each vertex [V,3] of a new surface came from, and where there.

    Beyond a convex edge two sides are equally near: there the vertex is of the one that it faces with.
    """
    normal = _vertex_normals(vertices, faces)
    found = facing_points(came_from, normal, sides.vertices, sides.triangles)
    corners = sides.triangles[found.triangles]
    side, result = sides.side[found.triangles], sides.side[found.triangles]
    outward, foot = _unit(sides.vertices, corners), np.einsum("pk,pkx->px", found.weights, sides.vertices[corners])
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ends = ends[side[ends[:, 0]] != side[ends[:, 1]]]
    pairs = np.sort(side[ends], axis=1)
    for both in np.unique(pairs, axis=0).tolist():
        near = np.unique(ends[(pairs == both).all(axis=1)])
        gaps, ways, feet = zip(*(_to_side(came_from[near], sides, each) for each in both), strict=True)
        tie = np.abs(gaps[0] - gaps[1]) < 0.02 * spacing
        faced = [(each * normal[near]).sum(axis=1) for each in ways]
        chosen = np.where(faced[0] >= faced[1], 0, 1)[tie]
        rows, near = np.flatnonzero(tie), near[tie]
        result[near] = np.array(both)[chosen]
        outward[near], foot[near] = np.stack(ways)[chosen, rows], np.stack(feet)[chosen, rows]
    return Origins(result, outward * np.where((outward * normal).sum(axis=1, keepdims=True) < 0, -1.0, 1.0), foot)


def _to_side(points: Points, sides: Sides, side: int) -> tuple[Points, Points, Points]:
    """Distance [P] to one side, its normal there [P,3], and the place [P,3]."""
    mine = sides.triangles[sides.side == side]
    gap, owner, place = nearest_points(np.ascontiguousarray(points), sides.vertices, mine)
    return gap, _unit(sides.vertices, mine[owner]), place


def _unit(vertices: Points, triangles: Triangles) -> Points:
    """Unit normals [P,3] of triangles [P,3]; 0 where one has no area."""
    a, b, c = np.moveaxis(vertices[triangles], 1, 0)
    cross = np.cross(b - a, c - a)
    return cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-300)


def _are_areas(triangles: Triangles) -> NDArray[np.bool_]:
    """Which of [N,3] have three different corners."""
    return (triangles != np.roll(triangles, 1, axis=1)).all(axis=1)


def _turn(vertices: Points, pairs: NDArray[np.int64], edge: Triangles) -> Points:
    """Angle [N] by which a surface turns between two triangles [N,2,3] about their ``edge`` [N,2], however they are
    wound: 0 where it is flat."""
    begin, end = vertices[edge[:, 0]], vertices[edge[:, 1]]
    along = (end - begin) / np.maximum(np.linalg.norm(end - begin, axis=1, keepdims=True), 1e-300)
    across = []
    for number in (0, 1):
        corner = pairs[:, number]
        third = corner[(corner != edge[:, :1]) & (corner != edge[:, 1:])].reshape(-1)
        way = vertices[third] - begin
        way = way - (way * along).sum(axis=1, keepdims=True) * along
        across.append(way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-300))
    return np.arccos(np.clip(-(across[0] * across[1]).sum(axis=1), -1, 1))


def _vertex_normals(vertices: Points, faces: Triangles) -> Points:
    cross = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    total = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(total, faces[:, corner], cross)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-300)
