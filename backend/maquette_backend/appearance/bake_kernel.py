"""The material field at every covered texel, compiled: what ``MaterialField`` computes, without tensors in between.

Its readable twin is ``MaterialField.logits``; a test holds the two together.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from maquette_backend.appearance.material import MaterialField
from maquette_backend.appearance.uv_raster import barycentric_of_nearest

CHANNELS = 8
"""Albedo (sRGB) 3, roughness, metallic, normal 3."""
_BANDS = 64
"""Strips of rows that threads take one after the other: islands are spread unevenly."""


@dataclass(frozen=True)
class FrozenField:
    """The numbers of a ``MaterialField``, float32 unless said otherwise."""

    table: NDArray[np.float32]
    """[T,F]"""
    levels: NDArray[np.int64]
    """[L,3]: start in the table, cells per side, 1 where every corner has an entry"""
    mask: int
    hidden: NDArray[np.float32]
    """[L·F,H]"""
    out: NDArray[np.float32]
    """[H,7]"""
    base: NDArray[np.float32]
    """[7]"""
    ranges: NDArray[np.float32]
    """[7,2]: least and span of each quantity; for both leans 0 and the tilt"""
    half_extent: float
    mirror_x: bool

    @classmethod
    def of(cls, field: MaterialField) -> FrozenField:
        """A copy of what ``field`` holds now."""
        grid, settings = field.grid, field.settings
        cells = np.array(grid.settings.resolutions, np.int64)
        dense = np.arange(len(cells)) < grid.dense_levels
        levels = np.stack([grid.get_buffer("starts").cpu().numpy(), cells, dense.astype(np.int64)], -1)
        tilt = settings.tilt if settings.learns_normal else 0.0
        limits = [settings.albedo_range] * 3 + [settings.roughness_range, settings.metallic_range]
        spans = [(low, high - low) for low, high in limits] + [(0.0, tilt)] * 2
        return cls(
            _numbers(field.grid.table),
            np.ascontiguousarray(levels),
            (1 << grid.settings.log2_table) - 1,
            np.ascontiguousarray(_numbers(field.hidden.weight).T),
            np.ascontiguousarray(_numbers(field.out.weight).T),
            _numbers(field.base),
            np.array(spans, np.float32),
            grid.half_extent,
            grid.mirror_x,
        )


@dataclass(frozen=True)
class TexelSurface:
    """What lies under the texels: the mesh, float32 unless said otherwise."""

    owner: NDArray[np.int32]
    """[size,size] triangle, or −1"""
    corner_texels: NDArray[np.float64]
    """[F,3,2] corners of the triangles in texels"""
    corners: NDArray[np.float32]
    """[F,3,9]: position, normal and tangent of every corner"""
    handedness: NDArray[np.float32]
    """[F]"""


def material_texels(field: FrozenField, surface: TexelSurface) -> NDArray[np.uint8]:
    """u1 [size,size,CHANNELS], zero where nothing is covered; on all cores."""
    size = surface.owner.shape[0]
    texels = np.zeros((size, size, CHANNELS), np.uint8)
    edges = np.linspace(0, size, min(_BANDS, size) + 1).astype(int).tolist()

    def band(first: int, last: int) -> None:
        _fill(
            first, last, surface.owner, surface.corner_texels, surface.corners, surface.handedness, field.table,
            field.levels, field.mask, field.hidden, field.out, field.base, field.ranges, field.half_extent,
            field.mirror_x, texels,
        )  # fmt: skip

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(band, edges[:-1], edges[1:]))
    return texels


def _numbers(tensor: object) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().cpu().float().numpy())  # type: ignore[attr-defined]


@njit(cache=True, nogil=True, fastmath=True)
def _fill(
    first, last, owner, corner_texels, corners, handedness, table, levels, mask, hidden, out, base, ranges, extent,
    mirror_x, texels,
):  # fmt: skip  # pragma: no cover - compiled
    width = hidden.shape[1]
    encoded, inner, logits, here = (
        np.zeros(hidden.shape[0], np.float32),
        np.zeros(width, np.float32),
        np.zeros(7, np.float32),
        np.zeros(9, np.float32),
    )
    lean, one = np.zeros(3, np.float32), np.float32(1)
    for j in range(first, last):
        for i in range(owner.shape[1]):
            triangle = owner[j, i]
            if triangle < 0:
                continue
            w0, w1, w2 = barycentric_of_nearest(corner_texels[triangle], i + 0.5, j + 0.5)
            for k in range(9):
                here[k] = (
                    w0 * corners[triangle, 0, k] + w1 * corners[triangle, 1, k] + w2 * corners[triangle, 2, k]
                )
            _encode(here, table, levels, mask, extent, mirror_x, encoded)
            for h in range(width):
                inner[h] = 0
            for c in range(encoded.shape[0]):
                value = encoded[c]
                for h in range(width):
                    inner[h] += value * hidden[c, h]
            for q in range(7):
                logits[q] = base[q]
            for h in range(width):
                if inner[h] > 0:
                    for q in range(7):
                        logits[q] += inner[h] * out[h, q]
            for q in range(5):
                value = ranges[q, 0] + ranges[q, 1] / (one + math.exp(-logits[q]))
                texels[j, i, q] = np.uint8(value * np.float32(255) + np.float32(0.5))
            lean[0], lean[1] = ranges[5, 1] * math.tanh(logits[5]), ranges[6, 1] * math.tanh(logits[6])
            _store_normal(here, lean, handedness[triangle], texels[j, i])


@njit(cache=True, nogil=True, fastmath=True)
def _encode(here, table, levels, mask, extent, mirror_x, encoded):  # pragma: no cover - compiled
    """Features of all levels at a place: see ``HashGrid.forward``."""
    features, one = table.shape[1], np.float32(1)
    x = abs(here[0]) if mirror_x else here[0]
    ux, uy, uz = x / extent * 0.5 + 0.5, here[1] / extent * 0.5 + 0.5, here[2] / extent * 0.5 + 0.5
    ux, uy, uz = min(max(ux, 0.0), 1.0), min(max(uy, 0.0), 1.0), min(max(uz, 0.0), 1.0)
    for level in range(levels.shape[0]):
        start, cells, dense = levels[level, 0], levels[level, 1], levels[level, 2]
        px, py, pz = ux * cells, uy * cells, uz * cells
        cx, cy, cz = min(np.int64(px), cells - 1), min(np.int64(py), cells - 1), min(np.int64(pz), cells - 1)
        fx, fy, fz = np.float32(px - cx), np.float32(py - cy), np.float32(pz - cz)
        for f in range(features):
            encoded[level * features + f] = 0
        # 32-bit weights, no conversions: an integer beside a 32-bit float would make everything 64 bits wide
        for k in range(4):
            dy, dz = k & 1, k >> 1
            side = (fy if dy else one - fy) * (fz if dz else one - fz)
            if dense:
                low = start + cx + (cells + 1) * (cy + dy + (cells + 1) * (cz + dz))
                high = low + 1
            else:
                rest = (cy + dy) * 2654435761 ^ (cz + dz) * 805459861
                low, high = start + ((cx ^ rest) & mask), start + ((cx + 1 ^ rest) & mask)
            left, right = side * (one - fx), side * fx
            for f in range(features):
                encoded[level * features + f] += left * table[low, f] + right * table[high, f]


@njit(cache=True, nogil=True, fastmath=True)
def _store_normal(here, lean, handedness, texel):  # pragma: no cover - compiled
    """A normal that leans in the frame of the surface's normal, stored in the frame of the UVs.

    The frame of the UVs is used as renderers do: normal and tangent interpolated, neither made perpendicular again. So
    the components are those along the rows of the frame's inverse.
    """
    nx, ny, nz, tx, ty, tz = here[3], here[4], here[5], here[6], here[7], here[8]
    length = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-20
    nx, ny, nz = nx / length, ny / length, nz / length
    scale = 1 / max(1 + nz, 1e-6)
    cross = -nx * ny * scale
    sx, sy, sz = 1 - nx * nx * scale, cross, -nx
    ux, uy, uz = cross, 1 - ny * ny * scale, -ny
    if nz < -0.999999:
        sx, sy, sz, ux, uy, uz = 0.0, -1.0, 0.0, -1.0, 0.0, 0.0
    dx, dy, dz = sx * lean[0] + ux * lean[1], sy * lean[0] + uy * lean[1], sz * lean[0] + uz * lean[1]
    bx, by, bz = (
        handedness * (ny * tz - nz * ty),
        handedness * (nz * tx - nx * tz),
        handedness * (nx * ty - ny * tx),
    )
    along = tx * nx + ty * ny + tz * nz
    px, py, pz = tx - along * nx, ty - along * ny, tz - along * nz  # the tangent's part across the normal
    squared = px * px + py * py + pz * pz + 1e-20
    a = (dx * px + dy * py + dz * pz) / squared
    b = (dx * bx + dy * by + dz * bz) / squared
    c = 1 - a * along
    length = math.sqrt(a * a + b * b + c * c)
    texel[5] = np.uint8((a / length * 0.5 + 0.5) * 255 + 0.5)
    texel[6] = np.uint8((b / length * 0.5 + 0.5) * 255 + 0.5)
    texel[7] = np.uint8((c / length * 0.5 + 0.5) * 255 + 0.5)
