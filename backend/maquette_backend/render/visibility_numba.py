"""Visibility on a CPU, compiled by numba: exact in 64-bit floats, parallel, deterministic.

The threads are Python's, over compiled functions that release the interpreter lock. numba's own either spin while they
wait (twenty times slower where other processes want the cores) or crash when entered from two threads.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DEPTH_STEPS = 1 << 30
"""z/w in −1..1 is compared in steps of 2⁻³⁰ here and in the torch visibility, so that both break ties alike."""

_PARALLEL_FROM = 1 << 18
"""Triangles and quarter pixels, over all views, from which threads pay for their start."""


@numba.njit(cache=True)
def _clipped_box(x, y, w, d, out):  # pragma: no cover - compiled
    """Bounds in pixels of the part of a triangle in front of the near plane; ``d`` is the signed distance to it."""
    lo_x, hi_x, lo_y, hi_y = np.inf, -np.inf, np.inf, -np.inf
    for i in range(3):
        j = (i + 1) % 3
        for k in range(2):
            if k == 0:
                if d[i] < 0:
                    continue
                px, py, pw = x[i], y[i], w[i]
            else:
                if (d[i] < 0) == (d[j] < 0):
                    continue
                t = d[i] / (d[i] - d[j])
                px, py, pw = x[i] + t * (x[j] - x[i]), y[i] + t * (y[j] - y[i]), w[i] + t * (w[j] - w[i])
            if pw <= 0:  # the near plane passes through the eye: no bound is known
                lo_x, hi_x, lo_y, hi_y = -np.inf, np.inf, -np.inf, np.inf
                continue
            lo_x, hi_x = min(lo_x, px / pw), max(hi_x, px / pw)
            lo_y, hi_y = min(lo_y, py / pw), max(hi_y, py / pw)
    out[0], out[1], out[2], out[3] = lo_x, hi_x, lo_y, hi_y


@numba.njit(cache=True)
def _plane(x, y, w, d, out):  # pragma: no cover - compiled
    """Edge functions and z/w of a triangle as planes over pixels; false if it is seen edge-on."""
    det = x[0] * (y[1] * w[2] - y[2] * w[1]) + y[0] * (x[2] * w[1] - x[1] * w[2]) + w[0] * (x[1] * y[2] - x[2] * y[1])
    if det == 0.0:
        return False
    for c in range(3):
        i, j = (c + 1) % 3, (c + 2) % 3
        out[3 * c] = (y[i] * w[j] - y[j] * w[i]) / det
        out[3 * c + 1] = (x[j] * w[i] - x[i] * w[j]) / det
        out[3 * c + 2] = (x[i] * y[j] - x[j] * y[i]) / det
    for c in range(3):  # z/w is linear over pixels: the sum of edge functions times clip z
        out[9 + c] = out[c] * (d[0] - w[0]) + out[3 + c] * (d[1] - w[1]) + out[6 + c] * (d[2] - w[2])
    return True


@numba.njit(nogil=True, cache=True)
def _set_up(pos, tri, height, width, begin, end, box, plane):  # pragma: no cover - compiled
    """Per view and triangle: pixel bounds [N·F,4] (first > last: not drawn) and planes over pixels [N·F,12]."""
    count = tri.shape[0]
    x, y, w, d = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    bounds = np.zeros(4)
    for k in range(begin, end):
        n = k // count
        box[k, 0], box[k, 1] = 1, 0
        behind = 0
        finite = True
        for c in range(3):
            v = tri[k - n * count, c]
            w[c] = pos[n, v, 3]
            x[c] = (pos[n, v, 0] + w[c]) * (0.5 * width) - 0.5 * w[c]  # pixel coordinates times w
            y[c] = (pos[n, v, 1] + w[c]) * (0.5 * height) - 0.5 * w[c]
            d[c] = pos[n, v, 2] + w[c]
            behind += d[c] < 0
            finite = finite and math.isfinite(x[c]) and math.isfinite(y[c]) and math.isfinite(d[c])
        if behind == 3 or not finite:
            continue
        _clipped_box(x, y, w, d, bounds)
        lo_x, hi_x = _pixel_range(bounds[0], bounds[1], width)
        lo_y, hi_y = _pixel_range(bounds[2], bounds[3], height)
        if lo_x <= hi_x and lo_y <= hi_y and _plane(x, y, w, d, plane[k]):
            box[k, 0], box[k, 1], box[k, 2], box[k, 3] = lo_x, hi_x, lo_y, hi_y


@numba.njit(cache=True)
def _pixel_range(low, high, size):  # pragma: no cover - compiled
    """First and last pixel whose centre lies in low..high; the slack covers the rounding of the bounds."""
    first = math.ceil(min(max(low - 1e-6, 0.0), float(size)))
    last = math.floor(max(min(high + 1e-6, size - 1.0), -1.0))
    return first, last


@numba.njit(nogil=True, cache=True)
def _scan(count, n, first, last, box, plane, best, ids, depth):  # pragma: no cover - compiled
    """Draws rows first..last of view n. A pixel belongs to one call, and triangles come in order: nothing races."""
    for f in range(count):
        k = n * count + f
        if box[k, 0] > box[k, 1]:
            continue
        p = plane[k]
        for y in range(max(box[k, 2], first), min(box[k, 3], last) + 1):
            for x in range(box[k, 0], box[k, 1] + 1):
                e0 = p[0] * x + p[1] * y + p[2]
                e1 = p[3] * x + p[4] * y + p[5]
                e2 = p[6] * x + p[7] * y + p[8]
                if e0 < 0 or e1 < 0 or e2 < 0 or e0 + e1 + e2 <= 0:
                    continue
                z = p[9] * x + p[10] * y + p[11]
                if z < -1 or z > 1:
                    continue
                step = np.int64((z + 1) * (0.5 * DEPTH_STEPS))
                if step < best[n, y, x]:
                    best[n, y, x] = step
                    ids[n, y, x] = f + 1
                    depth[n, y, x] = z


def _visible(
    pos: NDArray[np.float32], tri: NDArray[np.int32], size: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    views, count, (height, width) = pos.shape[0], tri.shape[0], size
    box = np.zeros((views * count, 4), np.int32)
    plane = np.zeros((views * count, 12), np.float64)
    best = np.full((views, height, width), np.iinfo(np.int64).max, np.int64)
    ids = np.zeros((views, height, width), np.int32)
    depth = np.zeros((views, height, width), np.float32)

    def set_up(begin: int, end: int) -> None:
        _set_up(pos, tri, height, width, begin, end, box, plane)

    def scan(view: int, first: int, last: int) -> None:
        _scan(count, view, first, last, box, plane, best, ids, depth)

    workers = os.cpu_count() or 1
    if workers == 1 or views * (count + height * width // 4) < _PARALLEL_FROM:
        set_up(0, views * count)
        for view in range(views):
            scan(view, 0, height - 1)
        return ids, depth
    part, rows = -(-views * count // workers), -(-height // workers)
    parts = [(begin, min(begin + part, views * count)) for begin in range(0, views * count, max(part, 1))]
    bands = [(v, top, min(top + rows, height) - 1) for v in range(views) for top in range(0, height, rows)]
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda job: set_up(*job), parts))  # all set up before any is drawn
        list(pool.map(lambda job: scan(*job), bands))
    return ids, depth


def visible(pos: Tensor, tri: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Nearest triangle of every pixel: see ``rasterizer.Visibility``. Works on any device, computes on the CPU.

    Triangles are cut exactly at the near and far plane, and may cross the plane of the eye: homogeneous edge
    functions need no division by w. Of equally near triangles the first wins.
    """
    pos_cpu = np.ascontiguousarray(pos.detach().to("cpu", torch.float32).numpy())
    tri_cpu = np.ascontiguousarray(tri.to("cpu", torch.int32).numpy())
    ids, depth = _visible(pos_cpu, tri_cpu, size)
    return torch.from_numpy(ids).to(pos.device), torch.from_numpy(depth).to(pos.device)
