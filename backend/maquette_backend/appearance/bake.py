"""Baking: a colour that is a function of position becomes a texture on the mesh's UVs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from .uv_raster import surface_under_texels

MAX_SIZE = 8192
"""Pixels a side; beyond it the arrays of one bake no longer fit in 8 GB."""
_CHUNK = 1 << 17


def bake_color(
    color_at: Callable[[Tensor], Tensor],
    vertices: NDArray[np.floating],
    corner_uvs: NDArray[np.floating],
    triangles: NDArray[np.integer],
    size: int,
) -> NDArray[np.uint8]:
    """A texture u1 [size,size,3], row 0 at the bottom, of ``color_at`` on the surface.

    ``color_at`` maps points float32 [P,3] to values [P,3] in 0..1, stored as they are (for a base colour:
    sRGB). ``vertices`` [V,3], ``triangles`` [F,3], ``corner_uvs`` [F,3,2]. Texels off the islands repeat the
    nearest one on them, so neither filtering nor mipmaps show a seam; a mesh with no UV area gives mid grey.

    Raises ``ValueError`` for a size outside 1..``MAX_SIZE`` or UVs that do not fit the triangles.
    """
    if not 1 <= size <= MAX_SIZE:
        raise ValueError(f"texture size {size} is not in 1..{MAX_SIZE}")
    if corner_uvs.shape != (len(triangles), 3, 2):
        raise ValueError(f"corner UVs of shape {corner_uvs.shape} do not fit {len(triangles)} triangles")
    owner, bary = surface_under_texels(corner_uvs, size)
    covered = owner >= 0
    texture = np.full((size, size, 3), 128, np.uint8)
    if not covered.any():
        return texture
    corners = vertices[triangles[owner[covered]]]
    points = np.einsum("pk,pkj->pj", bary[covered], corners).astype(np.float32)
    texture[covered] = _evaluated(color_at, points)
    return dilated(texture, covered)


def dilated(texture: NDArray[np.uint8], covered: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Every texel outside ``covered`` [H,W] takes the nearest covered texel's value; one must be covered."""
    nearest = ndimage.distance_transform_edt(~covered, return_distances=False, return_indices=True)
    rows, columns = np.asarray(nearest)
    return texture[rows, columns]


def _evaluated(color_at: Callable[[Tensor], Tensor], points: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Values u1 [P,3], a bounded number of points at a time."""
    parts = []
    with torch.no_grad():
        for chunk in torch.from_numpy(points).split(_CHUNK):
            parts.append((color_at(chunk).clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())
    return np.concatenate(parts)
