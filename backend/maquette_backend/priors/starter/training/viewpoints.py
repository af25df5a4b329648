"""From where the training pictures are seen: all sides, several fields of view, always framed alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FOV_Y_DEG = (18.0, 65.0)
FRAME_HEIGHTS = (1.15, 1.75)
"""Height of the frame at the object's centre, in units of the object's longest side."""
_ELEVATION_QUANTILES = (0.0, 0.08, 0.88, 1.0)
_ELEVATIONS_DEG = (-10.0, 0.0, 45.0, 65.0)
_OVERFLOW = 1.15
"""How far the bounding box may reach beyond the frame, as a multiple of the frame; what stands in it rarely does."""


@dataclass(frozen=True)
class Viewpoint:
    """An orbit camera: azimuth 0 sees the front (+Z), growing counter-clockwise from above."""

    azimuth_deg: float
    elevation_deg: float
    distance: float
    """From the object's centre, in units of its longest side."""
    fov_y_deg: float

    def row(self) -> tuple[float, float, float, float]:
        return self.azimuth_deg, self.elevation_deg, self.distance, self.fov_y_deg


def distance_for(frame_height: float, fov_y_deg: float) -> float:
    """From where a frame at the object's centre is ``frame_height`` high."""
    return frame_height / (2 * math.tan(math.radians(fov_y_deg) / 2))


def draw_viewpoint(random: np.random.Generator, view: int, views: int, extent: NDArray[np.float64]) -> Viewpoint:
    """View number ``view`` of ``views``, which divide the full turn among them.

    extent [3] is the size of the object's box, longest side 1. What would overflow the frame by far (a cube close
    by, under a wide angle) is seen from farther away, within ``FRAME_HEIGHTS``.
    """
    azimuth_deg = (view + random.random()) * 360 / views
    elevation_deg = float(np.interp(random.random(), _ELEVATION_QUANTILES, _ELEVATIONS_DEG))
    fov_y_deg = random.uniform(*FOV_Y_DEG)
    height = random.uniform(*FRAME_HEIGHTS)
    corners = _corners(extent) @ camera_from_world(azimuth_deg, elevation_deg).T
    for _ in range(3):
        overflow = _reach(corners, distance_for(height, fov_y_deg), fov_y_deg) / _OVERFLOW
        height = min(FRAME_HEIGHTS[1], height * max(1.0, overflow))
    return Viewpoint(azimuth_deg, elevation_deg, distance_for(height, fov_y_deg), fov_y_deg)


def camera_from_world(azimuth_deg: float, elevation_deg: float) -> NDArray[np.float64]:
    """[3,3], rows: the camera's right, up and backward axes in the world."""
    a, e = math.radians(azimuth_deg), math.radians(elevation_deg)
    backward = np.array([math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)])
    right = np.array([math.cos(a), 0.0, -math.sin(a)])
    return np.stack([right, np.cross(backward, right), backward])


def _corners(extent: NDArray[np.float64]) -> NDArray[np.float64]:
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    return signs * extent / 2


def _reach(corners: NDArray[np.float64], distance: float, fov_y_deg: float) -> float:
    """How far from the picture's middle a corner [8,3] comes to lie, in half frames."""
    depth = np.maximum(distance - corners[:, 2], 0.05)
    return float((np.abs(corners[:, :2]).max(1) / depth).max() / math.tan(math.radians(fov_y_deg) / 2))
