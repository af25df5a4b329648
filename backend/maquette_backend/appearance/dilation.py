"""Texels off the islands: filled so that neither filtering nor any mip level shows where islands end.

Pull and push (Gortler et al. 1996, "The Lumigraph", section 3.4): averages of what is covered are pulled up through halvings,
and pushed down again into what is empty. So a mip of the filled texture is, near enough, the average over the islands alone.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


def fill_off_islands(texels: NDArray[np.uint8], covered: NDArray[np.bool_]) -> None:
    """Give every texel [H,W,C] outside ``covered`` [H,W] a value, in place; nothing covered: nothing changes."""
    if not covered.any() or covered.all():
        return
    values, weights = [np.zeros((0, 0, 0), np.float32)], [covered.astype(np.float32)]
    values.append(np.zeros((*_half(covered.shape), texels.shape[2]), np.float32))
    weights.append(np.zeros(_half(covered.shape), np.float32))
    _pull(texels, weights[0], values[1], weights[1])
    while max(values[-1].shape[:2]) > 1:
        values.append(np.zeros((*_half(values[-1].shape), texels.shape[2]), np.float32))
        weights.append(np.zeros(_half(weights[-1].shape), np.float32))
        _pull(values[-2], weights[-2], values[-1], weights[-1])
    for level in range(len(values) - 2, 0, -1):
        _push(values[level], weights[level], values[level + 1], np.float32(0))
    _push(texels, weights[0], values[1], np.float32(0.5))


def _half(shape: tuple[int, ...]) -> tuple[int, int]:
    return ((shape[0] + 1) // 2, (shape[1] + 1) // 2)


@njit(cache=True, nogil=True)
def _pull(fine, fine_weight, coarse, coarse_weight):  # pragma: no cover - compiled
    """Means over the covered of four, weighed by how much of each is covered."""
    height, width, channels = fine.shape
    for j in range(coarse.shape[0]):
        for i in range(coarse.shape[1]):
            total = np.float32(0)
            for dj in range(2):
                for di in range(2):
                    y, x = 2 * j + dj, 2 * i + di
                    if y < height and x < width and fine_weight[y, x] > 0:
                        weight = fine_weight[y, x]
                        total += weight
                        for c in range(channels):
                            coarse[j, i, c] += weight * fine[y, x, c]
            coarse_weight[j, i] = total
            if total > 0:
                for c in range(channels):
                    coarse[j, i, c] /= total


@njit(cache=True, nogil=True)
def _push(fine, fine_weight, coarse, rounding):  # pragma: no cover - compiled
    """Into the empty: the mean of covered neighbours, or else what the coarser level has there."""
    height, width, channels = fine.shape
    near = np.zeros(channels, np.float32)
    for j in range(height):
        for i in range(width):
            if fine_weight[j, i] > 0:
                continue
            count = np.float32(0)
            near[:] = 0
            for y in range(max(0, j - 1), min(height, j + 2)):
                for x in range(max(0, i - 1), min(width, i + 2)):
                    if fine_weight[y, x] > 0:
                        count += 1
                        for c in range(channels):
                            near[c] += fine[y, x, c]
            for c in range(channels):
                value = near[c] / count if count > 0 else coarse[j // 2, i // 2, c]
                fine[j, i, c] = value + rounding
