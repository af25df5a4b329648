"""Signed distance to any triangle soup: open, non-manifold, self-intersecting, in several parts.

Inside is where the generalised winding number is above one half (Jacobson et al. 2013; the fast evaluation
is Barill et al. 2018, through libigl). Negative is inside.
"""

from __future__ import annotations

import igl
import numpy as np
from numpy.typing import NDArray

from .adjacency import parts

Points = NDArray[np.float64]
Triangles = NDArray[np.int64]

DEFAULT_SHEET = 0.012
"""Half the thickness given to surfaces that enclose nothing, as a fraction of the mesh's longest side."""


def signed_distance(
    points: NDArray[np.floating],
    vertices: NDArray[np.floating],
    triangles: NDArray[np.integer],
    sheet: float | None = None,
) -> NDArray[np.float32]:
    """Signed distance of ``points`` [P,3] to the soup (``vertices`` [V,3], ``triangles`` [F,3]): float32 [P].

    Parts that are wound inside out are turned first (``consistent``). A soup that encloses nothing, such as
    a plane, becomes a shell ``|d| − sheet``; ``sheet`` is a length, ``None`` for ``DEFAULT_SHEET`` of the
    longest side.

    Raises ``ValueError`` when there are no triangles or a coordinate is not finite.
    """
    query = np.ascontiguousarray(points, dtype=np.float64)
    soup, faces = _checked(vertices, triangles)
    faces = consistent(soup, faces)
    distance = unsigned_distance(query, soup, faces)
    inside = winding_number(query, soup, faces) > 0.5
    if inside.any():
        return np.where(inside, -distance, distance).astype(np.float32)
    extent = float(np.ptp(soup[faces.reshape(-1)], axis=0).max())
    return (distance - (DEFAULT_SHEET * extent if sheet is None else sheet)).astype(np.float32)


def winding_number(query: Points, vertices: Points, triangles: Triangles) -> Points:
    """Generalised winding number [P] of points [P,3]: 1 inside a closed outward surface, 0 outside."""
    return np.asarray(igl.fast_winding_number(vertices, triangles, query))


def unsigned_distance(query: Points, vertices: Points, triangles: Triangles) -> Points:
    """Distance [P] of points [P,3] to the nearest point of any triangle."""
    squared, _, _ = igl.point_mesh_squared_distance(query, vertices, triangles)
    return np.sqrt(squared)


def consistent(vertices: Points, triangles: Triangles) -> Triangles:
    """The triangles, those of each connected part of negative volume turned over.

    Parts are connected through equal positions, so corner-split meshes count as one. A closed cavity inside
    a solid is turned too, and so filled: nobody can see it.
    """
    _, position = np.unique(vertices, axis=0, return_inverse=True)
    part = parts(position.reshape(-1)[triangles], len(vertices))
    count = int(part.max()) + 1
    # about each part's own centre, so that an open part's volume does not depend on where it stands
    center = np.stack([np.bincount(part, vertices[triangles].mean(axis=1)[:, k], count) for k in range(3)], axis=1)
    center /= np.bincount(part, minlength=count)[:, None]
    corners = vertices[triangles] - center[part][:, None]
    volume = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    turned = np.bincount(part, volume, count)[part] < 0
    return np.where(turned[:, None], triangles[:, ::-1], triangles)


def _checked(vertices: NDArray[np.floating], triangles: NDArray[np.integer]) -> tuple[Points, Triangles]:
    if len(triangles) == 0:
        raise ValueError("a signed distance needs at least one triangle")
    if not np.isfinite(vertices).all():
        raise ValueError("a vertex coordinate is not finite")
    return (
        np.ascontiguousarray(vertices, dtype=np.float64),
        np.ascontiguousarray(triangles, dtype=np.int64),
    )
