"""The sphere of directions on a square (Cigolle et al. 2014, "A Survey of Efficient Representations for Independent Unit
Vectors"): no poles and no trigonometry, so looking light up and differentiating it is cheap.

The square's centre is up (+Z), its corners are down, the circle of the horizon is the inner diamond.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor

_PARTS = 4
"""Places along a texel's side at which its area is taken."""


def square_from_direction(directions: Tensor) -> Tensor:
    """Directions [...,3] of any length above 0 → places [...,2] in −1..1."""
    unit = directions / directions.abs().sum(-1, keepdim=True).clamp(min=1e-12)
    upper, z = unit[..., :2], unit[..., 2:]
    folded = (1 - upper.abs().flip(-1)) * torch.where(upper >= 0, 1.0, -1.0)
    return torch.where(z >= 0, upper, folded)


def direction_from_square(places: Tensor) -> Tensor:
    """Places [...,2] in −1..1 → unit directions [...,3]."""
    z = 1 - places.abs().sum(-1, keepdim=True)
    unfolded = (1 - places.abs().flip(-1)) * torch.where(places >= 0, 1.0, -1.0)
    return functional.normalize(torch.cat([torch.where(z >= 0, places, unfolded), z], -1), dim=-1)


def texel_places(size: int) -> Tensor:
    """Centres [size,size,2] of a square's texels: x along the second axis, y along the first."""
    axis = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], -1)


def solid_angles(size: int) -> Tensor:
    """Steradians [size,size] of every texel, summing to 4π exactly.

    A point of the octahedron at distance r spans dA/r³ of the sphere: its faces are 1/√3 away and lean by 1/√3.
    """
    directions = direction_from_square(texel_places(size * _PARTS))
    weight = functional.avg_pool2d((directions.abs().sum(-1) ** 3)[None], _PARTS)[0]  # 1/r, cubed
    return weight * (4 * math.pi / weight.sum())


def padded(maps: Tensor) -> Tensor:
    """Maps [...,S,S] with a border of one texel that continues them over the square's folds, [...,S+2,S+2]."""
    leading, size = maps.shape[:-2], maps.shape[-1]
    whole = maps.new_zeros(*leading, size + 2, size + 2)
    whole[..., 1:-1, 1:-1] = maps
    whole[..., 0, 1:-1], whole[..., -1, 1:-1] = maps[..., 0, :].flip(-1), maps[..., -1, :].flip(-1)
    whole[..., 1:-1, 0], whole[..., 1:-1, -1] = maps[..., :, 0].flip(-1), maps[..., :, -1].flip(-1)
    for row in (0, -1):
        for column in (0, -1):
            whole[..., row, column] = maps[..., -1 - row, -1 - column]
    return whole


def look_up(padded_map: Tensor, directions: Tensor) -> Tensor:
    """Bilinear values [P,C] of a padded map [C,S+2,S+2] in ``directions`` [P,3]."""
    size = padded_map.shape[-1] - 2
    where = square_from_direction(directions) * (size / (size + 2))
    values = functional.grid_sample(padded_map[None], where[None, None], mode="bilinear", align_corners=False)
    return values[0, :, 0].T


def look_up_levels(padded_maps: Tensor, directions: Tensor, level: Tensor) -> Tensor:
    """Trilinear values [P,C] of padded maps [C,L,S+2,S+2] in ``directions`` [P,3] at levels [P], 0..L−1.

    Two bilinear look-ups in the levels as one tall map: torch's own trilinear one takes several times as long on a processor.
    """
    levels, size = padded_maps.shape[1], padded_maps.shape[-1] - 2
    where = square_from_direction(directions) * (size / (size + 2))
    low = level.detach().floor().clamp(0, max(levels - 2, 0))
    row = where[:, 1] / levels + (2 * low + 1) * (1 / levels) - 1
    places = torch.stack([where[:, 0].expand(2, -1), torch.stack([row, row + 2 / levels])], -1)
    values = functional.grid_sample(padded_maps.flatten(1, 2)[None], places[None], mode="bilinear", align_corners=False)
    return torch.lerp(values[0, :, 0], values[0, :, 1], level - low).T
