"""A texture made for single triangles → one whose polygons are whole. No bpy: arrays in, arrays out.

A seam may run between the triangles of one quad, but Blender keeps one UV for a polygon's corner. Such polygons get a
square cell each in rows added above the texture; their triangles' pixels are copied there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import surface_maps
from .refined import Floats, Ints, Surface

_MARGIN = 1.5
"""Pixels between a polygon and its cell's edge: what bilinear filtering reaches."""
_MIN_CELL, _MAX_CELL = 8, 256


@dataclass(frozen=True)
class Polygons:
    """Which polygons a surface's first F triangles are of."""

    loops: Ints
    """[F,3], the loop of each corner"""
    starts: Ints
    """[P+1], the first loop of each polygon"""


def are_cut(corner_uvs: Floats, polygons: Polygons) -> bool:
    """Whether some loop of a polygon has two places on the UV map ``corner_uvs`` [F,3,2]."""
    return not np.array_equal(_loop_uvs(corner_uvs, polygons)[polygons.loops], corner_uvs)


def on_polygons(surface: Surface, polygons: Polygons) -> Surface:
    """The surface with pictures and UVs that its polygons can have; the same one where they can have those it has.

    Seconds where thousands of polygons are cut: for a thread.
    """
    picture = surface.texture if surface.maps is None else surface_maps.in_one(surface.maps)
    if surface.corner_uvs is None or picture is None:
        return surface
    count = len(polygons.loops)
    own, rest = surface.corner_uvs[:count], surface.corner_uvs[count:]
    whole, loop_uvs = whole_polygons(
        surface.positions, surface.triangles[:count], polygons.loops, polygons.starts, own, picture
    )
    if whole is picture:
        return surface
    lower = rest * np.array([1, len(picture) / len(whole)], np.float32)
    surface = replace(surface, corner_uvs=np.concatenate([loop_uvs[polygons.loops], lower]))
    if surface.maps is None:
        return replace(surface, texture=whole)
    return replace(surface, maps=surface_maps.apart(surface.maps, whole))


