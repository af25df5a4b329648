"""Words that tell a prior without cameras where it is looking from (DreamFusion)."""

from __future__ import annotations

import math
from typing import Literal

Side = Literal["front", "side", "back", "overhead"]

FRONT_HALF_ANGLE = math.radians(45.0)
"""Azimuths within this of the front (back) count as front (back); X-Dreamer's threshold."""
OVERHEAD_ELEVATION = math.radians(60.0)
"""Above this every side looks the same: DreamFusion's "overhead view"."""


def side_of(azimuth: float, elevation: float) -> Side:
    """The side seen from ``azimuth`` (0 is the front) and ``elevation``, radians."""
    if elevation > OVERHEAD_ELEVATION:
        return "overhead"
    from_front = abs(math.remainder(azimuth, math.tau))
    if from_front <= FRONT_HALF_ANGLE:
        return "front"
    return "back" if from_front >= math.pi - FRONT_HALF_ANGLE else "side"


def view_prompt(prompt: str, azimuth: float, elevation: float) -> str:
    """``prompt`` with the side it is seen from, e.g. ``a red sofa, back view``."""
    return f"{prompt}, {side_of(azimuth, elevation)} view"
