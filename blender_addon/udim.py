"""UDIM: UVs on several tiles ↔ one square of them, as the backend paints it. No bpy.

A tile's number is 1001 + column + 10 · row; its UVs lie in [column, column + 1] × [row, row + 1].
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FIRST = 1001
_COLUMNS, _ROWS = 10, 100
_SLACK = 1e-4
"""Of a tile: rounding that does not make a face cross a border."""


def corner(tile: int) -> NDArray[np.float64]:
    """The UV [2] of a tile's lower left corner."""
    return np.array([(tile - FIRST) % _COLUMNS, (tile - FIRST) // _COLUMNS], np.float64)


def tiles_of(uvs: NDArray[np.floating]) -> tuple[tuple[int, ...], NDArray[np.int64], NDArray[np.bool_]]:
    """Numbers of the tiles in use, the tile [F] of each triangle [F,3,2], and which [F] cross a border or lie outside."""
    if not len(uvs):
        return (FIRST,), np.zeros(0, np.int64), np.zeros(0, bool)
    # by its middle: a corner on a border belongs to both tiles
    place = np.floor(uvs.mean(axis=1)).astype(np.int64)
    local = uvs - place[:, None]
    within = ((local >= -_SLACK) & (local <= 1 + _SLACK)).all(axis=(1, 2))
    known = (place >= 0).all(axis=1) & (place[:, 0] < _COLUMNS) & (place[:, 1] < _ROWS)
    crosses = ~(within & known)
    numbers = np.where(crosses, 0, FIRST + place[:, 0] + _COLUMNS * place[:, 1])
    found = tuple(int(number) for number in np.unique(numbers) if number)
    return found or (FIRST,), numbers, crosses


def gaps(tiles: tuple[int, ...]) -> tuple[int, ...]:
    """Numbers between used tiles of a row, and first tiles of rows between used rows, that nothing is on."""
    rows: dict[int, list[int]] = {}
    for tile in tiles:
        rows.setdefault((tile - FIRST) // _COLUMNS, []).append(tile)
    empty_rows = (FIRST + _COLUMNS * row for row in range(min(rows), max(rows)) if row not in rows)
    inside = (number for used in rows.values() for number in range(min(used), max(used)) if number not in used)
    return tuple(sorted((*empty_rows, *inside)))


def side(tiles: tuple[int, ...]) -> int:
    """Tiles along the side of the square that holds them."""
    return math.isqrt(len(tiles) - 1) + 1


def packed(uvs: NDArray[np.float32], tiles: tuple[int, ...]) -> NDArray[np.float32]:
    """UVs [F,3,2] on tiles → in one square, row by row from below, in the order of ``tiles``."""
    if tiles == (FIRST,):
        return uvs
    _, tile_of, _ = tiles_of(uvs)
    index = np.searchsorted(tiles, tile_of)
    source = np.stack([corner(tile) for tile in tiles])[index]
    return ((uvs - source[:, None] + _cells(index, tiles)[:, None]) / side(tiles)).astype(np.float32)


def unpacked(uvs: NDArray[np.float32], tiles: tuple[int, ...]) -> NDArray[np.float32]:
    """What ``packed`` packed, back on the tiles."""
    if tiles == (FIRST,):
        return uvs
    count = side(tiles)
    grown = uvs.astype(np.float64) * count
    cell = np.clip(np.floor(grown.mean(axis=1)).astype(np.int64), 0, count - 1)
    index = np.minimum(cell[:, 1] * count + cell[:, 0], len(tiles) - 1)
    target = np.stack([corner(tile) for tile in tiles])[index]
    return (grown - _cells(index, tiles)[:, None] + target[:, None]).astype(np.float32)


def packed_image(images: dict[int, NDArray[np.uint8]], tiles: tuple[int, ...]) -> NDArray[np.uint8]:
    """Pictures [h,w,…] of one size by tile → one picture [n·h,n·w,…]; black where a tile has none. Row 0 at the bottom."""
    count, some = side(tiles), next(iter(images.values()))
    height, width = some.shape[:2]
    whole = np.zeros((count * height, count * width, *some.shape[2:]), np.uint8)
    for index, tile in enumerate(tiles):
        if tile in images:
            whole[_slice(index, count, height, width)] = images[tile]
    return whole


def split_image(whole: NDArray[np.uint8], tiles: tuple[int, ...]) -> dict[int, NDArray[np.uint8]]:
    """One picture [H,W,…] → the picture of each tile."""
    count = side(tiles)
    height, width = whole.shape[0] // count, whole.shape[1] // count
    return {tile: whole[_slice(index, count, height, width)] for index, tile in enumerate(tiles)}


def _cells(index: NDArray[np.int64], tiles: tuple[int, ...]) -> NDArray[np.float64]:
    """Column and row [...,2] of the places in the square."""
    count = side(tiles)
    return np.stack([index % count, index // count], axis=-1).astype(np.float64)


def _slice(index: int, count: int, height: int, width: int) -> tuple[slice, slice]:
    row, column = divmod(index, count)
    return slice(row * height, (row + 1) * height), slice(column * width, (column + 1) * width)
