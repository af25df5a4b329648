"""What a rough mirror does with light, summed over all directions: a small table over view angle and roughness.

GGX microfacets with height-correlated Smith shadowing (Walter et al. 2007; Heitz 2014), Schlick's Fresnel term. Each entry
is a mean over visible microfacet normals (Heitz 2018; Dupuy and Benyoub 2023), where few samples go a long way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as functional
from torch import Tensor

from maquette_backend.render import prefilter

COSINES, ROUGHNESSES = 64, 48
"""Entries along each axis: cosine of the view angle 0..1, roughness ``LOWEST``..1, both ends included."""
LOWEST = 0.04
_SAMPLES = 1024
_GRAZING = 1e-3
"""Smallest cosine of a view angle: at 0 there is nothing to see."""


@dataclass(frozen=True)
class TableEntry:
    """Looked-up values, [P,1] each."""

    scale: Tensor
    """Directional albedo is F0 · scale + bias (Karis 2013)."""
    bias: Tensor
    mean_albedo: Tensor
    """Of a perfect mirror of this roughness under light from everywhere: 2 ∫ (scale + bias) cosine."""
    lean: Tensor
    """The mean reflected direction lies this share of the way from the mirror direction to the normal."""
    width: Tensor
    """Roughness of the lobe, seen along its axis, whose directions spread as much."""


@lru_cache(maxsize=4)
def brdf_table(device: torch.device | str = "cpu") -> Tensor:
    """[5, roughness, cosine] in ``TableEntry``'s order; computed once in a process, in about half a second."""
    cosines = torch.linspace(0, 1, COSINES, dtype=torch.float64).clamp(min=_GRAZING)
    roughness = torch.linspace(LOWEST, 1, ROUGHNESSES, dtype=torch.float64)
    rows = torch.stack([_row(cosines, float(r)) for r in roughness], 1)  # [4,R,C]
    albedo = rows[0] + rows[1]
    mean = 2 * torch.trapezoid(albedo * cosines, cosines, dim=1)[:, None].expand_as(albedo)
    width = _width_of(rows[3].flatten()).reshape(rows[3].shape)
    return torch.stack([rows[0], rows[1], mean, rows[2], width]).float().to(device)


def look_up(cosine: Tensor, roughness: Tensor) -> TableEntry:
    """Entries for cosines of view angles and roughness, [P,1] each; differentiable in both."""
    table = brdf_table(str(cosine.device))
    where = torch.cat([cosine * 2 - 1, (roughness - LOWEST) * (2 / (1 - LOWEST)) - 1], 1)
    values = functional.grid_sample(table[None], where[None, None], padding_mode="border", align_corners=True)
    return TableEntry(*values[0, :, 0, :, None].unbind(0))


def smith_lambda(cosine: Tensor, alpha: float) -> Tensor:
    """Λ of Heitz 2014, equation 72, for the cosine of a direction's angle to the normal."""
    tangent_squared = (1 - cosine.square()).clamp(min=0) / cosine.square().clamp(min=1e-12)
    return 0.5 * (torch.sqrt(1 + alpha * alpha * tangent_squared) - 1)


def _row(cosines: Tensor, roughness: float) -> Tensor:
    """[4,C] for one roughness: scale, bias, lean, and the mean direction's length."""
    alpha = roughness**2
    sine = (1 - cosines.square()).sqrt()
    view = torch.stack([sine, torch.zeros_like(sine), cosines], -1)[:, None]  # [C,1,3]
    half = _visible_normals(view, alpha)
    cos_half = (half * view).sum(-1)
    light = 2 * cos_half[..., None] * half - view
    up = light[..., 2]
    shadow = (1 + smith_lambda(cosines, alpha))[:, None]
    weight = torch.where(up > 0, shadow / (shadow + smith_lambda(up.clamp(min=1e-9), alpha)), 0.0)
    fresnel = (1 - cos_half).clamp(0, 1) ** 5
    mean = (weight[..., None] * light).mean(1) / weight.mean(1)[:, None].clamp(min=1e-12)
    lean = _lean(cosines, sine, -mean[:, 0], mean[:, 2])
    return torch.stack([(weight * (1 - fresnel)).mean(1), (weight * fresnel).mean(1), lean, mean.norm(dim=-1)])


def _lean(cosine: Tensor, sine: Tensor, across: Tensor, up: Tensor) -> Tensor:
    """Share a of the way from the mirror direction (sine, cosine) to the normal (0, 1) at which (across, up) lies."""
    beyond = sine * up - across * cosine
    # seen along the normal every share gives the normal: the limit is that of a slightly oblique view
    return torch.where(sine < 1e-4, 0.0, beyond / (beyond + across).clamp(min=1e-9))


def _visible_normals(view: Tensor, alpha: float) -> Tensor:
    """Microfacet normals [C,K,3] as a viewer in directions [C,1,3] sees them: a spherical cap, stretched back."""
    k = torch.arange(_SAMPLES, dtype=view.dtype)
    one, two = (k + 0.5) / _SAMPLES, (k * 0.6180339887498949 + 0.5) % 1
    wide = functional.normalize(view * view.new_tensor([alpha, alpha, 1.0]), dim=-1)
    z = (1 - one) * (1 + wide[..., 2]) - wide[..., 2]
    sine = (1 - z.square()).clamp(min=0).sqrt()
    turn = 2 * math.pi * two
    cap = torch.stack([sine * turn.cos(), sine * turn.sin(), z], -1) + wide
    return functional.normalize(cap * view.new_tensor([alpha, alpha, 1.0]), dim=-1)


def _width_of(length: Tensor) -> Tensor:
    """Roughness of the lobe along its axis whose mean direction has this length."""
    roughness = torch.linspace(LOWEST, 1, 192, dtype=torch.float64)
    # cosines crowd towards 1, where narrow lobes are
    cosine = 1 - torch.linspace(0, 1, 20001, dtype=torch.float64) ** 4
    lengths = []
    for value in roughness.tolist():
        weight = prefilter.lobe(cosine, value)
        lengths.append(torch.trapezoid(weight * cosine, cosine) / torch.trapezoid(weight, cosine))
    falling = torch.stack(lengths)
    index = torch.searchsorted(falling.flip(0).contiguous(), length.contiguous()).clamp(1, len(falling) - 1)
    low, high = falling.flip(0)[index - 1], falling.flip(0)[index]
    share = ((length - low) / (high - low)).clamp(0, 1)
    wide = roughness.flip(0)
    return wide[index - 1] + share * (wide[index] - wide[index - 1])
