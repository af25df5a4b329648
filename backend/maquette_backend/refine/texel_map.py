"""The surface under each texel of a subject's texture: where it is, which way it faces, how near to what is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from maquette_backend.appearance.uv_raster import surface_under_texels
from maquette_backend.refine.finish import Mesh
from maquette_backend.shape.places import first_at_each_place

APART = 10.0
"""What a number of a connected part counts for beside positions in unit space: parts that only touch are strangers."""


@dataclass(frozen=True)
class TexelMap:
    """P texels that lie on the surface, row by row."""

    mesh: Mesh
    size: int
    covered: NDArray[np.bool_]
    """[size,size]"""
    triangles: NDArray[np.int32]
    """[P]"""
    weights: NDArray[np.float32]
    """[P,3] barycentric"""
    points: NDArray[np.float32]
    """[P,3] unit space"""
    normals: NDArray[np.float32]
    """[P,3] unit, of the triangle"""
    parts: NDArray[np.int32]
    """[P] connected part of the surface"""

    def image(self, values: NDArray[Any], background: NDArray[Any]) -> NDArray[Any]:
        """``background`` [size,size,…] with ``values`` [P,…] put in."""
        result = background.copy()
        result[self.covered] = values
        return result

    def places(self) -> NDArray[np.float32]:
        """[P,4]: positions, and parts far from each other."""
        return np.concatenate([self.points, APART * self.parts[:, None].astype(np.float32)], 1)


def texel_map(mesh: Mesh, size: int) -> TexelMap:
    """Of a mesh with UVs, for a texture of ``size`` px."""
    assert mesh.corner_uvs is not None
    owner, weights = surface_under_texels(mesh.corner_uvs, size)
    covered = owner >= 0
    triangles = owner[covered]
    corners = mesh.positions[mesh.triangles]
    share = weights[covered].astype(np.float32)
    points: NDArray[np.float32] = np.zeros((len(triangles), 3), np.float32)
    for corner in range(3):
        points += share[:, corner, None] * corners[triangles, corner]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
    return TexelMap(mesh, size, covered, triangles, share, points, normal[triangles], parts_of(mesh)[triangles])


def parts_of(mesh: Mesh) -> NDArray[np.int32]:
    """The connected part [F] of each triangle, vertices at one place being one."""
    faces = first_at_each_place(mesh.positions)[mesh.triangles]
    rows, columns = faces[:, [0, 1]].reshape(-1), faces[:, [1, 2]].reshape(-1)
    count = int(faces.max()) + 1
    links = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(count, count))
    return connected_components(links, directed=False)[1][faces[:, 0]].astype(np.int32)
