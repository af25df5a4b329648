"""The maps of a surface: which there are, what they are called, and how they are split. No bpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Bytes8 = NDArray[np.uint8]
LABELS = {"COLOR": "Base Colour", "ROUGHNESS": "Roughness", "METALLIC": "Metallic", "NORMAL": "Normal"}
"""What each kind of map is called, in the order in which they are shown."""
FLAT_NORMAL = (128, 128, 255)


@dataclass(frozen=True)
class SurfaceMaps:
    """Pictures on one UV map, row 0 at the bottom. Base colour is sRGB, the others are data; green is up (OpenGL)."""

    images: Mapping[str, Bytes8]
    """By kind: u1 [H,W,3] for COLOR and NORMAL, [H,W] for the others."""
    tiles: tuple[int, ...] = (1001,)
    """UDIM numbers; more than one: the pictures hold them all, in a square of tiles."""
    ready: Mapping[str, str] = field(default_factory=dict)
    """By kind, the name of the image that has these pixels already."""

    @property
    def color(self) -> Bytes8:
        """[H,W,3]"""
        return self.images["COLOR"]


def in_one(maps: SurfaceMaps) -> Bytes8:
    """All maps' channels side by side [H,W,C], as ``apart`` takes them apart."""
    return np.concatenate([image.reshape(*image.shape[:2], -1) for image in maps.images.values()], axis=2)


def apart(maps: SurfaceMaps, whole: Bytes8) -> SurfaceMaps:
    """``maps`` with other pixels, those of ``whole`` [H,W,C]; none of its images is ready any more."""
    images: dict[str, Bytes8] = {}
    start = 0
    for kind, image in maps.images.items():
        channels = 1 if image.ndim == 2 else image.shape[2]
        part = whole[..., start : start + channels]
        images[kind] = np.ascontiguousarray(part[..., 0] if image.ndim == 2 else part)
        start += channels
    return replace(maps, images=images, ready={})


def mean_color(maps: SurfaceMaps) -> tuple[float, float, float]:
    """Of some thousand pixels that are not black, as linear light; mid grey where all are."""
    flat = maps.color.reshape(-1, 3)
    some = flat[:: max(1, len(flat) // 4096)].astype(np.float64) / 255
    shown = some[some.any(axis=1)]
    mean = shown.mean(axis=0) if len(shown) else np.full(3, 0.5)
    linear = np.where(mean <= 0.04045, mean / 12.92, ((mean + 0.055) / 1.055) ** 2.4)
    return float(linear[0]), float(linear[1]), float(linear[2])
