"""A multi-view model's cameras, and its network made ready for them (MVDream, Shi et al. 2023)."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from maquette_backend.priors.model_folder import CAMERA_NUMBERS
from maquette_backend.priors.prior import Views
from maquette_backend.priors.starter.views_together import VIEWS, show_together


def camera_rows(views: Views) -> Tensor:
    """Views [B] → [B,17]: the camera's matrix row by row, and 1, which says that it is told.

    World from camera, z up, the camera looking along its −Z with +Y up, its place on the unit sphere: distance and
    field of view are not told. At azimuth 0 it stands on −Y, as in the renders that MVDream learned from.
    """
    azimuth, elevation = views.azimuth, views.elevation
    sin_a, cos_a, sin_e, cos_e = azimuth.sin(), azimuth.cos(), elevation.sin(), elevation.cos()
    none = torch.zeros_like(azimuth)
    place = torch.stack([cos_e * sin_a, -cos_e * cos_a, sin_e], 1)
    right = torch.stack([cos_a, sin_a, none], 1)
    up = torch.stack([-sin_e * sin_a, sin_e * cos_a, cos_e], 1)
    top = torch.stack([right, up, place, place], 2)  # it looks at the centre, so its +Z points to where it stands
    last = torch.stack([none, none, none, none + 1], 1)
    return torch.cat([top.flatten(1), last, torch.ones_like(none)[:, None]], 1)


def untold(count: int, device: torch.device) -> Tensor:
    """[count,17] for pictures without a camera."""
    return torch.zeros(count, CAMERA_NUMBERS + 1, device=device)


class CameraEmbedding(nn.Module):
    """The network's own embedding of cameras, left out where none is told: as MVDream saw its single pictures."""

    def __init__(self, embedding: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, rows: Tensor) -> Tensor:
        """Rows [B,17] → [B,width of the time embedding]."""
        cameras, told = rows.split([CAMERA_NUMBERS, 1], dim=1)
        weight = next(self.embedding.parameters())
        return self.embedding(cameras.to(weight)) * told.to(weight)


def show_views(network: UNet2DConditionModel) -> UNet2DConditionModel:
    """Self-attention across four views, and cameras that can be left out; in place."""
    show_together(network, VIEWS)
    embedding: Any = network.class_embedding
    network.class_embedding = CameraEmbedding(embedding)  # pyright: ignore[reportAttributeAccessIssue]
    return network
