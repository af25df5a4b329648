"""Volumetric appearance: colour as a function of position, learned before there is a texture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from maquette_backend.fields.grid_field import GridField


class ColorField(nn.Module):
    """Colour 0..1 at points in unit space, mid grey to start with. Independent of the mesh and of its UVs.

    ``base`` is one logit per channel for the whole subject: learned first and fast, it gives places of which a prior
    says little the subject's overall colour instead of grey.
    """

    def __init__(
        self,
        resolutions: Sequence[int] = (4, 8, 16, 32),
        half_extent: float = 0.62,
        mirror_x: bool = False,
    ) -> None:
        super().__init__()
        self.grid = GridField(3, resolutions, half_extent, mirror_x)
        self.base = nn.Parameter(torch.zeros(3))

    def forward(self, points: Tensor) -> Tensor:
        """Colours [P,3] in 0..1 at ``points`` [P,3]."""
        return torch.sigmoid(self.base + self.grid(points))

    def forget_detail(self) -> None:
        """Back to the overall colour alone."""
        with torch.no_grad():
            for level in self.grid.levels:
                level.zero_()
