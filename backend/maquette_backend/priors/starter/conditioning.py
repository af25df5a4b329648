"""What the starter prior's network is told beside text and time: where the camera is, and how noisy the geometry is.

Both go in as one vector through diffusers' ``class_labels`` (a projected "class"). Zeros for the camera's part mean
that it is not known.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from maquette_backend.priors.prior import Views

TRAINED_ELEVATION_DEG = (-10.0, 65.0)
TRAINED_FOV_DEG = (18.0, 65.0)
TRAINED_FRAME = (1.15, 1.75)
"""Height of the frame at the subject's centre, with the subject's longest side 1, of the training renders."""
CAMERA_FEATURES = 24
TIME_FEATURES = 16
CONDITION_SIZE = CAMERA_FEATURES + TIME_FEATURES


def camera_features(views: Views) -> Tensor:
    """Views → [views,24] float32, each about −1..1, the last always 1.

    Four harmonics of the azimuth, two of the elevation, and frame height and field of view at three frequencies each.
    Elevation, frame and field of view are clamped to the trained ranges: a nearby camera that the network knows beats
    one that it never saw. The frame's height at the subject stands for the distance, whose effect at a given field
    of view it is.
    """
    azimuth, elevation, fov = (part.float() for part in (views.azimuth, views.elevation, views.fov_y))
    frame = 2 * views.distance.float() * torch.tan(fov / 2)
    elevation = torch.deg2rad(torch.rad2deg(elevation).clamp(*TRAINED_ELEVATION_DEG))
    angles = [*(k * azimuth for k in (1, 2, 3, 4)), *(k * elevation for k in (1, 2))]
    lengths = [_unit(frame, TRAINED_FRAME), _unit(torch.rad2deg(fov), TRAINED_FOV_DEG)]
    columns = [f(angle) for angle in angles for f in (torch.sin, torch.cos)]
    columns += [f(k * math.pi / 2 * x) for x in lengths for k in (1, 2) for f in (torch.sin, torch.cos)]
    columns += [*lengths, elevation.sin() * azimuth.cos(), torch.ones_like(azimuth)]
    return torch.stack(columns, dim=-1)


def time_features(time: Tensor) -> Tensor:
    """Times [B] in 0..1 → [B,16]: sines and cosines at eight octaves (Mildenhall et al. 2020, eq. 4)."""
    angles = time.float()[:, None] * math.pi / 2 * 2.0 ** torch.arange(TIME_FEATURES // 2, device=time.device)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def condition(camera: Tensor, geometry_time: Tensor) -> Tensor:
    """Camera features [B,24] and the geometry's diffusion times [B] → class labels [B,40]."""
    return torch.cat([camera, time_features(geometry_time)], dim=1)


def no_camera(batch: int, device: torch.device) -> Tensor:
    """Features [batch,24] that say: not known."""
    return torch.zeros(batch, CAMERA_FEATURES, device=device)


def _unit(values: Tensor, bounds: tuple[float, float]) -> Tensor:
    """``bounds`` → −1..1, clamped."""
    low, high = bounds
    return ((values - low) * (2 / (high - low)) - 1).clamp(-1, 1)
