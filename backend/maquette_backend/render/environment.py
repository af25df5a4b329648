"""Light from far away, prefiltered: what a surface receives of it, matt or glossy, in two lookups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from maquette_backend.render import octahedral, prefilter

MAX_EQUIRECT_TEXELS = 1 << 26
"""8192² or 16384 × 4096: beyond it a picture is refused before it is copied."""


@dataclass(frozen=True)
class Environment:
    """All light that comes from infinitely far away. World space, Z up, linear radiance."""

    prefiltered: Tensor
    """[3,L,S+2,S+2]: averages over the lobe of each of ``prefilter.ROUGHNESSES``, octahedral, padded"""
    irradiance: Tensor
    """[3,s+2,s+2]: averages over the cosine lobe, octahedral, padded"""
    angle: float = 0.0
    """Radians the light is turned about +Z, counter-clockwise seen from above."""
    strength: float = 1.0

    @classmethod
    def from_equirect(cls, image: Tensor) -> Environment:
        """From a picture [h,w,3] of all directions, linear, row 0 straight down, in Blender's layout.

        Column u (0..1) looks towards azimuth (½ − u)·2π counted from +X to +Y: the centre column looks along +X, the one
        a quarter to its right along −Y. Raises ``ValueError`` unless it is finite, not negative, and of a size that makes sense.
        """
        return environments_from_equirects([image])[0]

    def rotated(self, angle: float) -> Environment:
        """The same light turned by ``angle`` radians about +Z, counter-clockwise seen from above."""
        return replace(self, angle=self.angle + angle)

    def scaled(self, strength: float) -> Environment:
        """The same light, ``strength`` times as strong."""
        return replace(self, strength=self.strength * strength)

    def to(self, device: torch.device | str) -> Environment:
        """The same light on another device."""
        return replace(self, prefiltered=self.prefiltered.to(device), irradiance=self.irradiance.to(device))

    def diffuse(self, normals: Tensor) -> Tensor:
        """Radiance [P,3] that a white matt surface with ``normals`` [P,3] sends out: irradiance / π."""
        return octahedral.look_up(self.irradiance, self._turned(normals)) * self.strength

    def specular(self, directions: Tensor, roughness: Tensor) -> Tensor:
        """Mean radiance [P,3] over the lobe of ``roughness`` [P,1] around ``directions`` [P,3] of any length; differentiable in both."""
        level = prefilter.level_of(roughness[:, 0])
        return octahedral.look_up_levels(self.prefiltered, self._turned(directions), level) * self.strength

    def _turned(self, directions: Tensor) -> Tensor:
        """World directions as they were before the light was turned."""
        if self.angle == 0.0:
            return directions
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        x, y, z = directions.unbind(-1)
        return torch.stack([cosine * x + sine * y, cosine * y - sine * x, z], -1)


def environments_from_equirects(images: Sequence[Tensor]) -> list[Environment]:
    """Several pictures at once: what is the same for all of them is computed once. As ``Environment.from_equirect``."""
    for image in images:
        _check_equirect(image)
    squares = torch.cat([prefilter.square_from_equirect(image.float()) for image in images])
    glossy, matt = prefilter.prefiltered(squares), prefilter.irradiance(squares)
    return [Environment(glossy[3 * k : 3 * k + 3], matt[3 * k : 3 * k + 3]) for k in range(len(images))]


def mixed(environments: Sequence[Environment], weights: Sequence[float]) -> Environment:
    """The sum of lights that are not turned, each ``weights`` times as strong. Light adds up, and so do its averages."""
    if any(environment.angle for environment in environments):
        raise ValueError("turned environments cannot be added: turn their sum")
    glossy = sum(e.prefiltered * (w * e.strength) for e, w in zip(environments, weights, strict=True))
    matt = sum(e.irradiance * (w * e.strength) for e, w in zip(environments, weights, strict=True))
    assert isinstance(glossy, Tensor)
    assert isinstance(matt, Tensor)
    return Environment(glossy, matt)


def _check_equirect(image: Tensor) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 2:
        raise ValueError(f"a picture of all directions is [h,w,3] with h, w >= 2, not {tuple(image.shape)}")
    if image.shape[0] * image.shape[1] > MAX_EQUIRECT_TEXELS:
        raise ValueError(f"a picture of {image.shape[1]}x{image.shape[0]} is larger than {MAX_EQUIRECT_TEXELS} pixels")
    if not bool(torch.isfinite(image).all()) or float(image.min()) < 0:
        raise ValueError("light must be finite and not negative: look for NaN or negative pixels in the picture")
