"""Closed triangle meshes in which every edge lies between exactly two triangles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Vertices = NDArray[np.float32]
Triangles = NDArray[np.int32]


def is_edge_manifold(triangles: NDArray[np.integer]) -> bool:
    """Whether no directed edge occurs twice: with ``clean.is_closed``, two triangles at every edge, wound alike."""
    return len(np.unique(_directed(triangles))) == 3 * len(triangles)


def manifold(vertices: NDArray[np.floating], triangles: NDArray[np.integer]) -> tuple[Vertices, Triangles]:
    """A closed mesh cut apart where more than two triangles meet at an edge, or two fans at a vertex.

    Triangles at an edge are paired, one of each direction; corners joined through pairs stay one vertex, the others
    become vertices at the same place. Where one fan meets an edge twice, that edge is halved, once for each pair.
    Geometry does not change, and the mesh stays closed.
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
    cut, faces = vertices[triangles.reshape(-1)[first]].astype(np.float32), label.reshape(-1, 3).astype(np.int32)
    again = _met_again(faces, forward, backward)
    return manifold(*_halved(cut, faces, np.stack([forward[again], backward[again]], 1))) if again else (cut, faces)


def _met_again(triangles: Triangles, forward: NDArray[np.int64], backward: NDArray[np.int64]) -> list[int]:
    """Pairs whose edge another pair has already, no two of them of one triangle."""
    _, first = np.unique(_directed(triangles)[forward], return_index=True)
    chosen: list[int] = []
    touched: set[int] = set()
    for pair in np.setdiff1d(np.arange(len(forward)), first).tolist():
        faces = {int(forward[pair]) // 3, int(backward[pair]) // 3}
        if touched.isdisjoint(faces):
            touched |= faces
            chosen.append(pair)
    return chosen


def _halved(vertices: Vertices, triangles: Triangles, pairs: NDArray[np.int64]) -> tuple[Vertices, Triangles]:
    """Both triangles at each pair [P,2] of half edges cut in two, through a new vertex in the middle of the edge."""
    face, side = pairs // 3, pairs % 3
    a, b, c = (triangles[face, (side + k) % 3] for k in range(3))
    middle = np.broadcast_to(len(vertices) + np.arange(len(pairs))[:, None], a.shape)
    kept = np.delete(triangles, face.reshape(-1), axis=0)
    new = np.concatenate([np.stack(each, -1).reshape(-1, 3) for each in ((a, middle, c), (middle, b, c))])
    points = ((vertices[a[:, 0]] + vertices[b[:, 0]]) / 2).astype(np.float32)
    return np.concatenate([vertices, points]), np.concatenate([kept, new]).astype(np.int32)


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


def _directed(triangles: NDArray[np.integer]) -> NDArray[np.int64]:
    faces = triangles.astype(np.int64)
    count = int(faces.max()) + 1 if len(faces) else 1
    return faces.reshape(-1) * count + np.roll(faces, -1, axis=1).reshape(-1)
