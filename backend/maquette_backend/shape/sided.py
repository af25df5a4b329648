"""A surface that knows which of the start's sides each of its vertices is of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Triangles = NDArray[np.int64]

EDGE = -1
"""In place of a side: that of a vertex on an edge."""


@dataclass(frozen=True)
class Sided:
    """A closed surface, with vertices along its edges where these were found."""

    positions: Points
    """[V,3]."""
    triangles: Triangles
    """[F,3]."""
    side: NDArray[np.int64]
    """[V]: of the start; EDGE on the line in which two meet. Two such vertices are neighbours only along a line."""
    inside: Points
    """[V]: 1 so far from every edge that the nearest place of the start is surely on the vertex's own side, 0 beside an
    edge, in between in between."""


def neighbours(faces: Triangles) -> NDArray[np.int64]:
    """Neighbours [P,2], each pair both ways round; of a closed surface every edge is met once each way."""
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


__all__ = ["EDGE", "Sided", "neighbours"]
