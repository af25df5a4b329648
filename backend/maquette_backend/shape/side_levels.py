"""Where a side of a moved surface goes on beside its edges, told by what lies farther in.

Within a cell or two of an edge a grid's surface says little of either side: it cuts the edge, or goes round it, by
another amount in every cell. So next to an edge a vertex is put where its side would be if that went on as it comes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .crease_sides import Origins
from .sided import neighbours

Points = NDArray[np.float64]
Triangles = NDArray[np.int64]

LEAST_ANGLE, MOST_ANGLE = 20.0, 140.0
"""Degrees between two sides' normals for which the line they meet in is well known."""
FARTHEST = 1.0
"""The most by which a vertex is moved for an edge, in cells of the grid."""
BESIDE = 2
"""Vertices fewer than so many triangle edges away from an edge are beside it."""
_TRUST = (1e-3, 0.05, 0.5, 1.0)
"""What vertices count for by how many triangle edges they are away from an edge; the last for those beyond as well."""
_SPREAD = 5
_FLAT = 0.3
"""A side's slope counts for less where it is known over less than so many cells."""
_INSET = 0.15
"""A vertex beside an edge stays so many cells away from it, on its own side."""


@dataclass(frozen=True)
class Beside:
    """A moved surface's vertices by how near they are to its edges."""

    anchors: Points
    """[V,3]: where each vertex's own side is; its place, but next to an edge."""
    inner: Points
    """[V,3]: the middle of what told so, farther in on the same side."""
    crossing: NDArray[np.int64]
    """[C,2]: neighbours whose sides meet in a line that is well known, each pair both ways round."""

    inside: Points
    """[V]: 0 beside an edge, 1 where all within two triangle edges are not, in between what share of them is not."""


def beside_edges(vertices: Points, faces: Triangles, came_from: Points, origin: Origins, spacing: float) -> Beside:
    """What is beside the edges of a moved surface (``vertices`` [V,3], ``faces`` [F,3], ``came_from`` [V,3])."""
    pairs = neighbours(faces)
    meet = _meet(pairs, origin)
    steps = _steps(pairs, meet, origin.side)
    expected, inner = _continued(vertices, faces, came_from, origin, steps, spacing)
    anchors = np.where((steps < BESIDE)[:, None], vertices + shortened(expected - vertices, FARTHEST * spacing), vertices)
    inside = (steps >= BESIDE).astype(np.float64)
    for _ in range(2):
        inside = inside * np.bincount(pairs[:, 0], inside[pairs[:, 1]]) / np.bincount(pairs[:, 0])
    return Beside(anchors, inner, np.concatenate([pairs[meet], pairs[meet][:, ::-1]]), inside)


def kept_apart(beside: Beside, outward: Points, spacing: float) -> Points:
    """The anchors [V,3], those that are beyond another side's put back along their own; ``outward`` [V,3] unit."""
    one, other = beside.crossing.T
    own, plane = outward[one], outward[other]
    along = plane - (plane * own).sum(axis=1, keepdims=True) * own
    steep = np.maximum((plane * along).sum(axis=1), 0.1)
    convex = np.where((plane * (beside.inner[one] - beside.anchors[other])).sum(axis=1) < 0, 1.0, -1.0)
    placed = beside.anchors.copy()
    for _ in range(3):
        beyond = convex * (plane * (placed[one] - beside.anchors[other])).sum(axis=1) + _INSET * spacing
        order = np.lexsort((-beyond, one))
        worst = order[np.diff(one[order], prepend=-1) != 0]
        worst = worst[beyond[worst] > 0]
        back = np.minimum(beyond, FARTHEST * spacing) * convex / steep
        placed[one[worst]] -= back[worst, None] * along[worst]
    return placed


def shortened(ways: Points, longest: float) -> Points:
    """``ways`` [N,3], none longer than ``longest``."""
    length = np.linalg.norm(ways, axis=1, keepdims=True)
    return ways * np.minimum(1.0, longest / np.maximum(length, 1e-300))


