"""Closed triangle meshes in which every edge lies between exactly two triangles, and no triangle is a line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Vertices = NDArray[np.float32]
Triangles = NDArray[np.int32]

LEAST_HEIGHT = 1e-6
"""A triangle lower than this, in the mesh's unit, is a line."""
_ROUNDS = 12


def is_edge_manifold(triangles: NDArray[np.integer]) -> bool:
    """Whether no directed edge occurs twice: with ``clean.is_closed``, two triangles at every edge, wound alike."""
    return len(np.unique(_directed(triangles))) == 3 * len(triangles)


def manifold(vertices: NDArray[np.floating], triangles: NDArray[np.integer]) -> tuple[Vertices, Triangles]:
    """A closed mesh cut apart where more than two triangles meet at an edge, or two fans at a vertex.

    Triangles at an edge are paired, one of each direction; corners joined through pairs stay one vertex, the others
    become vertices at the same place. Geometry does not change, and the mesh stays closed.
    """
    if len(triangles) == 0:
        return vertices.astype(np.float32), triangles.astype(np.int32)
    forward, backward = _paired(vertices, triangles.astype(np.int64))
    count = 3 * len(triangles)
    following = np.arange(count) // 3 * 3 + (np.arange(count) + 1) % 3
    # half edge h runs from corner h to the next; its partner runs the other way
    ends = np.concatenate([np.stack([forward, following[backward]], 1), np.stack([following[forward], backward], 1)])
    links = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, label = connected_components(links, directed=False)
    _, first = np.unique(label, return_index=True)
    return vertices[triangles.reshape(-1)[first]].astype(np.float32), label.reshape(-1, 3).astype(np.int32)


def _paired(vertices: NDArray[np.floating], faces: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Half edges and their partners of the other direction, [n] each; where there are several, neighbours round the
    edge with the solid between them."""
    start, end = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    low, high = np.minimum(start, end), np.maximum(start, end)
    key = low * (int(faces.max()) + 1) + high
    runs_up = start < end
    angle = _angle_round(vertices, faces, low, high)
    order = np.lexsort((angle, key))
    up, down = order[runs_up[order]], order[~runs_up[order]]
    return up, down[_partner(key, angle, up, down)]


def _partner(
    key: NDArray[np.int64], angle: NDArray[np.float64], up: NDArray[np.int64], down: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each of ``up`` the place in ``down`` of its partner: the one before it round the edge, cyclically. A triangle
    that runs up the edge faces on, so the solid is behind it."""
    if not np.array_equal(key[up], key[down]):
        raise ValueError("only a closed mesh can be made manifold")
    place = np.arange(len(up))
    begins = np.concatenate([[True], key[up][1:] != key[up][:-1]])
    first = np.maximum.accumulate(np.where(begins, place, 0))
    size = np.bincount(np.cumsum(begins) - 1)[np.cumsum(begins) - 1]
    later = np.zeros(len(up), np.int64)
    for row in np.flatnonzero(begins & (size > 1)):  # few: ordinary edges have one of each
        rows = np.arange(row, row + size[row])
        before = np.searchsorted(angle[down[rows]], angle[up[rows]]) - 1
        # the same turn for all keeps partners apart; one that fits the first fits all where directions alternate
        later[rows] = before[0]
    return first + (place - first + later) % size


def _angle_round(
    vertices: NDArray[np.floating], faces: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The angle of each half edge's triangle round its edge, [3F], from an arbitrary but common direction."""
    p = vertices.astype(np.float64)
    axis = p[high] - p[low]
    axis /= np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-300)
    helper = np.eye(3)[np.argmin(np.abs(axis), axis=1)]
    x = np.cross(axis, helper)
    y = np.cross(axis, x)
    toward = p[np.roll(faces, -2, axis=1).reshape(-1)] - p[low]
    return np.arctan2((toward * y).sum(1), (toward * x).sum(1))


def without_slivers(
    vertices: NDArray[np.floating], triangles: NDArray[np.integer], least_height: float = LEAST_HEIGHT
) -> tuple[Vertices, Triangles]:
    """A manifold mesh whose triangles lower than ``least_height`` are collapsed (short ones) or flipped away (those with
    a corner on the opposite side); it stays manifold. Few are expected."""
    v, f = vertices.astype(np.float64), triangles.astype(np.int64)
    for _ in range(_ROUNDS):
        height, longest, shortest = _heights(v, f)
        bad = np.flatnonzero(height < least_height)
        if len(bad) == 0:
            break
        f = _mended(v, f, bad, longest, shortest)
    used, index = np.unique(f, return_inverse=True)
    return v[used].astype(np.float32), index.reshape(-1, 3).astype(np.int32)


def _heights(
    v: NDArray[np.float64], f: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Each triangle's height over its longest side, which side that is, and which is the shortest; [F] each."""
    p = v[f].astype(np.float32).astype(np.float64)
    length = np.linalg.norm(np.roll(p, -1, axis=1) - p, axis=2)
    area = np.linalg.norm(np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]), axis=1)
    return area / np.maximum(length.max(axis=1), 1e-300), length.argmax(axis=1), length.argmin(axis=1)


