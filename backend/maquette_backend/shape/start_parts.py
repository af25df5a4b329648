"""The parts that a start mesh is made of, and which of them must be seen to be kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .adjacency import parts
from .clean import compacted, is_closed
from .sdf import nearest_points, winding_number

Points = NDArray[np.float64]
Triangles = NDArray[np.int64]

_SAME_PLACE = 1e-4
"""Parts nearer to each other than this everywhere, as a share of the mesh's longest side, are one drawn twice."""


@dataclass(frozen=True)
class StartParts:
    """A mesh whose vertices at equal positions are one, and the connected part of each of its triangles."""

    vertices: Points
    """[V,3]."""
    triangles: Triangles
    """[F,3]."""
    part: NDArray[np.int64]
    """[F], from 0 to ``count`` − 1."""
    count: int

    def alone(self, number: int) -> tuple[NDArray[np.float32], NDArray[np.int32]] | None:
        """One part, outward; None where it is nothing by itself: flat to a line, drawn a second time, or the wall of a
        cavity or a scrap inside a solid, which nobody can see."""
        mine = self.triangles[self.part == number]
        rest = self.triangles[self.part != number]
        volume = _volume(self.vertices, mine)
        closed = is_closed(mine)
        if np.ptp(self.vertices[mine.reshape(-1)], axis=0).max() <= 0 or self._drawn_twice(mine, rest):
            return None
        around = self._around(mine)
        if around is not None and (not closed or volume * _volume(self.vertices, around) <= 0):
            return None
        return compacted(self.vertices, mine[:, ::-1] if volume < 0 else mine)

    def _drawn_twice(self, mine: Triangles, rest: Triangles) -> bool:
        if len(rest) == 0:
            return False
        limit = _SAME_PLACE * float(np.ptp(self.vertices, axis=0).max())
        points = np.concatenate([self.vertices[mine].mean(axis=1), self.vertices[mine].reshape(-1, 3)])
        return bool((nearest_points(points, self.vertices, rest)[0] <= limit).all())

    def _around(self, mine: Triangles) -> Triangles | None:
        """The triangles of a part that holds all of ``mine`` inside it."""
        points = self.vertices[mine].mean(axis=1)
        for other in range(self.count):
            its = self.triangles[self.part == other]
            if its[0].tolist() != mine[0].tolist() and (np.abs(winding_number(points, self.vertices, its)) > 0.5).all():
                return its
        return None


def start_parts(positions: NDArray[np.floating], triangles: NDArray[np.integer]) -> StartParts:
    """The parts of a mesh (``positions`` [V,3], ``triangles`` [F,3]); corner-split meshes count as joined."""
    vertices, place = np.unique(positions.astype(np.float64), axis=0, return_inverse=True)
    faces = place.reshape(-1)[triangles.astype(np.int64)]
    part = parts(faces, len(vertices))
    return StartParts(vertices, faces, part, int(part.max(initial=-1)) + 1)


def _volume(vertices: Points, triangles: Triangles) -> float:
    """Six times the signed volume, about the part's own centre."""
    corners = vertices[triangles] - vertices[triangles].mean(axis=(0, 1))
    return float(np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])))
