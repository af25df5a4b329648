"""Held-out CC0 pictures: all 13 such models that training never saw, four views each, colour and normals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from maquette_backend.priors.prior import Views
from torch import Tensor

VIEWS_PER_MODEL = 4


@dataclass(frozen=True)
class HeldOut:
    """B = 13 · 4 pictures, model by model."""

    color: Tensor  # [B,3,64,64] in −1..1
    normal: Tensor  # [B,3,64,64]
    views: Views
    captions: list[str]  # [B]


def load_held_out() -> HeldOut:
    with np.load(Path(__file__).parent / "held_out_cc0.npz", allow_pickle=False) as file:
        images, normals, cameras, captions = (file[name] for name in ("images", "normals", "cameras", "captions"))
    azimuth_deg, elevation_deg, distance = torch.from_numpy(cameras).flatten(0, 1).unbind(1)
    fov_y = torch.full_like(distance, math.radians(40))
    views = Views(torch.deg2rad(azimuth_deg), torch.deg2rad(elevation_deg), distance, fov_y)
    texts = [str(caption) for caption in captions for _ in range(VIEWS_PER_MODEL)]
    return HeldOut(_pictures(images), _pictures(normals), views, texts)


def _pictures(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values).flatten(0, 1).permute(0, 3, 1, 2).float() / 127.5 - 1
