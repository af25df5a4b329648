"""Signed distance to any triangle soup: open, non-manifold, self-intersecting, in several parts.

Inside is where the generalised winding number is above one half (Jacobson et al. 2013; the fast evaluation
is Barill et al. 2018, through libigl). Negative is inside.
"""

from __future__ import annotations

import igl
import numpy as np
from numpy.typing import NDArray

from .adjacency import parts
from .sides import by_sides

Points = NDArray[np.float64]
Triangles = NDArray[np.int64]

DEFAULT_SHEET = 0.012
"""Half the thickness given to surfaces that enclose nothing, as a fraction of the mesh's longest side."""
_OPENING_STEP = 0.005
"""Step of the finite differences of the winding number, as a fraction of the mesh's longest side."""


def signed_distance(
    points: NDArray[np.floating],
    vertices: NDArray[np.floating],
    triangles: NDArray[np.integer],
    sheet: float | None = None,
) -> NDArray[np.float32]:
    """Signed distance of ``points`` [P,3] to the soup (``vertices`` [V,3], ``triangles`` [F,3]): float32 [P].

    Exact for closed surfaces. Otherwise: parts wound inside out are turned first (``consistent``); faces
    hidden inside the solid, as where two boxes intersect, do not count; an opening is closed by the surface
    where the winding number is one half; surfaces that enclose nothing, such as a plane, become shells
    ``|d| − sheet`` (``sheet`` is a length, ``None`` for ``DEFAULT_SHEET`` of the longest side).

    Raises ``ValueError`` when there are no triangles or a coordinate is not finite.
    """
    query = np.ascontiguousarray(points, dtype=np.float64)
    soup, faces = _checked(vertices, triangles)
    faces = consistent(soup, faces)
    extent = max(float(np.ptp(soup[faces.reshape(-1)], axis=0).max()), 1e-12)
    half = DEFAULT_SHEET * extent if sheet is None else sheet
    surface = by_sides(soup, faces, half, lambda at: winding_number(at, soup, faces))
    result = np.full(len(query), np.inf)
    if len(surface.boundary):
        result = _solid(query, soup, faces, surface.boundary, extent)
    if len(surface.sheets):
        result = np.minimum(result, unsigned_distance(query, *_as_mesh(surface.sheets)) - half)
    return result.astype(np.float32)


def _solid(query: Points, soup: Points, faces: Triangles, boundary: Points, extent: float) -> Points:
    """Signed distance [P] to the solid that ``boundary`` [n,3,3] and the soup's openings bound."""
    winding = winding_number(query, soup, faces)
    distance = unsigned_distance(query, *_as_mesh(boundary))
    open_ = np.abs(winding - np.round(winding)) > 0.02  # whole numbers everywhere round a closed surface
    if open_.any():
        distance[open_] = np.minimum(distance[open_], _to_opening(query[open_], winding[open_], soup, faces, extent))
    return np.where(winding > 0.5, -distance, distance)


def _to_opening(query: Points, winding: Points, soup: Points, faces: Triangles, extent: float) -> Points:
    """First-order distance [P] to where the winding number is one half: |w − ½| / |∇w|."""
    step = _OPENING_STEP * extent
    moved = [winding_number(query + step * axis, soup, faces) - winding for axis in np.eye(3)]
    # across a face the winding number jumps by one; that is no slope, and there the face itself is near
    slope = np.linalg.norm([np.where(np.abs(m) < 0.5, m, 0.0) for m in moved], axis=0) / step
    return np.abs(winding - 0.5) / np.maximum(slope, 1e-3 / extent)


def _as_mesh(soup: Points) -> tuple[Points, Triangles]:
    """Triangles [n,3,3] as vertices and indices."""
    return np.ascontiguousarray(soup.reshape(-1, 3)), np.arange(3 * len(soup)).reshape(-1, 3)


def winding_number(query: Points, vertices: Points, triangles: Triangles) -> Points:
    """Generalised winding number [P] of points [P,3]: 1 inside a closed outward surface, 0 outside."""
    return np.asarray(igl.fast_winding_number(vertices, triangles, query))


def unsigned_distance(query: Points, vertices: Points, triangles: Triangles) -> Points:
    """Distance [P] of points [P,3] to the nearest point of any triangle."""
    return nearest_points(query, vertices, triangles)[0]


def nearest_points(query: Points, vertices: Points, triangles: Triangles) -> tuple[Points, NDArray[np.int64], Points]:
    """For points [P,3]: the distance [P] to the nearest point of any triangle, that triangle [P], that point [P,3]."""
    squared, owner, place = igl.point_mesh_squared_distance(query, vertices, triangles)
    return np.sqrt(squared), np.asarray(owner, np.int64).reshape(-1), np.asarray(place, np.float64)


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
