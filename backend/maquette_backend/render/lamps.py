"""Lamps of the artist's scene: light from one direction or one place, evaluated without any approximation but its size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as functional
from torch import Tensor

from maquette_backend.render.prefilter import ggx
from maquette_backend.render.split_sum import F0, Reflectances, SurfaceMaterial

_NEAREST = 1e-3
"""Units of length: a lamp this near to a surface is as strong as at that distance."""
_SHARPEST = 0.04
"""Roughness below which a lamp without size would make a highlight that no pixel holds."""


@dataclass(frozen=True)
class Lamp:
    """A sun or a point lamp in Blender's units."""

    kind: Literal["sun", "point"]
    world_from_lamp: Tensor
    """[4,4]; a sun shines along its own −Z"""
    color: tuple[float, float, float]
    """linear"""
    strength: float
    """Sun: W/m² on a surface that faces it. Point: W."""


def shade_lamps(
    material: SurfaceMaterial, normals: Tensor, view_directions: Tensor, points: Tensor, lamps: Sequence[Lamp]
) -> Tensor:
    """Radiance [P,3], linear, that ``points`` [P,3] send to the viewer under ``lamps``; adds to ``shade``. No shadows.

    ``normals`` [P,3] and ``view_directions`` [P,3] as ``split_sum.shade`` has them.
    """
    total = torch.zeros_like(material.albedo)
    if not lamps:
        return total
    cosine = (normals * view_directions).sum(-1, keepdim=True).clamp(min=1e-3)
    terms = Reflectances.of(material, cosine)
    for lamp in lamps:
        towards, light = _arriving(lamp, points)
        total = total + light * _reflected(material, terms, normals, view_directions, cosine, towards)
    return total


def _arriving(lamp: Lamp, points: Tensor) -> tuple[Tensor, Tensor]:
    """Unit directions [P,3] to a lamp, and what arrives across them, W/m² [P,3]."""
    matrix = lamp.world_from_lamp.to(points)
    color = points.new_tensor(lamp.color) * lamp.strength
    if lamp.kind == "sun":
        return functional.normalize(matrix[:3, 2], dim=0).expand_as(points), color.expand_as(points)
    offset = matrix[:3, 3] - points
    squared = offset.square().sum(-1, keepdim=True).clamp(min=_NEAREST**2)
    return functional.normalize(offset, dim=1), color / (4 * math.pi * squared)


def _reflected(
    material: SurfaceMaterial, terms: Reflectances, normals: Tensor, view: Tensor, cosine: Tensor, towards: Tensor
) -> Tensor:
    """Radiance per irradiance across the light's direction [P,3]: the BSDF times the light's cosine."""
    lit = (normals * towards).sum(-1, keepdim=True).clamp(min=0)
    half = functional.normalize(view + towards, dim=1, eps=1e-6)
    alpha = material.roughness.clamp(min=_SHARPEST).square()
    density = ggx((normals * half).sum(-1, keepdim=True).clamp(0, 1).square(), alpha)
    fresnel = (1 - (view * half).sum(-1, keepdim=True)).clamp(0, 1) ** 5
    lobe = density * lit * _visibility(lit, cosine, alpha)
    coat = (F0 + (1 - F0) * fresnel) * terms.coat_gain
    metal = (material.albedo + (1 - material.albedo) * fresnel) * terms.metal_gain
    glossy = lobe * ((1 - material.metallic) * coat + material.metallic * metal)
    return terms.matt * lit / math.pi + glossy


def _visibility(lit: Tensor, cosine: Tensor, alpha: Tensor) -> Tensor:
    """Height-correlated Smith shadowing and masking over 4 n·l n·v (Heitz 2014, equation 99)."""
    squared = alpha.square()
    seen = lit * torch.sqrt(cosine.square() * (1 - squared) + squared)
    reached = cosine * torch.sqrt(lit.square() * (1 - squared) + squared)
    return 0.5 / (seen + reached).clamp(min=1e-7)
