"""Closed shapes of quads to start from, where there is no mesh yet. Numpy only.

All three are one grid on a cube's six sides, moved: so they have even quads without poles, and one UV layout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Shape = Literal["ELLIPSOID", "CYLINDER", "BOX"]
_SIDES = ((0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1))
"""Axis and direction of each side."""
_GAP = 0.01
"""Between the UV islands, as a share of an island's cell."""


def start_shape(shape: Shape, parts: int) -> tuple[Points, NDArray[np.int32], NDArray[np.float32]]:
    """Positions [V,3] within ±1, quads [F,4], outward, and UVs of their corners [F,4,2]: six islands, three by two.

    ``parts`` is the number of quads along each side.
    """
    places, uvs = _grid(parts)
    flat = places.reshape(-1, 3)
    keys = np.rint((flat + 1) * parts / 2).astype(np.int64)  # whole numbers, so that welding is exact
    _, first, index = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    quads = index.reshape(places.shape[:2]).astype(np.int32)
    return _MOVES[shape](flat[first]), quads, uvs.astype(np.float32)


def _grid(parts: int) -> tuple[Points, Points]:
    """Corners [F,4,3] of the quads on the cube's sides, and their UVs [F,4,2]."""
    steps = np.linspace(-1.0, 1.0, parts + 1)
    u, v = np.meshgrid(np.arange(parts), np.arange(parts), indexing="ij")
    corners = np.stack([np.stack([u, v], -1) + offset for offset in ((0, 0), (1, 0), (1, 1), (0, 1))], axis=-2)
    corners = corners.reshape(-1, 4, 2)
    places, uvs = [], []
    for cell, (axis, direction) in enumerate(_SIDES):
        side = np.full((len(corners), 4, 3), float(direction))
        # u × v points along the axis; mirrored on the far side, so that every quad faces outward
        side[..., (axis + 1) % 3] = steps[corners[..., 0]] * direction
        side[..., (axis + 2) % 3] = steps[corners[..., 1]]
        places.append(side)
        inside = _GAP + (1 - 2 * _GAP) * corners / parts
        uvs.append((inside + np.array([cell % 3, cell // 3])) / np.array([3, 2]))
    return np.concatenate(places), np.concatenate(uvs)


def _ball(cube: Points) -> Points:
    """The cube onto the unit ball, with more even quads than by dividing by the length."""
    squares = cube**2
    y, z = np.roll(squares, -1, axis=1), np.roll(squares, -2, axis=1)
    return cube * np.sqrt(1 - y / 2 - z / 2 + y * z / 3)


def _cylinder(cube: Points) -> Points:
    """Each level's square onto the unit disc."""
    x, y, z = cube.T
    return np.stack([x * np.sqrt(1 - y**2 / 2), y * np.sqrt(1 - x**2 / 2), z], axis=1)


def _box(cube: Points) -> Points:
    return cube


_MOVES: dict[Shape, Callable[[Points], Points]] = {"ELLIPSOID": _ball, "CYLINDER": _cylinder, "BOX": _box}
