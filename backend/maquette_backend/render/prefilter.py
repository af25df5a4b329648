"""Light from all directions, averaged in advance over the lobes of a material (Karis 2013, "Real Shading in Unreal Engine 4").

Lobes are those seen along the normal, so each is the same all around its axis. Narrow ones are sampled (Křivánek and
Colbert 2008, "Real-time Shading with Filtered Importance Sampling"), wide ones summed over every texel.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as functional
from torch import Tensor

from maquette_backend.render import octahedral
from maquette_backend.surface.tangents import frames_from_normals

ROUGHNESSES = (0.08, 0.164, 0.248, 0.332, 0.416, 0.5, 0.625, 0.75, 0.875, 1.0)
"""Of the levels: evenly 0.08 to 0.5, then evenly to 1, where lobes are wide but still differ by several per cent."""
_EVEN = 5
"""Levels up to roughness 0.5."""
SIZE = 128
"""Texels a side of a level: 1.6° on average."""
_WIDE_FROM = 0.24
_WIDE_SIZE = 64
"""Texels a side of the result for wide lobes, and of the light that they are summed over; half that for the widest."""
_DIFFUSE_SIZE = 64
_SAMPLES = 96
_EQUIRECT_WIDTH = 1024
"""Pixels; a larger picture is averaged down to at most this first."""


def level_of(roughness: Tensor) -> Tensor:
    """The level, a fraction between two of them, for roughness of any shape."""
    low, knee = ROUGHNESSES[0], ROUGHNESSES[_EVEN]
    steps = len(ROUGHNESSES) - 1 - _EVEN
    rising = (roughness - low) * (_EVEN / (knee - low))
    return torch.where(roughness < knee, rising, _EVEN + (roughness - knee) * (steps / (1 - knee))).clamp(
        0, len(ROUGHNESSES) - 1
    )


def ggx(cos_half_squared: Tensor, alpha: Tensor | float) -> Tensor:
    """Trowbridge–Reitz density of microfacet normals (Walter et al. 2007, equation 33)."""
    squared = alpha * alpha
    return squared / (math.pi * (cos_half_squared * (squared - 1) + 1).square())


def smith_lambda(cosine: Tensor, alpha: float) -> Tensor:
    """Λ of Heitz 2014, equation 72, for the cosine of a direction's angle to the normal."""
    tangent_squared = (1 - cosine.square()).clamp(min=0) / cosine.square().clamp(min=1e-12)
    return 0.5 * (torch.sqrt(1 + alpha * alpha * tangent_squared) - 1)


def lobe(cosine: Tensor, roughness: float) -> Tensor:
    """Weight of light at an angle of this cosine to the normal when the surface is seen along it: exactly the BRDF times
    n·l of a perfect mirror, up to a factor."""
    alpha = roughness**2
    shadowed = ggx((1 + cosine) * 0.5, alpha) / (1 + smith_lambda(cosine, alpha))
    return torch.where(cosine > 0, shadowed, torch.zeros_like(shadowed))


def square_from_equirect(image: Tensor, size: int = SIZE) -> Tensor:
    """A picture [h,w,3] of all directions → texels [3,size,size] of the octahedral square.

    Row 0 is straight down. Blender's layout: column u (0..1) looks towards azimuth (½ − u)·2π, counted from +X to +Y.
    """
    image = _at_most(image, _EQUIRECT_WIDTH)
    parts = max(2, math.ceil(image.shape[1] / (2 * size)))
    directions = octahedral.direction_from_square(octahedral.texel_places(size * parts)).to(image.device)
    u = 0.5 - torch.atan2(directions[..., 1], directions[..., 0]) / (2 * math.pi)
    v = 0.5 + torch.asin(directions[..., 2].clamp(-1, 1)) / math.pi
    values = _wrapped(image, u, v)
    return functional.avg_pool2d(values[None], parts)[0]


