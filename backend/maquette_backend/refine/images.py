"""From what was learned to texture images: kept texels to the bit, unseen ones filled, gutters repeated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from maquette_backend.appearance.fields import ColorField
from maquette_backend.refine.canvas import Canvas
from maquette_backend.refine.skin import left
from maquette_backend.refine.unseen import filled

MARGIN_PX = 2
"""Around the islands of a given picture, which may hold other objects' islands too; new pictures are filled whole."""
_CHUNK = 1 << 17
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Maps:
    """What an artist gets to see of an appearance; row 0 at the bottom."""

    base_color: Bytes  # [S,S,3] sRGB
    roughness: Bytes | None = None  # [S,S]
    metallic: Bytes | None = None  # [S,S]
    normal: Bytes | None = None  # [S,S,3]


def color_image(canvas: Canvas, field: ColorField, seen: NDArray[np.bool_]) -> Bytes:
    """Base colour u1 [S,S,3], sRGB, row 0 at the bottom. ``seen`` [P] are the texels that some view saw."""
    texels, given = canvas.texels, canvas.given.base_color
    if given is None:
        values = _evaluated(lambda rows: _field(field, texels.points[rows]), len(texels.points))
        return finished(canvas, values, None, seen)
    share = torch.from_numpy(canvas.share * (1 - canvas.given.keep_look))[:, None]
    start = torch.from_numpy(given[texels.covered].astype(np.float32) / 255)
    device = field.base.device

    def at(rows: slice) -> Tensor:
        points = torch.from_numpy(texels.points[rows]).to(device)
        return left(start[rows].to(device), share[rows].to(device), field, points)

    return finished(canvas, _evaluated(at, len(texels.points)), given, seen)


def finished(canvas: Canvas, values: Bytes, given: Bytes | None, seen: NDArray[np.bool_]) -> Bytes:
    """``values`` u1 [P,C] of the texels as an image [S,S,C], on the ``given`` one if there is one."""
    texels, changed = canvas.texels, canvas.share > 0
    if given is None:
        if not len(values):
            return np.full((texels.size, texels.size, values.shape[1]), 128, np.uint8)
        values = filled(values, texels, seen & changed)
        image = np.asarray(texels.image(values, np.zeros((texels.size, texels.size, values.shape[1]), np.uint8)))
        return _repeated(image, texels.covered, None, np.ones_like(texels.covered))
    kept = given[texels.covered].reshape(values.shape)
    image = given.copy().reshape(texels.size, texels.size, -1)
    image[texels.covered] = np.where(changed[:, None], values, kept)
    differs = changed & (values != kept).any(1)
    sources = np.asarray(texels.image(differs, np.zeros_like(texels.covered)))
    mask = canvas.given.texel_mask
    allowed = np.ones_like(texels.covered) if mask is None else mask > 0
    return _repeated(image, texels.covered, sources, allowed)


def _repeated(
    image: Bytes, covered: NDArray[np.bool_], sources: NDArray[np.bool_] | None, allowed: NDArray[np.bool_]
) -> Bytes:
    """Texels off the islands take the nearest one's value: all, or those near ``sources`` alone."""
    rows, columns = np.asarray(ndimage.distance_transform_edt(~covered, return_distances=False, return_indices=True))
    take = ~covered & allowed
    if sources is not None:
        row, column = np.indices(covered.shape)
        take &= (np.hypot(rows - row, columns - column) <= MARGIN_PX) & sources[rows, columns]
    image[take] = image[rows[take], columns[take]]
    return image


def _field(field: ColorField, points: NDArray[np.float32]) -> Tensor:
    return field(torch.from_numpy(points).to(field.base.device))


def _evaluated(at: Callable[[slice], Tensor], count: int) -> Bytes:
    """Values u1 [count,C] of colours 0..1, a bounded number of points at a time."""
    with torch.no_grad():
        parts = [
            (at(slice(first, first + _CHUNK)).clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
            for first in range(0, max(count, 1), _CHUNK)
        ]
    return np.concatenate(parts)
