"""Regularisers of a material: what is not seen should be plain, and light should be left to the light.

After nvdiffrec (Munkberg et al. 2022, "Extracting Triangular 3D Models, Materials, and Lighting From Images", section 3.3 and
its supplement), which X-Dreamer and Fantasia3D take over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from maquette_backend.appearance.color_space import srgb_from_linear
from maquette_backend.appearance.material import Material


@dataclass(frozen=True)
class PenaltySettings:
    """Weights, and the scale at which materials are to be smooth."""

    jitter: float = 0.01
    """Units of length: deviation of the step between two points that are compared."""
    albedo: float = 0.03
    """Weight of the change of albedo, as it looks (sRGB), over that step."""
    roughness: float = 0.03
    metallic: float = 0.03
    normal: float = 0.03
    ramp_steps: int = 500
    """The weights above grow linearly to their full size: first the look, then its tidiness."""
    neutral: float = 0.005
    """Weight of how far light is from white."""


def material_penalty(
    field: Callable[[Tensor], Material],
    points: Tensor,
    step: int,
    generator: torch.Generator,
    settings: PenaltySettings | None = None,
) -> Tensor:
    """Weighted mean change, a scalar, of the material between ``points`` [P,3] and places a small random step away.

    The 1-norm of the change: edges between plain areas cost no more than slopes of the same height. No points: 0.
    """
    chosen = settings or PenaltySettings()
    if len(points) == 0:
        return points.sum()
    offset = torch.randn(points.shape, generator=generator, dtype=points.dtype).to(points.device) * chosen.jitter
    here, there = field(points), field(points.detach() + offset)
    change = (
        chosen.albedo * (srgb_from_linear(here.albedo) - srgb_from_linear(there.albedo)).abs().mean()
        + chosen.roughness * (here.roughness - there.roughness).abs().mean()
        + chosen.metallic * (here.metallic - there.metallic).abs().mean()
        + chosen.normal * (here.tangent_normal - there.tangent_normal).abs().mean()
    )
    return change * min(1.0, step / max(1, chosen.ramp_steps))


def colored_light_penalty(light: Tensor, settings: PenaltySettings | None = None) -> Tensor:
    """Weighted mean distance, a scalar, of light [...,3] from grey of its own mean: for light that is learned, which
    could otherwise take the albedo's colour."""
    chosen = settings or PenaltySettings()
    return chosen.neutral * (light - light.mean(-1, keepdim=True)).abs().mean()
