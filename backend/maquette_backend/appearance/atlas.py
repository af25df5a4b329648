"""UVs: making them, and judging the ones a mesh came with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xatlas
from numpy.typing import NDArray

from .uv_raster import coverage

_CHECK_SIZE = 512
"""Texels a side at which UVs are judged: a finer overlap would not show in a 1024² texture."""

_SAME_PLACE = 1 << 14
"""UVs nearer than this part of the square are one place, where triangles are compared."""


@dataclass(frozen=True)
class Atlas:
    """A parametrisation of a mesh whose positions and triangles stay as they are."""

    corner_uvs: NDArray[np.float32]
    """[F,3,2], one UV per triangle corner, in 0..1, v up."""


@dataclass(frozen=True)
class UvReport:
    """How sound given UVs are for painting a texture of their own."""

    overlap: float
    """Texels that more than one triangle claims, as a fraction of those covered. Halves that are mirrored onto
    each other exactly share their texels on purpose, and count once."""
    outside: float
    """Fraction of corners outside 0..1 (tiled or UDIM)."""
    zero_area: float
    """Fraction of triangles without area in UV space."""
    flipped: float
    """Fraction of the UV area that is mirrored; harmless by itself."""
    covered: float
    """Fraction of the texture that is used."""
    finite: bool

    @property
    def sound(self) -> bool:
        """Whether a texture can be baked to these UVs so that every place of the surface has its own texels."""
        return (
            self.finite and self.overlap < 0.01 and self.outside == 0 and self.zero_area < 0.02 and self.covered > 0.02
        )


def unwrap(vertices: NDArray[np.floating], triangles: NDArray[np.integer], size: int = 1024, padding: int = 4) -> Atlas:
    """UVs for any mesh (``vertices`` [V,3], ``triangles`` [F,3]) by xatlas, one square without overlaps.

    ``padding`` is the gap between islands, in texels of a texture of ``size``². All islands have one scale.
    Raises ``ValueError`` when there are no triangles.
    """
    if len(triangles) == 0:
        raise ValueError("UVs need at least one triangle")
    packer = xatlas.Atlas()
    packer.add_mesh(np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(triangles, np.uint32))
    pack = xatlas.PackOptions()
    pack.resolution = size
    pack.padding = padding
    pack.bilinear = True
    pack.rotate_charts = False  # it swaps u and v, so it mirrors islands (and would mirror a normal map)
    charts = xatlas.ChartOptions()
    charts.fix_winding = True
    packer.generate(charts, pack)
    _, corners, uvs = packer[0]
    # xatlas divides by width and height apart; one common divisor keeps texels square
    sides = np.array([packer.width, packer.height], np.float32)
    corner_uvs = uvs[corners.astype(np.int64)] * (sides / sides.max())
    return Atlas(np.clip(corner_uvs, 0, 1).astype(np.float32))


def check_uvs(corner_uvs: NDArray[np.floating]) -> UvReport:
    """Judge UVs [F,3,2]; no triangles, or anything not finite, is unsound."""
    if len(corner_uvs) == 0 or not np.isfinite(corner_uvs).all():
        return UvReport(0.0, 0.0, 0.0, 0.0, 0.0, finite=False)
    uvs = corner_uvs.astype(np.float64)
    one, two = uvs[:, 1] - uvs[:, 0], uvs[:, 2] - uvs[:, 0]
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    count, _ = coverage(_mirrored_once(uvs, area), _CHECK_SIZE)
    total = np.abs(area).sum()
    tolerance = 1e-6
    return UvReport(
        overlap=float((count > 1).sum() / max(1, (count > 0).sum())),
        outside=float(((uvs < -tolerance) | (uvs > 1 + tolerance)).any(axis=2).mean()),
        zero_area=float((np.abs(area) < 1e-12).mean()),
        flipped=float(-area[area < 0].sum() / total) if total > 0 else 0.0,
        covered=float((count > 0).mean()),
        finite=True,
    )


def _mirrored_once(uvs: NDArray[np.float64], area: NDArray[np.float64]) -> NDArray[np.float64]:
    """UVs [F,3,2] where triangles that lie exactly on each other, as many face up as face down, are there once."""
    places = np.round(np.clip(uvs, -8, 8) * _SAME_PLACE).astype(np.int64)
    keys = np.sort(places[..., 0] << 32 | (places[..., 1] & 0xFFFFFFFF), axis=1)
    _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    is_mirrored = np.bincount(which.ravel(), weights=np.sign(area)) == 0
    keep = ~is_mirrored[which.ravel()]
    keep[first] = True
    return uvs[keep]
