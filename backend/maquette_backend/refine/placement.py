"""Between an artist's object and the unit space in which everything is optimised.

Unit space: the shape as it stands in the world (scale and shear included), centred, its longest side 1, turned
about Z so that the object's own −Y, its front, faces −Y. A mirroring transform flips the winding, so triangles are
counter-clockwise seen from outside in both spaces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import Matrix4
from numpy.typing import NDArray

Points = NDArray[np.float64]
FLAT = 1e-6
"""A transform whose least stretch is below this share of its greatest flattens the object; as in the recipe's check."""


@dataclass(frozen=True)
class Placement:
    """One subject's way into unit space and back."""

    unit_from_object: NDArray[np.float64]
    """[4,4], affine."""
    unit_from_world: NDArray[np.float64]
    """[4,4], a rotation about Z, a uniform scale and a shift."""
    mirrored: bool
    """Whether the object's transform turns it inside out."""

    @property
    def world_from_unit(self) -> NDArray[np.float64]:
        """[4,4]"""
        return np.linalg.inv(self.unit_from_world).astype(np.float64)

    def to_unit(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Object-space points [P,3] → unit space."""
        return _apply(self.unit_from_object, points)

    def to_object(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Unit-space points [P,3] → object space."""
        return _apply(np.linalg.inv(self.unit_from_object), points)

    def wind(self, triangles: NDArray[np.int32]) -> NDArray[np.int32]:
        """Triangles [F,3] as they are in the other space; its own inverse."""
        return np.ascontiguousarray(triangles[:, ::-1]) if self.mirrored else triangles


def place(name: str, positions: NDArray[np.floating], world_from_object: Matrix4) -> Placement:
    """The placement of an object with ``positions`` [V,3] under its world transform. Leave loose vertices out.

    Raises MaquetteError ZERO_SIZE, naming the object, where nothing of it has an extent in the world.
    """
    world_from_object_ = np.array(world_from_object, np.float64).reshape(4, 4)
    turned_from_world = _turn_about_z(-_front_azimuth(world_from_object_[:3, :3]))
    turned = turned_from_world @ world_from_object_
    shape = _transformed(turned, positions)
    low, high = shape.min(0), shape.max(0)
    longest = float((high - low).max())
    # judged by the transform's own scale: a plan in millimetres may be shown at a thousandth of a thousandth
    stretch = np.linalg.svd(world_from_object_[:3, :3], compute_uv=False)
    if not longest > 1e-9 or not stretch[2] > FLAT * stretch[0]:
        raise MaquetteError(
            ErrorCode.ZERO_SIZE,
            f"“{name}” has no volume in the scene (longest side {longest:.3g} m,"
            f" scale {' × '.join(f'{value:.3g}' for value in stretch)}).",
            "Give the object a size, and a scale that is not 0.",
        )
    unit_from_turned: NDArray[np.float64] = np.eye(4) / longest
    unit_from_turned[3, 3] = 1
    unit_from_turned[:3, 3] = -(low + high) / 2 / longest
    return Placement(
        unit_from_object=unit_from_turned @ turned,
        unit_from_world=unit_from_turned @ turned_from_world,
        mirrored=bool(np.linalg.det(world_from_object_[:3, :3]) < 0),
    )


def _front_azimuth(linear: NDArray[np.float64]) -> float:
    """How far about Z the object's −Y has been turned from the world's −Y, radians; 0 if it points up or down."""
    front = linear @ np.array([0.0, -1.0, 0.0])
    flat = math.hypot(front[0], front[1])
    return math.atan2(front[0], -front[1]) if flat > 1e-3 * np.linalg.norm(front) else 0.0


def _turn_about_z(angle: float) -> NDArray[np.float64]:
    turn: NDArray[np.float64] = np.eye(4)
    turn[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    return turn


def _apply(matrix: NDArray[np.floating], points: NDArray[np.floating]) -> NDArray[np.float32]:
    return _transformed(matrix, points).astype(np.float32)


def _transformed(matrix: NDArray[np.floating], points: NDArray[np.floating]) -> Points:
    """In double precision: far from the world's origin single precision would crumple a small object."""
    return points.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