def whole_polygons(
    positions: Floats, triangles: Ints, loops: Ints, starts: Ints, corner_uvs: Floats, texture: NDArray[Any]
) -> tuple[NDArray[Any], Floats]:
    """Texture [H',W,C] and loop UVs [L,2] that show on polygons what ``texture`` shows on their triangles.

    Args:
        positions: [V,3].
        triangles: [F,3] vertices.
        loops: [F,3], the loop of each corner.
        starts: [P+1], the first loop of each polygon.
        corner_uvs: [F,3,2], for ``texture``.
        texture: [H,W,C], row 0 at the bottom.
    """
    loop_uvs = _loop_uvs(corner_uvs, Polygons(loops, starts))
    polygon = np.searchsorted(starts, loops[:, 0], side="right") - 1
    split = np.unique(polygon[(loop_uvs[loops] != corner_uvs).any(axis=(1, 2))])
    if not len(split):
        return texture, loop_uvs
    height, width = texture.shape[:2]
    side = _cell_side(corner_uvs, polygon, split, height, width)
    columns = max(width // side, 1)
    rows = math.ceil(len(split) / columns)
    grown = np.zeros((height + rows * side, width, texture.shape[2]), texture.dtype)
    grown[:height] = texture
    loop_uvs[:, 1] *= height / len(grown)
    order = np.argsort(polygon, kind="stable")
    firsts = np.searchsorted(polygon[order], np.arange(len(starts)))
    for cell, index in enumerate(split):
        corner = np.array([cell % columns * side, height + cell // columns * side], np.float64)
        own = order[firsts[index] : firsts[index + 1]]
        pixels = _flattened(positions, triangles[own], side) + corner
        _copy_triangles(grown, texture, pixels, corner_uvs[own], corner.astype(int), side)
        loop_uvs[loops[own]] = (pixels / (width, len(grown))).astype(np.float32)
    return grown, loop_uvs


def _loop_uvs(corner_uvs: Floats, polygons: Polygons) -> Floats:
    """[L,2]: of loops with several places, one of them."""
    found = np.zeros((int(polygons.starts[-1]), 2), np.float32)
    found[polygons.loops] = corner_uvs
    return found


def _cell_side(corner_uvs: Floats, polygon: NDArray[np.int64], split: NDArray[np.int64], height: int, width: int) -> int:
    """Pixels: enough for the median of these polygons at the density they had."""
    chosen = corner_uvs[np.isin(polygon, split)].astype(np.float64) * (width, height)
    extent = np.median(np.linalg.norm(np.ptp(chosen, axis=1), axis=1))
    return int(np.clip(math.ceil(extent + 2 * _MARGIN), _MIN_CELL, min(_MAX_CELL, width)))


def _flattened(positions: Floats, triangles: Ints, side: int) -> NDArray[np.float64]:
    """A polygon's triangles [F,3] laid flat within a cell: [F,3,2] pixels."""
    corners = positions[triangles].astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).sum(axis=0)
    across = corners[0, 1] - corners[0, 0]
    length = np.linalg.norm(across)
    across = across / length if length > 0 else np.array([1.0, 0.0, 0.0])
    up = np.cross(normal, across)
    size = np.linalg.norm(up)
    # a polygon without area has no plane: any second direction will do
    up = up / size if size > 0 else np.roll(across, 1)
    flat = np.stack([corners @ across, corners @ up], axis=-1)
    low, span = flat.min(axis=(0, 1)), np.ptp(flat.reshape(-1, 2), axis=0)
    room = side - 2 * _MARGIN
    return _MARGIN + (flat - low) * (room / np.where(span > 0, span, 1))


def _copy_triangles(
    grown: Floats, texture: Floats, pixels: NDArray[np.float64], uvs: Floats, corner: NDArray[np.int64], side: int
) -> None:
    """Fill a cell: each pixel from the triangle it is in, or nearest to, by barycentric coordinates."""
    x, y = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    points = (np.stack([x, y], axis=-1).reshape(-1, 2) + corner).astype(np.float64)
    best = np.full(len(points), -np.inf)
    source = np.zeros((len(points), 2))
    for triangle, uv in zip(pixels, uvs, strict=True):
        weights = _barycentric(points, triangle)
        inside = weights.min(axis=1)
        nearer = inside > best
        best[nearer] = inside[nearer]
        # points outside take the colour at the rim; beyond it may be another chart
        held = np.clip(weights[nearer], 0, None)
        source[nearer] = (held / held.sum(axis=1, keepdims=True)) @ uv
    colors = _sampled(texture, source).reshape(side, side, -1)
    grown[corner[1] : corner[1] + side, corner[0] : corner[0] + side] = colors


def _barycentric(points: NDArray[np.float64], triangle: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N,3] of points [N,2] in a triangle [3,2]; far outside of one without area."""
    one, two = triangle[1] - triangle[0], triangle[2] - triangle[0]
    area = one[0] * two[1] - one[1] * two[0]
    if abs(area) < 1e-12:
        return np.tile([1e9, -1e9, -1e9], (len(points), 1)) + np.array([1.0, 0.0, 0.0])
    away = points - triangle[0]
    second = (away[:, 0] * two[1] - away[:, 1] * two[0]) / area
    third = (one[0] * away[:, 1] - one[1] * away[:, 0]) / area
    return np.stack([1 - second - third, second, third], axis=1)


def _sampled(texture: Floats, uv: NDArray[np.float64]) -> Floats:
    """Bilinear [N,C] at uv [N,2]; pixel centres are at halves."""
    height, width = texture.shape[:2]
    x = np.clip(uv[:, 0] * width - 0.5, 0, width - 1)
    y = np.clip(uv[:, 1] * height - 0.5, 0, height - 1)
    left, low = np.floor(x).astype(int), np.floor(y).astype(int)
    right, high = np.minimum(left + 1, width - 1), np.minimum(low + 1, height - 1)
    across, up = (x - left)[:, None], (y - low)[:, None]
    bottom = texture[low, left] * (1 - across) + texture[low, right] * across
    top = texture[high, left] * (1 - across) + texture[high, right] * across
    mixed = bottom * (1 - up) + top * up
    return (np.rint(mixed) if texture.dtype.kind == "u" else mixed).astype(texture.dtype)
