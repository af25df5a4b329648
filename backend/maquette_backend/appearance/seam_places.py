"""Places along UV seams, a little inside of their two sides, and the texels there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maquette_backend.appearance.seams import SharedEdges

_INSIDE = 0.5
"""Texels: as near to the edge as a look-up reads its own island alone."""


def seam_places(edges: SharedEdges, size: int) -> NDArray[np.float64]:
    """Texture coordinates [2,N,2] on the two sides of about two places a texel, along every seam of a texture of ``size`` px."""
    ends, inwards = edges.ends[edges.seam], edges.inwards[edges.seam]
    longest = np.linalg.norm(ends[:, :, 1] - ends[:, :, 0], axis=-1).max(1) * size
    count = np.ceil(2 * longest).clip(1).astype(int)
    which = np.arange(len(count)).repeat(count)
    number = np.arange(count.sum()) - (count.cumsum() - count).repeat(count)
    share = ((number + 0.5) / count[which])[:, None, None]
    on_edge = ends[which, :, 0] * (1 - share) + ends[which, :, 1] * share  # [N,2,2]
    away = inwards / np.linalg.norm(inwards, axis=-1, keepdims=True) * (_INSIDE / size)
    return (on_edge + away[which]).swapaxes(0, 1)


def texels_at(places: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """The texel of size² (row · size + column) under each place [...,2]; those outside are the border's."""
    texel = np.floor(places * size).astype(np.int64).clip(0, size - 1)
    return texel[..., 1] * size + texel[..., 0]