def _wrapped(image: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Bilinear [3,...] of image [h,w,3], going on over the left and right edges."""
    width = image.shape[1]
    wide = torch.cat([image[:, -1:], image, image[:, :1]], 1).permute(2, 0, 1)
    where = torch.stack([(u * width + 1) / (width + 2) * 2 - 1, v * 2 - 1], -1)
    return functional.grid_sample(wide[None], where[None], padding_mode="border", align_corners=False)[0]


def _at_most(image: Tensor, width: int) -> Tensor:
    """``image`` averaged over whole blocks until it is at most ``width`` wide, as long as the blocks fit."""
    while image.shape[1] > width and image.shape[0] % 2 == 0 and image.shape[1] % 2 == 0:
        image = functional.avg_pool2d(image.permute(2, 0, 1)[None], 2)[0].permute(1, 2, 0)
    return image


def prefiltered(square: Tensor) -> Tensor:
    """Texels [C,S,S] → averages over the lobe of each of ``ROUGHNESSES``, padded, [C,L,SIZE+2,SIZE+2]."""
    pyramid = _halvings(square)
    levels = [
        _sampled(pyramid, roughness) if roughness < _WIDE_FROM else _summed(square, roughness)
        for roughness in ROUGHNESSES
    ]
    return octahedral.padded(torch.stack(levels, 1))


def irradiance(square: Tensor) -> Tensor:
    """Texels [C,S,S] → light a white matt surface sends out for each normal, padded, [C,s+2,s+2].

    The sum over texels of cosine · solid angle / π, for a constant light divided by what it sums to, so exact there.
    """
    return octahedral.padded(_convolved(square, _DIFFUSE_SIZE // 2, _DIFFUSE_SIZE, lambda cosine: cosine.clamp(min=0)))


def _summed(square: Tensor, roughness: float) -> Tensor:
    source = _WIDE_SIZE if roughness < ROUGHNESSES[_EVEN] else _WIDE_SIZE // 2
    wide = _convolved(square, source, _WIDE_SIZE, lambda cosine: lobe(cosine, roughness))
    directions = octahedral.direction_from_square(octahedral.texel_places(SIZE)).to(square.device)
    values = octahedral.look_up(octahedral.padded(wide), directions.reshape(-1, 3))
    return values.T.reshape(-1, SIZE, SIZE)


def _convolved(square: Tensor, source: int, size: int, weight: Callable[[Tensor], Tensor]) -> Tensor:
    """Averages [C,size,size] of ``square``, taken at ``source`` texels a side, weighed by the cosine of the distance."""
    factor = square.shape[-1] // source
    light = functional.avg_pool2d(_weighed(square)[None], factor)[0] * factor**2
    area = functional.avg_pool2d(octahedral.solid_angles(square.shape[-1]).to(square)[None], factor)[0] * factor**2
    towards = octahedral.direction_from_square(octahedral.texel_places(source)).reshape(-1, 3).to(square)
    axes = octahedral.direction_from_square(octahedral.texel_places(size)).reshape(-1, 3).to(square)
    parts = []
    for chunk in axes.split(1024):
        weights = weight(chunk @ towards.T)
        parts.append((weights @ light.flatten(1).T) / (weights @ area.reshape(-1, 1)))
    return torch.cat(parts).T.reshape(-1, size, size)


def _weighed(square: Tensor) -> Tensor:
    return square * octahedral.solid_angles(square.shape[-1]).to(square)


def _halvings(square: Tensor) -> list[Tensor]:
    """Padded averages over ever larger solid angles, down to 4²."""
    levels = []
    light, area = _weighed(square), octahedral.solid_angles(square.shape[-1]).to(square)[None]
    while light.shape[-1] >= 4:
        levels.append(octahedral.padded(light / area))
        light, area = functional.avg_pool2d(light[None], 2)[0] * 4, functional.avg_pool2d(area[None], 2)[0] * 4
    return levels


def _sampled(pyramid: list[Tensor], roughness: float) -> Tensor:
    """[C,SIZE,SIZE]: the lobe sampled where it is dense, each sample an average over what it stands for."""
    axes = octahedral.direction_from_square(octahedral.texel_places(SIZE)).reshape(-1, 3).to(pyramid[0])
    side, up = frames_from_normals(axes)
    total, weights = torch.zeros_like(axes[:, :1] * pyramid[0].new_zeros(1, pyramid[0].shape[0])), 0.0
    alpha = roughness**2
    for k in range(_SAMPLES):
        share = (k + 0.5) / _SAMPLES
        cos_half_squared = (1 - share) / (1 + (alpha * alpha - 1) * share)
        cosine = 2 * cos_half_squared - 1
        if cosine <= 0:
            continue
        turn = 2 * math.pi * k * 0.6180339887498949
        sine = math.sqrt(max(0.0, 1 - cosine * cosine))
        directions = axes * cosine + (side * math.cos(turn) + up * math.sin(turn)) * sine
        density = float(ggx(torch.tensor(cos_half_squared), alpha)) / 4
        spans = 1 / (_SAMPLES * density)
        level = round(0.5 * math.log2(max(1.0, spans / (4 * math.pi / SIZE**2))))
        reached = 1 / (1 + float(smith_lambda(torch.tensor(cosine), alpha)))
        total = total + reached * octahedral.look_up(pyramid[min(level, len(pyramid) - 1)], directions)
        weights += reached
    return (total / weights).T.reshape(-1, SIZE, SIZE)
