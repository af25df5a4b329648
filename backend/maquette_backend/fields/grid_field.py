"""A learned function of position: the sum of trilinear grids from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class GridField(nn.Module):
    """Values of ``channels`` at any point of a cube, zero to start with.

    Under one learning rate for all levels the coarse ones move large regions together and the fine ones add
    detail, so a noisy gradient gives a smooth change. Dense levels and no hash (Müller et al. 2022) because
    a subject needs no more than 32³ here, and a plain ``grid_sample`` runs everywhere.

    ``resolutions`` are samples per side; ``half_extent`` is half the cube's side, centred on the origin,
    beyond which the border value goes on; ``mirror_x`` makes the function symmetric in x.
    """

    def __init__(
        self,
        channels: int,
        resolutions: Sequence[int] = (4, 8, 16, 32),
        half_extent: float = 0.62,
        mirror_x: bool = False,
    ) -> None:
        super().__init__()
        if not resolutions or min(resolutions) < 2 or half_extent <= 0:
            raise ValueError(
                f"a grid field needs resolutions >= 2 and a positive extent, not {resolutions}, {half_extent}"
            )
        self.levels = nn.ParameterList(nn.Parameter(torch.zeros(1, channels, r, r, r)) for r in resolutions)
        self.half_extent = half_extent
        self.mirror_x = mirror_x

    def forward(self, points: Tensor) -> Tensor:
        """Values [P,C] at ``points`` [P,3]; differentiable in both the grids and the points."""
        return self.by_level(points).sum(dim=0)

    def by_level(self, points: Tensor) -> Tensor:
        """What each level adds to the values at ``points`` [P,3], from coarse to fine, [levels,P,C]."""
        unit = points / self.half_extent
        if self.mirror_x:
            unit = torch.cat([unit[:, :1].abs(), unit[:, 1:]], dim=1)
        where = unit.flip(-1)[None, None, None]  # grid_sample wants the fastest axis first
        return torch.stack([_sample(level, where) for level in self.levels])


def _sample(level: Tensor, where: Tensor) -> Tensor:
    """One level [1,C,R,R,R] at [1,1,1,P,3] in −1..1 → [P,C]."""
    values = nn.functional.grid_sample(level, where, mode="bilinear", padding_mode="border", align_corners=True)
    return values[0, :, 0, 0].T
