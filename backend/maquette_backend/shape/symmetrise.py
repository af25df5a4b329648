"""A closed surface made its own mirror image: one half, and its reflection, joined at the plane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .sdf import nearest_points

Points = NDArray[np.float64]
Triangles = NDArray[np.int64]

_NEAR_PLANE = 5e-4
"""A vertex nearer to the plane than this, in the mesh's unit, is put on it: a cut closer by would leave slivers."""


def is_mirrored(
    positions: NDArray[np.floating], triangles: NDArray[np.integer], mirror: NDArray[np.float64], tolerance: float
) -> bool:
    """Whether the surface is its own image under ``mirror`` [4,4] to ``tolerance`` (a length), at corners, on edges and in
    the middle of triangles; which triangles it is made of does not matter."""
    vertices, faces = positions.astype(np.float64), triangles.astype(np.int64)
    corners = vertices[faces]
    sides = (corners + np.roll(corners, 1, axis=1)) / 2
    points = np.concatenate([corners.reshape(-1, 3), sides.reshape(-1, 3), corners.mean(axis=1)])
    away, _, _ = nearest_points(np.ascontiguousarray(reflected(points, mirror)), vertices, faces)
    return bool((away <= tolerance).all())


def symmetrised(
    positions: NDArray[np.floating],
    triangles: NDArray[np.integer],
    mirrors: Sequence[NDArray[np.float64]],
    settle: Callable[[Points], Points] = lambda points: points,
) -> tuple[Points, Triangles]:
    """What of a closed surface is on the positive side of all ``mirrors`` ([4,4] each, reflections that commute), and its
    images. ``settle`` may move that part's vertices [V,3] first; those on a plane stay on it.

    Closed again, as the cut's border lies on the planes; not necessarily manifold (``manifold.manifold`` makes it so).
    A surface with nothing on that side comes back as it is.
    """
    part = _Part(positions.astype(np.float64), triangles.astype(np.int64), np.zeros((len(mirrors), len(positions)), bool))
    for number, mirror in enumerate(mirrors):
        part = _half(part, number, mirror)
    if len(part.faces) == 0:
        return positions.astype(np.float64), triangles.astype(np.int64)
    vertices = settle(part.vertices)
    for on, mirror in zip(part.on, mirrors, strict=True):
        vertices = np.where(on[:, None], _on_plane(vertices, mirror), vertices)
    faces, on = part.faces, part.on
    for number, mirror in enumerate(mirrors):
        own = np.arange(len(vertices))
        image = np.where(on[number], own, len(vertices) + own)
        faces = np.concatenate([faces, image[faces][:, ::-1]])
        vertices, on = np.concatenate([vertices, reflected(vertices, mirror)]), np.tile(on, 2)
    return vertices, faces


def reflected(points: Points, mirror: NDArray[np.float64]) -> Points:
    """Points [P,3] under an affine map [4,4]."""
    return points @ mirror[:3, :3].T + mirror[:3, 3]


def _on_plane(points: Points, mirror: NDArray[np.float64]) -> Points:
    """Points [P,3] moved onto the plane that ``mirror`` leaves in place, along what it turns round."""
    return (points + reflected(points, mirror)) / 2


@dataclass(frozen=True)
class _Part:
    vertices: Points
    faces: Triangles
    on: NDArray[np.bool_]
    """[mirrors,V]: which vertices lie on which plane, a matter of how they were made and not of rounding."""


def _half(part: _Part, number: int, mirror: NDArray[np.float64]) -> _Part:
    """What of ``part`` is above the plane of ``mirror``, its only vertices those that are used."""
    height, across = _heights(part.vertices, mirror)
    near = np.abs(height) < _NEAR_PLANE
    vertices = part.vertices - np.where(near, height, 0.0)[:, None] * across
    height = np.where(near, 0.0, height)
    low, high, faces = _cut(height, part.faces)
    share = (height[low] / (height[low] - height[high]))[:, None]
    vertices = np.concatenate([vertices, vertices[low] + share * (vertices[high] - vertices[low])])
    on = np.concatenate([part.on, part.on[:, low] & part.on[:, high]], axis=1)
    height = np.concatenate([height, np.zeros(len(low))])
    on[number] = height == 0
    above = faces[(height[faces] >= 0).all(axis=1) & (height[faces] > 0).any(axis=1)]
    used, index = np.unique(above, return_inverse=True)
    return _Part(vertices[used], index.reshape(-1, 3).astype(np.int64), on[:, used])


def _heights(points: Points, mirror: NDArray[np.float64]) -> tuple[Points, Points]:
    """Signed heights [P] of points over the plane, and the unit way across it [3]: ``mirror`` takes x to x − 2hd."""
    twice = np.eye(3) - mirror[:3, :3]  # 2 d gᵀ: of rank one
    across = twice[:, np.argmax(np.linalg.norm(twice, axis=0))]
    across = across / np.linalg.norm(across)
    across = across * np.sign(across[np.argmax(np.abs(across))])
    return (points - reflected(points, mirror)) @ across / 2, across


def _cut(height: Points, faces: Triangles) -> tuple[NDArray[np.int64], NDArray[np.int64], Triangles]:
    """The ends [N] and [N] of the edges that cross the plane, where a new vertex goes (in that order, after the old ones),
    and the same surface of triangles none of which is on both sides."""
    ends = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges, place = np.unique(ends, axis=0, return_inverse=True)
    crossed = height[edges].prod(axis=1) < 0
    number = np.full(len(edges), -1)
    number[crossed] = len(height) + np.arange(int(crossed.sum()))
    middle = number[place.reshape(3, -1).T]  # [F,3]: on the sides 01, 12, 20
    pieces = [faces[(middle < 0).all(axis=1)]]
    for k in range(3):
        turn = [(k + j) % 3 for j in range(3)]
        (a, b, c), (ab, bc, ca) = faces[:, turn].T, middle[:, turn].T
        lone = (ab >= 0) & (ca >= 0)  # a is alone on its side
        pieces += [np.stack(each, 1)[lone] for each in ((a, ab, ca), (ab, b, c), (ab, c, ca))]
        halved = (bc >= 0) & (ab < 0) & (ca < 0)  # a is on the plane
        pieces += [np.stack(each, 1)[halved] for each in ((a, b, bc), (a, bc, c))]
    low, high = edges[crossed].T
    return low, high, np.concatenate(pieces)
