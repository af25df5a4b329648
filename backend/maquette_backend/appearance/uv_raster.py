"""Which triangle lies under each texel: rasterising in UV space.

Texel (row j, column i) has its centre at u = (i + ½)/size, v = (j + ½)/size; row 0 is the bottom, as in
Blender. UVs outside 0..1 are not wrapped: nothing of them is seen.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

SUBTEXEL = 256
"""Corners are rounded to this fraction of a texel, so that edge tests are exact integers."""
_REACH = 1.5
"""Texels: a centre this near a triangle belongs to it if to no other. A bilinear look-up reads centres up to
√2 away from the point it is for."""


def coverage(corner_uvs: NDArray[np.floating], size: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Count and owner of every texel centre, int32 [size,size] each; the owner is the first triangle, or −1.

    A centre on an edge that two triangles share counts for one of them only (the top-left rule).
    """
    fixed = np.round(np.nan_to_num(np.clip(corner_uvs, -8, 8)) * (size * SUBTEXEL)).astype(np.int64)
    count = np.zeros((size, size), np.int32)
    owner = np.full((size, size), -1, np.int32)
    _cover(fixed, count, owner)
    return count, owner


def surface_under_texels(corner_uvs: NDArray[np.floating], size: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Owner int32 [size,size] (−1 for none) and barycentric coordinates float64 [size,size,3].

    Conservative: a texel that an island only touches is owned too, with the coordinates of the point of the
    triangle nearest to its centre. So bilinear look-ups inside the island find no empty texel.
    """
    owner = owners_under_texels(corner_uvs, size)
    bary = np.zeros((size, size, 3))
    _barycentric(_in_texels(corner_uvs, size), owner, bary)
    return owner, bary


def owners_under_texels(corner_uvs: NDArray[np.floating], size: int) -> NDArray[np.int32]:
    """The owners of ``surface_under_texels`` alone."""
    _, owner = coverage(corner_uvs, size)
    distance = np.where(owner >= 0, np.float32(-1), np.float32(_REACH * _REACH))
    _touch(_in_texels(corner_uvs, size), distance, owner)
    return owner


def _in_texels(corner_uvs: NDArray[np.floating], size: int) -> NDArray[np.float64]:
    return np.ascontiguousarray(np.nan_to_num(np.clip(corner_uvs, -8, 8)), dtype=np.float64) * size


@njit(cache=True, nogil=True)
def _edge(ax, ay, bx, by, px, py):
    return (bx - ax) * (py - ay) - (by - ay) * (px - ax)


@njit(cache=True, nogil=True)
def _owns_edge(ax, ay, bx, by):
    """The top-left rule for a counter-clockwise triangle with v upwards."""
    return by < ay or (by == ay and bx < ax)


@njit(cache=True, nogil=True)
def _cover(fixed, count, owner):
    size = count.shape[0]
    half = SUBTEXEL // 2
    for t in range(fixed.shape[0]):
        ax, ay = fixed[t, 0]
        bx, by = fixed[t, 1]
        cx, cy = fixed[t, 2]
        area = _edge(ax, ay, bx, by, cx, cy)
        if area == 0:
            continue
        if area < 0:
            bx, by, cx, cy = cx, cy, bx, by
        slack_ab = 0 if _owns_edge(ax, ay, bx, by) else 1
        slack_bc = 0 if _owns_edge(bx, by, cx, cy) else 1
        slack_ca = 0 if _owns_edge(cx, cy, ax, ay) else 1
        first_i, last_i = max(0, min(ax, bx, cx) // SUBTEXEL), min(size - 1, max(ax, bx, cx) // SUBTEXEL)
        first_j, last_j = max(0, min(ay, by, cy) // SUBTEXEL), min(size - 1, max(ay, by, cy) // SUBTEXEL)
        for j in range(first_j, last_j + 1):
            y = j * SUBTEXEL + half
            for i in range(first_i, last_i + 1):
                x = i * SUBTEXEL + half
                if (
                    _edge(ax, ay, bx, by, x, y) >= slack_ab
                    and _edge(bx, by, cx, cy, x, y) >= slack_bc
                    and _edge(cx, cy, ax, ay, x, y) >= slack_ca
                ):
                    count[j, i] += 1
                    if owner[j, i] < 0:
                        owner[j, i] = t


@njit(cache=True, nogil=True)
def _touch(texels, distance, owner):
    """Give every texel that no centre test covered to the nearest triangle within reach."""
    size = owner.shape[0]
    for t in range(texels.shape[0]):
        corners = texels[t]
        first_i = max(0, int(np.floor(corners[:, 0].min() - _REACH)))
        last_i = min(size - 1, int(np.floor(corners[:, 0].max() + _REACH)))
        first_j = max(0, int(np.floor(corners[:, 1].min() - _REACH)))
        last_j = min(size - 1, int(np.floor(corners[:, 1].max() + _REACH)))
        for j in range(first_j, last_j + 1):
            for i in range(first_i, last_i + 1):
                if distance[j, i] < 0:
                    continue
                x, y = i + 0.5, j + 0.5
                w0, w1, w2 = barycentric_of_nearest(corners, x, y)
                dx = w0 * corners[0, 0] + w1 * corners[1, 0] + w2 * corners[2, 0] - x
                dy = w0 * corners[0, 1] + w1 * corners[1, 1] + w2 * corners[2, 1] - y
                if dx * dx + dy * dy < distance[j, i]:
                    distance[j, i] = dx * dx + dy * dy
                    owner[j, i] = t


@njit(cache=True, nogil=True)
def _barycentric(texels, owner, bary):
    for j in range(owner.shape[0]):
        for i in range(owner.shape[1]):
            if owner[j, i] >= 0:
                bary[j, i] = barycentric_of_nearest(texels[owner[j, i]], i + 0.5, j + 0.5)


@njit(cache=True, nogil=True)
def barycentric_of_nearest(corners, x, y):
    """Barycentric coordinates of the point of a triangle [3,2] nearest to (x, y)."""
    ax, ay = corners[0]
    bx, by = corners[1]
    cx, cy = corners[2]
    area = _edge(ax, ay, bx, by, cx, cy)
    if area != 0.0:
        w0 = _edge(bx, by, cx, cy, x, y) / area
        w1 = _edge(cx, cy, ax, ay, x, y) / area
        if w0 >= 0 and w1 >= 0 and w0 + w1 <= 1:
            return w0, w1, 1 - w0 - w1
    best = np.inf
    result = (1.0, 0.0, 0.0)
    for k in range(3):
        sx, sy = corners[k]
        ex, ey = corners[(k + 1) % 3]
        length = (ex - sx) ** 2 + (ey - sy) ** 2
        along = 0.0 if length == 0 else ((x - sx) * (ex - sx) + (y - sy) * (ey - sy)) / length
        along = min(1.0, max(0.0, along))
        gap = (sx + along * (ex - sx) - x) ** 2 + (sy + along * (ey - sy) - y) ** 2
        if gap < best:
            best = gap
            if k == 0:
                result = (1 - along, along, 0.0)
            elif k == 1:
                result = (0.0, 1 - along, along)
            else:
                result = (along, 0.0, 1 - along)
    return result
