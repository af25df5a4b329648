"""Coarse test subjects, and measurements of surfaces."""

from __future__ import annotations

import igl
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Positions = NDArray[np.float32]
Triangles = NDArray[np.int32]

_BOX_TRIANGLES = np.array(
    [0, 2, 3, 0, 3, 1, 4, 5, 7, 4, 7, 6, 0, 1, 5, 0, 5, 4, 2, 6, 7, 2, 7, 3, 0, 4, 6, 0, 6, 2, 1, 3, 7, 1, 7, 5],
    np.int32,
).reshape(-1, 3)
"""Corner ``4z+2y+x``, outwards."""


def boxes(*bounds: tuple[float, float, float, float, float, float]) -> tuple[Positions, Triangles]:
    """Boxes given as (low x, y, z, high x, y, z)."""
    positions, triangles = [], []
    for at, bound in enumerate(bounds):
        low, high = np.array(bound[:3]), np.array(bound[3:])
        corner = np.array([[k & 1, k >> 1 & 1, k >> 2] for k in range(8)])
        positions.append(low + corner * (high - low))
        triangles.append(_BOX_TRIANGLES + 8 * at)
    return np.concatenate(positions).astype(np.float32), np.ascontiguousarray(np.concatenate(triangles), np.int32)


def box() -> tuple[Positions, Triangles]:
    return boxes((-0.5, -0.4, -0.3, 0.5, 0.4, 0.3))


def box_chair(leg: float = 0.08) -> tuple[Positions, Triangles]:
    """A seat, a back and four legs, a metre high; the front is −Y."""
    legs = [
        (x, y, 0.0, x + leg, y + leg, 0.5)
        for x in (-0.25, 0.25 - leg)
        for y in (-0.25, 0.25 - leg)
    ]
    return boxes((-0.25, -0.25, 0.42, 0.25, 0.25, 0.5), (-0.25, 0.17, 0.5, 0.25, 0.25, 1.0), *legs)


def box_sofa() -> tuple[Positions, Triangles]:
    """Seat, back and two arms, two metres wide."""
    return boxes(
        (-1.0, -0.4, 0.0, 1.0, 0.4, 0.4),
        (-1.0, 0.2, 0.4, 1.0, 0.4, 0.85),
        (-1.0, -0.4, 0.4, -0.8, 0.2, 0.6),
        (0.8, -0.4, 0.4, 1.0, 0.2, 0.6),
    )


def grid_box(side: int = 6) -> tuple[Positions, Triangles]:
    """A cube of side 1 of ``side``² quads a face, split along its edges as Blender's corners are."""
    axis = np.linspace(-0.5, 0.5, side + 1)
    u, v = (part.reshape(-1) for part in np.meshgrid(axis, axis, indexing="ij"))
    a = (np.arange(side)[:, None] * (side + 1) + np.arange(side)).reshape(-1)
    faces = np.concatenate([np.stack([a, a + side + 1, a + side + 2], 1), np.stack([a, a + side + 2, a + 1], 1)])
    positions, triangles = [], []
    for at, axis_index in enumerate((0, 1, 2)):
        for sign in (-1, 1):
            points = np.zeros((len(u), 3))
            points[:, axis_index] = sign * 0.5
            points[:, (axis_index + 1) % 3], points[:, (axis_index + 2) % 3] = u, v
            positions.append(points)
            turned = faces if sign > 0 else faces[:, ::-1]
            triangles.append(turned + (2 * at + (sign > 0)) * len(u))
    return np.concatenate(positions).astype(np.float32), np.concatenate(triangles).astype(np.int32)


def box_uvs(triangles: Triangles) -> NDArray[np.float32]:
    """Sound UVs [F,3,2]: each triangle in a cell of its own."""
    side = int(np.ceil(np.sqrt(len(triangles))))
    cell = np.stack([np.arange(len(triangles)) % side, np.arange(len(triangles)) // side], 1)[:, None]
    corners = np.array([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9]])
    return ((cell + corners) / side).astype(np.float32)


def volume(positions: NDArray[np.floating], triangles: Triangles) -> float:
    """Signed volume: positive where triangles face outwards."""
    a, b, c = np.moveaxis(positions.astype(np.float64)[triangles], 1, 0)
    return float((a * np.cross(b, c)).sum() / 6)


def distances(points: NDArray[np.floating], positions: NDArray[np.floating], triangles: Triangles) -> NDArray[np.float64]:
    """From points [P,3] to the nearest point of a mesh, [P]."""
    squared, _, _ = igl.point_mesh_squared_distance(
        points.astype(np.float64), positions.astype(np.float64), triangles.astype(np.int64)
    )
    return np.sqrt(squared)


def samples(positions: NDArray[np.floating], triangles: Triangles, count: int = 4000) -> NDArray[np.float64]:
    """Points spread evenly over the area, seeded."""
    rng = np.random.default_rng(3)
    corners = positions.astype(np.float64)[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = corners[rng.choice(len(corners), count, p=area / area.sum())]
    weights = rng.dirichlet([1, 1, 1], count)
    return np.einsum("pk,pkj->pj", weights, chosen)


def component_count(triangles: Triangles) -> int:
    """Connected parts."""
    used, faces = np.unique(triangles, return_inverse=True)
    faces = faces.reshape(-1, 3)
    links = np.concatenate([faces[:, :2], faces[:, 1:]])
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(len(used), len(used)))
    return int(connected_components(graph, directed=False)[0])


def closed_and_oriented(triangles: Triangles) -> bool:
    """Every directed edge once, and its reverse once."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).tolist()
    directed = {tuple(edge) for edge in edges}
    return len(directed) == len(edges) and all((b, a) in directed for a, b in directed)
