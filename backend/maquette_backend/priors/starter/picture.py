"""The starter prior's picture: colour, camera-space normals and coverage of one view, seven channels side by side."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

CHANNELS = 7
COLOR = slice(0, 3)
NORMAL = slice(3, 6)
COVERAGE = slice(6, 7)
GEOMETRY = slice(3, 7)
"""Normals and coverage: what the shape alone decides. They share one noise level, the colour has another."""
PATCH = 2
"""Side of the block of pixels that is folded into channels before the network: its costliest level disappears."""
FOLDED_CHANNELS = CHANNELS * PATCH * PATCH
SIZE = 64
"""Side of the square pictures, pixels."""

Part = Literal["color", "geometry"]
_SCALES = (3.5, 3.5, 3.5, 3.0, 3.0, 3.0, 1.0)
"""Colours on mid grey have a deviation near 0.25, normals near 0.33, coverage near 0.9: all are brought to about 1,
so that what the network must predict holds signal and not mostly noise."""

LARGEST = 3.5
"""Largest magnitude of an encoded picture."""


def join(color: Tensor, normal: Tensor, coverage: Tensor) -> Tensor:
    """Colour and normals [B,3,H,W] in −1..1 with background 0, coverage [B,1,H,W] in 0..1 → picture [B,7,H,W]."""
    return torch.cat([color, normal, 2 * coverage - 1], dim=1)


def encode(picture: Tensor) -> Tensor:
    """Pictures [B,7,H,W] in −1..1 → the same at about unit deviation, which is what noise is added to."""
    return picture * _scales(picture)


def decode(encoded: Tensor) -> Tensor:
    """The inverse of ``encode``."""
    return encoded / _scales(encoded)


def channel_times(color: Tensor, geometry: Tensor) -> Tensor:
    """Diffusion times [B] of both parts → of every channel, [B,7,1,1]."""
    columns = [color] * 3 + [geometry] * 4
    return torch.stack(columns, dim=1)[:, :, None, None]


def _scales(like: Tensor) -> Tensor:
    return torch.tensor(_SCALES, dtype=like.dtype, device=like.device).view(1, CHANNELS, 1, 1)
