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
from maquette_backend.render.prefilter import smith_lambda

COSINES, ROUGHNESSES = 64, 48
"""Entries along each axis: cosine of the view angle 0..1, roughness ``LOWEST``..1, both ends included."""
LOWEST = 0.04
_SAMPLES = 1024
_LOWEST_AXIS = math.radians(88)
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
    near: Tensor
    """Seen obliquely a lobe is long in the plane of view and normal. Two round ones stand for it: the axis of the first
    lies this share of the way from the mirror direction to the normal,"""
    far: Tensor
    """and that of the second this share, on the other side of the middle of the true lobe."""
    width: Tensor
    """Roughness of the round lobe, seen along its axis, that is as wide as the true one is across the plane."""


@lru_cache(maxsize=4)
def brdf_table(device: torch.device | str = "cpu") -> Tensor:
    """[6, roughness, cosine] in ``TableEntry``'s order; computed once in a process, in about half a second."""
    cosines = torch.linspace(0, 1, COSINES, dtype=torch.float64).clamp(min=_GRAZING)
    roughness = torch.linspace(LOWEST, 1, ROUGHNESSES, dtype=torch.float64)
    lobes = _RoundLobes.measured()
    rows = torch.stack([_row(cosines, float(r), lobes) for r in roughness], 1)  # [5,R,C]
    albedo = rows[0] + rows[1]
    mean = 2 * torch.trapezoid(albedo * cosines, cosines, dim=1)[:, None].expand_as(albedo)
    return torch.stack([rows[0], rows[1], mean, *rows[2:]]).float().to(device)


def look_up(cosine: Tensor, roughness: Tensor) -> TableEntry:
    """Entries for cosines of view angles and roughness, [P,1] each; differentiable in both."""
    table = brdf_table(str(cosine.device))
    where = torch.cat([cosine * 2 - 1, (roughness - LOWEST) * (2 / (1 - LOWEST)) - 1], 1)
    values = functional.grid_sample(table[None].to(where.dtype), where[None, None], padding_mode="border", align_corners=True)
    return TableEntry(*values[0, :, 0, :, None].unbind(0))


@dataclass(frozen=True)
class _RoundLobes:
    """Mean distance across the axis, along one direction, in the lobes that light is averaged over; rising.

    Not the variance: the tails of GGX would decide it alone, and most light comes from the middle.
    """

    roughness: Tensor
    distance: Tensor

    @classmethod
    def measured(cls) -> _RoundLobes:
        roughness = torch.linspace(LOWEST, 1, 192, dtype=torch.float64)
        # cosines crowd towards 1, where narrow lobes are
        cosine = 1 - torch.linspace(0, 1, 4001, dtype=torch.float64) ** 4
        weights = torch.stack([prefilter.lobe(cosine, value) for value in roughness.tolist()])
        across = torch.trapezoid(weights * (1 - cosine.square()).sqrt() * (2 / math.pi), cosine)
        return cls(roughness, across / torch.trapezoid(weights, cosine))

    def as_wide_as(self, distance: Tensor) -> Tensor:
        """The roughness [C] of mean distances [C]."""
        index = torch.searchsorted(self.distance, distance.contiguous()).clamp(1, len(self.distance) - 1)
        low, high = self.distance[index - 1], self.distance[index]
        share = ((distance - low) / (high - low)).clamp(0, 1)
        return self.roughness[index - 1] + share * (self.roughness[index] - self.roughness[index - 1])


def _row(cosines: Tensor, roughness: float, lobes: _RoundLobes) -> Tensor:
    """[5,C] for one roughness: scale, bias, near, far, width."""
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
    share = weight / weight.sum(1, keepdim=True).clamp(min=1e-12)
    angle = _weighted_median(torch.atan2(-light[..., 0], up), share)  # from the normal, away from the viewer
    along = -light[..., 0] * angle.cos()[:, None] - up * angle.sin()[:, None]
    narrow, long = (share * light[..., 1].abs()).sum(1), (share * along.abs()).sum(1)
    # squares of widths add up; for a bell curve the mean distance is √(2/π) of its deviation
    apart = (math.pi / 2 * (long.square() - narrow.square())).clamp(0, 0.9).sqrt().asin()
    near = _share_to_normal(sine, cosines, (angle - apart))
    far = _share_to_normal(sine, cosines, (angle + apart).clamp(max=_LOWEST_AXIS))
    bias, total = (weight * fresnel).mean(1), weight.mean(1)
    return torch.stack([total - bias, bias, near, far, lobes.as_wide_as(narrow)])


def _weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """[C] of values [C,K] with weights [C,K] that sum to 1."""
    ordered, order = values.sort(1)
    reached = torch.gather(weights, 1, order).cumsum(1)
    middle = (reached < 0.5).sum(1, keepdim=True).clamp(max=values.shape[1] - 1)
    return torch.gather(ordered, 1, middle)[:, 0]


def _share_to_normal(sine: Tensor, cosine: Tensor, angle: Tensor) -> Tensor:
    """Share a at which mirror + a (normal − mirror) makes ``angle`` with the normal, in the mirror direction's plane."""
    beyond = sine * angle.cos() - cosine * angle.sin()
    return torch.where(sine < 1e-4, 0.0, beyond / (beyond + angle.sin()).clamp(min=1e-9))


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
