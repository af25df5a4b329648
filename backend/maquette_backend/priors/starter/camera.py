"""How the starter prior is told where a picture was seen from."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from maquette_backend.priors.prior import Views

CAMERA_SIZE = 6
TRAINED_FOV_DEG = 40.0
TRAINED_ELEVATION_DEG = (0.0, 45.0)
TRAINED_DISTANCE = (1.8, 2.1)
"""Camera distances, longest side 1, of the training renders."""
_MIDDLE_DISTANCE = 1.95


def camera_vector(views: Views) -> Tensor:
    """Views → [views,6] float32: sine and cosine of azimuth and twice azimuth, elevation and distance, each about −1..1.

    All training pictures had one field of view, so the distance is turned into the one that shows the subject
    equally large at that field of view. Elevation and distance are clamped to the trained range: a nearby camera
    that the network knows beats one that it never saw.
    """
    azimuth = views.azimuth.float()
    elevation_deg = torch.rad2deg(views.elevation.float()).clamp(*TRAINED_ELEVATION_DEG)
    same_size = torch.tan(views.fov_y.float() / 2) / math.tan(math.radians(TRAINED_FOV_DEG) / 2)
    distance = (views.distance.float() * same_size).clamp(*TRAINED_DISTANCE)
    columns = [
        azimuth.sin(),
        azimuth.cos(),
        (2 * azimuth).sin(),
        (2 * azimuth).cos(),
        elevation_deg / 45.0 - 0.5,
        (distance - _MIDDLE_DISTANCE) * 5,
    ]
    return torch.stack(columns, dim=-1)
