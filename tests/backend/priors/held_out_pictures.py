"""Held-out CC0 pictures: all 13 such models that training never saw, four views each."""

from __future__ import annotations

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

    pictures: Tensor  # [B,7,64,64] in −1..1
    views: Views
    captions: list[str]  # [B]


def load_held_out() -> HeldOut:
    with np.load(Path(__file__).parent / "held_out_cc0.npz", allow_pickle=False) as file:
        pictures, cameras, captions = (file[name] for name in ("pictures", "cameras", "captions"))
    azimuth_deg, elevation_deg, distance, fov_deg = torch.from_numpy(cameras).flatten(0, 1).unbind(1)
    views = Views(torch.deg2rad(azimuth_deg), torch.deg2rad(elevation_deg), distance, torch.deg2rad(fov_deg))
    texts = [str(caption) for caption in captions for _ in range(VIEWS_PER_MODEL)]
    return HeldOut(torch.from_numpy(pictures).flatten(0, 1).float() / 127.5 - 1, views, texts)