def _meet(pairs: Triangles, origin: Origins) -> NDArray[np.bool_]:
    """Which neighbours [P] are of two sides that meet at an angle."""
    cosine = (origin.outward[pairs[:, 0]] * origin.outward[pairs[:, 1]]).sum(axis=1)
    at_angle = (cosine < np.cos(np.deg2rad(LEAST_ANGLE))) & (cosine > np.cos(np.deg2rad(MOST_ANGLE)))
    known = (origin.outward != 0).any(axis=1)[pairs].all(axis=1)
    return at_angle & known & (origin.side[pairs[:, 0]] != origin.side[pairs[:, 1]])


def _steps(pairs: Triangles, meet: NDArray[np.bool_], side: NDArray[np.int64]) -> NDArray[np.int64]:
    """[V]: triangle edges from each vertex to the nearest one at which its side meets another, at most len(_TRUST)."""
    farthest = len(_TRUST)
    steps = np.full(len(side), farthest)
    steps[pairs[meet].reshape(-1)] = 0
    same = pairs[side[pairs[:, 0]] == side[pairs[:, 1]]]
    for number in range(1, farthest):
        reached = same[steps[same[:, 0]] == number - 1, 1]
        steps[reached[steps[reached] == farthest]] = number
    return steps


def _continued(
    vertices: Points, faces: Triangles, came_from: Points, origin: Origins, steps: NDArray[np.int64], spacing: float
) -> tuple[Points, Points]:
    """Where each vertex would be [V,3] if its level over its own side, and the way it was carried, were as those around
    it say, a linear function of the place; and these ones' middle [V,3]."""
    level = ((came_from - origin.foot) * origin.outward).sum(axis=1)
    known = np.concatenate([level[:, None], vertices - came_from], axis=1)
    trust = np.array([*_TRUST, _TRUST[-1]])[steps] * (_areas_round(vertices, faces) + 1e-3 * spacing**2)
    affine = np.concatenate([np.ones((len(vertices), 1)), came_from], axis=1)
    moments = trust[:, None, None] * affine[:, :, None] * np.concatenate([affine, known], axis=1)[:, None, :]
    moments = _spread(moments.reshape(len(vertices), -1), faces, origin.side).reshape(len(vertices), 4, 8)
    moments = moments / moments[:, :1, :1]
    middle, mean = moments[:, 0, 1:4], moments[:, 0, 4:]
    spread = moments[:, 1:, 1:4] - middle[:, :, None] * middle[:, None, :] + (_FLAT * spacing) ** 2 * np.eye(3)
    slope = np.linalg.solve(spread, moments[:, 1:, 4:] - middle[:, :, None] * mean[:, None, :])
    found = mean + np.einsum("vi,vij->vj", came_from - middle, slope)
    expected = came_from + (found[:, :1] - level[:, None]) * origin.outward + found[:, 1:]
    return expected, middle + mean[:, 1:] + mean[:, :1] * origin.outward


def _spread(values: Points, faces: Triangles, side: NDArray[np.int64]) -> Points:
    """Sums [V,C] of each vertex's ``values`` and those around it on its own side, nearer ones counting for more."""
    pairs = neighbours(faces)
    pairs = pairs[side[pairs[:, 0]] == side[pairs[:, 1]]]
    count = len(values)
    beside = sparse.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    for _ in range(_SPREAD):
        values = values + 0.5 * (beside @ values)
    return values


def _areas_round(vertices: Points, faces: Triangles) -> Points:
    """Twice the area of the triangles round each vertex, [V]."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    double = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return np.bincount(faces.reshape(-1), np.repeat(double, 3), len(vertices)).astype(np.float64)


__all__ = ["BESIDE", "FARTHEST", "Beside", "beside_edges", "kept_apart", "shortened"]
