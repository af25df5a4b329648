"""PNG, written by hand: quickly readable or small. No bpy: this runs beside Blender's main thread.

Blender encodes a packed image itself, in its main thread, at a second for 2048². Here another thread does, and zlib and
numpy let the main thread go on meanwhile. W3C, "Portable Network Graphics (PNG) Specification", third edition.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOR_TYPES = {1: 0, 3: 2, 4: 6}
_STORED, _COMPRESSED = 0, 5
_COPY, _SUB = 0, 1


def encoded(pixels: NDArray[np.uint8], *, small: bool) -> bytes:
    """A PNG of u1 [H,W] or [H,W,1|3|4], row 0 at the bottom.

    ``small`` takes some tenths of a second at 2048², and as long to read; else the file is as large as its pixels, and
    read three times as fast.
    """
    image = pixels.reshape(*pixels.shape[:2], -1)
    height, width, channels = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPES[channels], 0, 0, 0)
    lines = zlib.compress(_lines(image, filtered=small).data, _COMPRESSED if small else _STORED)
    return b"".join((_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", lines), _chunk(b"IEND", b"")))


def _lines(image: NDArray[np.uint8], *, filtered: bool) -> NDArray[np.uint8]:
    """Rows from the top, a filter's number before each; filtered, each pixel less the one left of it (§9.2)."""
    height, width, channels = image.shape
    lines = np.zeros((height, 1 + width * channels), np.uint8)
    lines[:, 0] = _SUB if filtered else _COPY
    lines[:, 1:] = image[::-1].reshape(height, -1)
    if filtered:
        lines[:, 1 + channels :] -= image[::-1].reshape(height, -1)[:, :-channels]
    return lines


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", checksum)))
