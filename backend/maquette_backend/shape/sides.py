"""What each piece of a triangle soup bounds: a solid, nothing, or the inside of a solid only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Triangles = NDArray[np.int64]

_PIECE = 0.02
"""Size of the pieces that are judged one by one, as a fraction of the soup's longest side."""
_MAX_PIECES = 100_000
_PROBE = 1e-4
"""How far from a piece its two sides are probed, as a fraction of the longest side."""


@dataclass(frozen=True)
class SurfaceBySides:
    """Pieces of a soup; those with the solid on both sides are in neither list."""

    boundary: Points
    """[n,3,3] the solid on one side."""
    sheets: Points
    """[m,3,3] the solid on neither side, or an open solid thinner than a sheet."""


def by_sides(
    vertices: Points, triangles: Triangles, half_sheet: float, winding: Callable[[Points], Points]
) -> SurfaceBySides:
    """Sort the soup (``vertices`` [V,3], ``triangles`` [F,3]) by the winding number on both sides of it.

    Large triangles are judged in pieces, since another part may cut them. Where every piece bounds the solid
    the original triangles come back. A soup without any area is all sheet.
    """
    corners = vertices[triangles]
    extent = max(float(np.ptp(corners.reshape(-1, 3), axis=0).max()), 1e-12)
    pieces = _pieces(corners, _PIECE * extent)
    normal = np.cross(pieces[:, 1] - pieces[:, 0], pieces[:, 2] - pieces[:, 0])
    length = np.linalg.norm(normal, axis=1)
    real = length > 1e-14 * extent * extent
    if not real.any():
        return SurfaceBySides(corners[:0], corners)
    pieces = pieces[real]
    solid = solid_beside(pieces.mean(axis=1), normal[real] / length[real, None], half_sheet, extent, winding)
    bounds, sheet = solid.in_front != solid.behind, solid.sheet
    if bounds.all() and not sheet.any():
        return SurfaceBySides(corners, corners[:0])
    return SurfaceBySides(pieces[bounds & ~sheet], pieces[sheet])


@dataclass(frozen=True)
class SolidBeside:
    """Where the solid is beside each piece, bool [n] each."""

    in_front: NDArray[np.bool_]
    behind: NDArray[np.bool_]
    sheet: NDArray[np.bool_]
    """On neither side, or open and thinner than a sheet."""


def solid_beside(
    center: Points, normal: Points, half_sheet: float, extent: float, winding: Callable[[Points], Points]
) -> SolidBeside:
    """What is beside pieces of a soup of longest side ``extent``: their centres and unit normals are [n,3]."""
    out = winding(center + _PROBE * extent * normal)
    into = winding(center - _PROBE * extent * normal)
    bounds = (out > 0.5) != (into > 0.5)
    sheet = (out <= 0.5) & (into <= 0.5)
    sheet |= bounds & _is_thin(center, normal, np.maximum(out, into), into > out, half_sheet, winding)
    return SolidBeside(out > 0.5, into > 0.5, sheet)


def _is_thin(
    center: Points,
    normal: Points,
    inner: Points,
    solid_is_behind: NDArray[np.bool_],
    half_sheet: float,
    winding: Callable[[Points], Points],
) -> NDArray[np.bool_]:
    """Whether a piece bounds an open solid that ends within a sheet's thickness, such as a slightly bent
    sheet. Closed solids, however thin, are what the artist meant: there the winding number is whole."""
    depth = np.where(solid_is_behind, -2 * half_sheet, 2 * half_sheet)
    return (inner < 0.75) & (winding(center + depth[:, None] * normal) <= 0.5)


def _pieces(corners: Points, size: float) -> Points:
    """Triangles [F,3,3] cut into similar ones with edges up to ``size``, more where there would be too many."""
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    cuts = np.maximum(1, np.ceil(longest / size)).astype(np.int64)
    while cuts.max() > 1 and (cuts**2).sum() > max(_MAX_PIECES, 2 * len(corners)):
        cuts = np.maximum(1, (cuts * 3) // 4)
    return np.concatenate([_cut(corners[cuts == n], int(n)) for n in np.unique(cuts)])


def _cut(corners: Points, count: int) -> Points:
    """Each triangle [F,3,3] as ``count``² similar ones, in their own winding."""
    i, j = np.meshgrid(np.arange(count), np.arange(count), indexing="ij")
    up, down = i + j < count, i + j < count - 1
    upright = np.stack([_steps(i, j, up), _steps(i + 1, j, up), _steps(i, j + 1, up)], axis=1)
    turned = np.stack([_steps(i + 1, j, down), _steps(i + 1, j + 1, down), _steps(i, j + 1, down)], axis=1)
    steps = np.concatenate([upright, turned])  # [count²,3,2]: steps along the first and the second edge
    weights = np.concatenate([count - steps.sum(axis=2, keepdims=True), steps], axis=2) / count
    return np.einsum("ptk,fkx->fptx", weights, corners).reshape(-1, 3, 3)


def _steps(i: NDArray[np.int64], j: NDArray[np.int64], where: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.stack([i[where], j[where]], axis=1)
