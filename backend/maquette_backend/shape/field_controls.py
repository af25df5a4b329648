"""An artist's locks and mask for a surface that is a level of a field and has no vertices of its own.

All in unit space. Where the offsets of a mesh are tied vertex by vertex, here the functions themselves are made to keep
the locks: a displacement that is the same on both sides of a mirror, none where the mask is 0, a solid cut at a floor.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .sdf import nearest_points

Points = NDArray[np.floating]
Triangles = NDArray[np.integer]


@dataclass(frozen=True)
class Floor:
    """The plane on which an object stands, in unit space."""

    up: NDArray[np.float64]
    """[3], unit."""
    height: float
    """``up · x`` of its points."""
    along: NDArray[np.float64]
    """[3]: the object's own z axis, scaled so that it rises by 1; it leans where the object is sheared."""


@dataclass(frozen=True)
class FieldControls:
    """What is asked of a displacement field."""

    mirrors: tuple[NDArray[np.float64], ...] = ()
    """[4,4] each: the reflections that change nothing, affine, their own inverses; they commute."""
    masked: tuple[Points, Triangles, NDArray[np.float32]] | None = None
    """The start's positions [V,3], triangles [F,3] and the share [V] of the bound that each vertex has; None: all of it."""
    floor: Floor | None = None

    def share(self, points: Tensor) -> Tensor:
        """[P]: the share of the bound at points [P,3], that of the nearest point of the start's surface."""
        if self.masked is None:
            return torch.ones(len(points), device=points.device, dtype=points.dtype)
        places = points.detach().cpu().double().numpy()
        found = [_share_at(_moved(places, image), *self.masked) for image in self.images()]
        return torch.from_numpy(np.min(found, axis=0)).to(points)

    def even(self, field: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
        """Values [P,1+3n] of ``field`` at points [P,3], the mean over their mirror images: a scalar, and n vectors that
        are mirrored with them."""
        images = self.images()
        if len(images) == 1:
            return field(points)
        total: Tensor | None = None
        for image in images:
            linear = torch.from_numpy(image[:3, :3]).to(points)
            value = field(points @ linear.T + torch.from_numpy(image[:3, 3]).to(points))
            vectors = (value[:, 1:].reshape(-1, 3) @ linear.T).reshape(len(points), -1)
            both = torch.cat([value[:, :1], vectors], 1)
            total = both if total is None else total + both
        assert total is not None
        return total / len(images)

    def level(self, vectors: Tensor) -> Tensor:
        """``vectors`` [P,3] without what would lift them off the floor or sink them."""
        if self.floor is None:
            return vectors
        up = torch.from_numpy(self.floor.up).to(vectors)
        return vectors - (vectors @ up)[:, None] * up

    def cut(self, sdf: Tensor, points: Tensor) -> Tensor:
        """``sdf`` [P] at points [P,3] without what is below the floor."""
        if self.floor is None:
            return sdf
        up = torch.from_numpy(self.floor.up).to(points)
        return torch.maximum(sdf, self.floor.height - points @ up)

    def standing(self, points: Points, thickness: float) -> NDArray[np.float64]:
        """Points [P,3] with those below the floor, or less than ``thickness`` above it, put on it."""
        if self.floor is None:
            return points.astype(np.float64)
        above = points @ self.floor.up - self.floor.height
        return points - np.where(above < thickness, above, 0.0)[:, None] * self.floor.along

    def rooted(self, points: NDArray[np.float64], motion: NDArray[np.float64]) -> NDArray[np.float64]:
        """``motion`` [P,3] of points [P,3]: along the floor for those on it, and none of the others through it."""
        if self.floor is None:
            return motion
        above = points @ self.floor.up - self.floor.height
        rise = motion @ self.floor.up
        allowed = np.where(above < 1e-6, 0.0, np.maximum(rise, -above))
        return motion + (allowed - rise)[:, None] * self.floor.along

    def images(self) -> list[NDArray[np.float64]]:
        """Every product of the mirrors, the identity first, [4,4] each."""
        chosen = (subset for n in range(len(self.mirrors) + 1) for subset in itertools.combinations(self.mirrors, n))
        return [_product(subset) for subset in chosen]


def mirror_in_unit_space(unit_from_object: NDArray[np.floating], axis: int) -> NDArray[np.float64]:
    """[4,4]: the object's reflection ``axis`` → −``axis``, seen from unit space."""
    flip = np.eye(4)
    flip[axis, axis] = -1
    matrix = np.asarray(unit_from_object, np.float64)
    return matrix @ flip @ np.linalg.inv(matrix)


def floor_in_unit_space(unit_from_object: NDArray[np.floating], height: float) -> Floor:
    """The plane z = ``height`` of object space, seen from unit space."""
    matrix = np.asarray(unit_from_object, np.float64)
    inverse = np.linalg.inv(matrix)
    length = float(np.linalg.norm(inverse[2, :3]))  # of object z's gradient: how much it rises over one unit
    up = np.asarray(inverse[2, :3] / length, np.float64)
    return Floor(up, (height - inverse[2, 3]) / length, matrix[:3, 2] * length)


def standing(
    positions: Points, triangles: Triangles, resting: NDArray[np.bool_], floor: Floor, depth: float
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The mesh with the faces it stands on pushed ``depth`` down through the floor, walls around them.

    Cut at the floor again it is what it was. But its bottom is now made by the cut, so whatever the field does, the sides
    of a leg move and its foot does not lift off. ``resting`` [V] are the vertices on the floor; a mesh without a face
    there, or without any other, is left alone.
    """
    under = resting[triangles].all(axis=1)
    if not under.any() or under.all():
        return positions.astype(np.float32), triangles.astype(np.int32)
    soles = triangles[under]
    lowered = np.full(len(positions), -1)
    corners = np.unique(soles)
    lowered[corners] = len(positions) + np.arange(len(corners))
    below = positions[corners].astype(np.float64) - depth * floor.along
    a, b = _border(soles).T
    walls = np.concatenate([np.stack([a, b, lowered[b]], 1), np.stack([a, lowered[b], lowered[a]], 1)])
    faces = np.concatenate([triangles[~under], lowered[soles], walls])
    return np.concatenate([positions, below]).astype(np.float32), faces.astype(np.int32)


def _border(triangles: Triangles) -> NDArray[np.int64]:
    """Directed edges [N,2] of ``triangles`` [F,3] whose reverse is none of theirs."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).astype(np.int64)
    base = int(edges.max()) + 1
    return edges[~np.isin(edges[:, 0] * base + edges[:, 1], edges[:, 1] * base + edges[:, 0])]


def _product(matrices: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.eye(4)
    for matrix in matrices:
        result = result @ matrix
    return result


def _moved(points: Points, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _share_at(
    points: NDArray[np.float64], positions: Points, triangles: Triangles, share: NDArray[np.float32]
) -> NDArray[np.float64]:
    """[P]: the share of the nearest point of the mesh, linear over its triangles."""
    corners = positions.astype(np.float64), np.ascontiguousarray(triangles, np.int64)
    _, owner, place = nearest_points(np.ascontiguousarray(points), *corners)
    of_corner = share[triangles[owner]].astype(np.float64)
    weights = _barycentric(place, corners[0][triangles[owner]])
    mixed = (weights * of_corner).sum(axis=1)
    return np.where(of_corner.max(axis=1) == 0, 0.0, np.clip(mixed, of_corner.min(axis=1), of_corner.max(axis=1)))


def _barycentric(points: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights [P,3] of points in their triangles [P,3,3]; thirds where a triangle has no area."""
    one, two, to = (side - corners[:, 0] for side in (corners[:, 1], corners[:, 2], points))
    normal = np.cross(one, two)
    square = (normal**2).sum(axis=1)
    flat = square < 1e-30
    safe = np.where(flat, 1.0, square)
    second = (np.cross(to, two) * normal).sum(axis=1) / safe
    third = (np.cross(one, to) * normal).sum(axis=1) / safe
    return np.where(flat[:, None], 1 / 3, np.stack([1 - second - third, second, third], axis=1))
