"""Triangles that are lines taken out of a manifold mesh."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vertices = NDArray[np.float32]
Triangles = NDArray[np.int32]

LEAST_HEIGHT = 1e-6
"""A triangle lower than this, in the mesh's unit, is a line."""
_ROUNDS = 12


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
