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

    As ``solid_of(…).distance``; raises what ``solid_of`` raises.
    """
    return solid_of(vertices, triangles, sheet).distance(points).astype(np.float32)


def solid_of(
    vertices: NDArray[np.floating], triangles: NDArray[np.integer], sheet: float | None = None
) -> Solid:
    """What a soup (``vertices`` [V,3], ``triangles`` [F,3]) encloses.

    Exact for closed surfaces. Otherwise: parts wound inside out are turned first (``consistent``); faces
    hidden inside the solid, as where two boxes intersect, do not count; an opening is closed by the surface
    where the winding number is one half; surfaces that enclose nothing, such as a plane, become shells
    ``|d| − sheet`` (``sheet`` is a length, ``None`` for ``DEFAULT_SHEET`` of the longest side).

    Raises ``ValueError`` when there are no triangles or a coordinate is not finite.
    """
    soup, faces = _checked(vertices, triangles)
    faces = consistent(soup, faces)
    extent = max(float(np.ptp(soup[faces.reshape(-1)], axis=0).max()), 1e-12)
    half = DEFAULT_SHEET * extent if sheet is None else sheet
    winding = Winding(soup, faces)
    surface = by_sides(soup, faces, half, winding)
    return Solid(winding, surface.boundary, surface.sheets, half, extent)


class Winding:
    """Generalised winding number of one soup, prepared: 1 inside a closed outward surface, 0 outside.

    Beyond the soup's bounds nothing is inside, though a face wound against the others makes a number of ½ and more there.
    """

    def __init__(self, vertices: Points, triangles: Triangles) -> None:
        corners = vertices[triangles.reshape(-1)]
        self.low, self.high = corners.min(axis=0), corners.max(axis=0)
        self._hierarchy = igl.FastWindingNumberBVH()
        self._hierarchy.init(vertices, triangles)

    def __call__(self, points: Points) -> Points:
        """[P] of points [P,3]."""
        if len(points) == 0:
            return np.zeros(0)
        number = np.asarray(self._hierarchy.winding_number(points))
        beyond = ((points < self.low) | (points > self.high)).any(axis=1)
        return np.where(beyond & (number >= 0.5), 0.0, number)


class Solid:
    """A soup's inside, prepared so that many questions cost what the points cost."""

    def __init__(
        self, winding: Winding, boundary: Points, sheets: Points, half_sheet: float, extent: float
    ) -> None:
        """``boundary`` [n,3,3] has the solid on one side, ``sheets`` [m,3,3] are thickened by ``half_sheet``."""
        self._winding = winding
        self.half_sheet, self.extent = half_sheet, extent
        self.surface = np.concatenate([boundary, sheets])
        """[n+m,3,3]: all that can be seen; of a sheet, its middle."""
        self._trees = [Tree(*_as_mesh(part)) for part in (boundary, sheets)]

    def distance(self, points: NDArray[np.floating]) -> Points:
        """Signed distance [P] of points [P,3], negative inside."""
        query = np.ascontiguousarray(points, dtype=np.float64)
        boundary, sheets = self._trees
        result = np.full(len(query), np.inf)
        if boundary.count:
            result = self._to_boundary(query, boundary)
        if sheets.count:
            result = np.minimum(result, sheets.nearest(query)[0] - self.half_sheet)
        return result

    @property
    def sheets(self) -> Tree:
        """The middle of what is thickened by ``half_sheet``."""
        return self._trees[1]

    @property
    def is_open(self) -> bool:
        """Whether the winding number is broken somewhere: then part of the solid's border has no surface."""
        within = np.random.default_rng(0).uniform(self._winding.low, self._winding.high, (256, 3))
        winding = self._winding(within)
        return bool((np.abs(winding - np.round(winding)) > 0.02).any())

    def contains(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Whether points [P,3] are inside: the sign of ``distance`` for much less."""
        query = np.ascontiguousarray(points, dtype=np.float64)
        inside = self._winding(query) > 0.5
        if self._trees[1].count:
            inside |= self._trees[1].nearest(query)[0] < self.half_sheet
        return inside

    def to_surface(self, points: NDArray[np.floating]) -> tuple[Points, Points]:
        """Signed distance [P] of points [P,3] to what can be seen, openings left out, and the way straight outwards
        [P,3]: that distance's gradient, zero on the surface."""
        query = np.ascontiguousarray(points, dtype=np.float64)
        best, outward = np.full(len(query), np.inf), np.zeros_like(query)
        side = np.where(self._winding(query) > 0.5, -1.0, 1.0)
        for tree, sign, half in zip(self._trees, (side, np.ones(len(query))), (0.0, self.half_sheet), strict=True):
            if tree.count == 0:
                continue
            distance, place = tree.nearest(query)
            offset = (query - place) * sign[:, None]
            safe = np.where(distance > 1e-9 * self.extent, distance, np.inf)
            nearer = distance * sign - half < best
            best = np.where(nearer, distance * sign - half, best)
            outward = np.where(nearer[:, None], offset / safe[:, None], outward)
        return best, outward

    def _to_boundary(self, query: Points, boundary: Tree) -> Points:
        """Signed distance [P] to the solid that the boundary and the soup's openings bound."""
        winding = self._winding(query)
        distance, _ = boundary.nearest(query)
        open_ = np.abs(winding - np.round(winding)) > 0.02  # whole numbers everywhere round a closed surface
        if open_.any():
            opening = _to_opening(query[open_], winding[open_], self._winding, self.extent)
            distance[open_] = np.minimum(distance[open_], opening)
        return np.where(winding > 0.5, -distance, distance)


class Tree:
    """Nearest points of triangles, prepared so that many questions cost what the points cost."""

    def __init__(self, vertices: NDArray[np.floating], triangles: NDArray[np.integer]) -> None:
        """``vertices`` [V,3], ``triangles`` [n,3]; there may be none."""
        self.count = len(triangles)
        self._vertices = np.ascontiguousarray(vertices, np.float64)
        self._triangles = np.ascontiguousarray(triangles, np.int64)
        self._tree = igl.AABB()
        if self.count:
            self._tree.init(self._vertices, self._triangles)

    def nearest(self, query: Points) -> tuple[Points, Points]:
        """Distances [P] and places [P,3]; ``inf`` and the points themselves where there is no triangle."""
        if self.count == 0 or len(query) == 0:
            return np.full(len(query), np.inf), query.copy()
        squared, _, place = self._tree.squared_distance(self._vertices, self._triangles, query)
        return np.sqrt(squared), np.asarray(place, np.float64)


def _to_opening(query: Points, winding: Points, winding_of: Winding, extent: float) -> Points:
    """First-order distance [P] to where the winding number is one half: |w − ½| / |∇w|."""
    step = _OPENING_STEP * extent
    moved = [winding_of(query + step * axis) - winding for axis in np.eye(3)]
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