def _mended(
    v: NDArray[np.float64],
    f: NDArray[np.int64],
    bad: NDArray[np.int64],
    longest: NDArray[np.int64],
    shortest: NDArray[np.int64],
) -> NDArray[np.int64]:
    """One round: every bad triangle that no earlier change of the round has touched."""
    beside: dict[tuple[int, int], int] = {}
    round_vertex: dict[int, list[int]] = {}
    for face in _two_rings(f, bad, len(v)).tolist():
        corners = f[face].tolist()
        for k in range(3):
            beside[corners[k], corners[(k + 1) % 3]] = face
            round_vertex.setdefault(corners[k], []).append(face)
    f, gone, touched = f.copy(), np.zeros(len(f), bool), np.zeros(len(f), bool)
    for face in bad.tolist():
        near = {n for corner in f[face].tolist() for n in round_vertex[corner]}
        if touched[list(near)].any():
            continue
        a, b = int(f[face, shortest[face]]), int(f[face, (shortest[face] + 1) % 3])
        lone = np.linalg.norm(v[a] - v[b]) < 0.1 * np.linalg.norm(
            v[f[face, longest[face]]] - v[f[face, (longest[face] + 1) % 3]]
        )
        done = (lone and _collapse(v, f, gone, a, b, round_vertex)) or _flip(f, face, int(longest[face]), beside)
        done = done or _collapse(v, f, gone, a, b, round_vertex)
        if done:
            touched[list(near)] = True
    return f[~gone]


def _two_rings(f: NDArray[np.int64], faces: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """All triangles at a vertex of a triangle that touches one of ``faces``: no mending looks or reaches farther."""
    for _ in range(2):
        near = np.zeros(count, bool)
        near[f[faces].reshape(-1)] = True
        faces = np.flatnonzero(near[f].any(axis=1))
    return faces


def _collapse(
    v: NDArray[np.float64],
    f: NDArray[np.int64],
    gone: NDArray[np.bool_],
    a: int,
    b: int,
    round_vertex: dict[int, list[int]],
) -> bool:
    """Vertex b onto a, where their only common neighbours are those of the two triangles between them."""
    around_a = {n for face in round_vertex[a] for n in f[face].tolist()}
    around_b = {n for face in round_vertex[b] for n in f[face].tolist()}
    between = [face for face in round_vertex[b] if a in f[face]]
    if len((around_a & around_b) - {a, b}) != 2 or len(between) != 2 or len(around_a | around_b) < 5:
        return False
    for face in round_vertex[b]:
        f[face][f[face] == b] = a
    gone[between] = True
    return True


def _flip(f: NDArray[np.int64], face: int, side: int, beside: dict[tuple[int, int], int]) -> bool:
    """Turn the longest side of a triangle so that it joins the two opposite corners, unless they are joined already."""
    a, b, c = (int(f[face, (side + k) % 3]) for k in range(3))
    other = beside.get((b, a))
    if other is None:
        return False
    d = next(int(n) for n in f[other] if n not in (a, b))
    if d == c or (c, d) in beside or (d, c) in beside:
        return False
    f[face], f[other] = (a, d, c), (d, b, c)
    return True


def _directed(triangles: NDArray[np.integer]) -> NDArray[np.int64]:
    faces = triangles.astype(np.int64)
    count = int(faces.max()) + 1 if len(faces) else 1
    return faces.reshape(-1) * count + np.roll(faces, -1, axis=1).reshape(-1)
