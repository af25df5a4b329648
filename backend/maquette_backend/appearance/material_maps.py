"""A material in texture maps: as eight-bit images, and as texels that learn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette_backend.appearance.color_space import linear_from_srgb, srgb_from_linear
from maquette_backend.appearance.material import Material, MaterialSettings


@dataclass(frozen=True)
class SurfaceImages:
    """The maps of one surface as they are stored: row 0 at the bottom, all of one size."""

    base_color: NDArray[np.uint8]
    """[h,w,3] sRGB"""
    roughness: NDArray[np.uint8]
    """[h,w]"""
    metallic: NDArray[np.uint8]
    """[h,w]"""
    normal: NDArray[np.uint8]
    """[h,w,3] tangent space, OpenGL (Y+): 255 is +1, 0 is −1, so 128 is about 0"""

    def __post_init__(self) -> None:
        size = self.base_color.shape[:2]
        shapes = [self.base_color.shape, self.roughness.shape, self.metallic.shape, self.normal.shape]
        if shapes != [(*size, 3), size, size, (*size, 3)]:
            raise ValueError(f"maps of one surface must have one size, not {shapes}")


class TextureSampler(Protocol):
    """Trilinear lookup over a mip pyramid: ``render.texturing.sample_texture``, handed in by whoever composes both."""

    def __call__(self, tex: Tensor, uv: Tensor, level: Tensor | None = None, /) -> Tensor:
        """tex [1,Ht,Wt,C], uv [1,P,2], level [1,P] → [1,P,C]."""
        ...


class MaterialMaps(nn.Module):
    """Texels that learn, in one map of eight channels, as ``texels_of`` has them. Call ``project`` after every step of the optimiser.

    Albedo is held sRGB-encoded, so that a step looks alike in the dark and in the light, and is decoded before it is looked up:
    light is filtered linearly.
    """

    def __init__(self, images: SurfaceImages, sample: TextureSampler) -> None:
        super().__init__()
        self.sample = sample
        self.texels = nn.Parameter(texels_of(images)[None])

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return (self.texels.shape[1], self.texels.shape[2])

    def forward(self, uv: Tensor, level: Tensor | None = None) -> Material:
        """The material at ``uv`` [P,2], at mip levels [P] (None: full size everywhere)."""
        values = self.sample(linear_texels(self.texels), uv[None], None if level is None else level[None])[0]
        albedo, roughness, metallic, normal = values.split([3, 1, 1, 3], dim=1)
        return Material(albedo, roughness, metallic, functional.normalize(normal, dim=1, eps=1e-6))

    @torch.no_grad()
    def project(self) -> None:
        """Bring texels that a step took out of the possible back: 0..1, and normals of about unit length."""
        values, normal = self.texels[..., :5], self.texels[..., 5:]
        values.clamp_(0, 1)
        too_long = normal.norm(dim=-1, keepdim=True) > _LONGEST
        normal.copy_(torch.where(too_long, functional.normalize(normal, dim=-1), normal))

    @torch.no_grad()
    def to_images(self) -> SurfaceImages:
        """The maps as stored; a texel that did not move is what it was, bit for bit."""
        texels = self.texels.detach()[0].cpu()
        color = torch.cat([texels[..., :5], texels[..., 5:] * 0.5 + 0.5], -1)
        stored = (color.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        return SurfaceImages(*(np.ascontiguousarray(stored[..., part]) for part in (slice(0, 3), 3, 4, slice(5, 8))))


_LONGEST = 1.01
"""Rounding to eight bits makes no unit normal longer."""


def texels_of(images: SurfaceImages) -> Tensor:
    """[h,w,8] float32: albedo (sRGB), roughness, metallic, tangent normal (−1..1, not normalised)."""

    def unit(image: NDArray[np.uint8]) -> Tensor:
        values = torch.from_numpy(np.ascontiguousarray(image)).float() / 255
        return values if values.ndim == 3 else values[..., None]

    maps = [unit(images.base_color), unit(images.roughness), unit(images.metallic), unit(images.normal) * 2 - 1]
    return torch.cat(maps, -1)


def linear_texels(texels: Tensor) -> Tensor:
    """``texels_of`` [...,8+] with its albedo decoded, so that means of it are means of light."""
    return torch.cat([linear_from_srgb(texels[..., :3]), texels[..., 3:]], -1)


def encoded_texels(texels: Tensor) -> Tensor:
    """The inverse of ``linear_texels``."""
    return torch.cat([srgb_from_linear(texels[..., :3]), texels[..., 3:]], -1)


def blank_images(size: tuple[int, int], settings: MaterialSettings | None = None) -> SurfaceImages:
    """Maps of (rows, columns) with every quantity at its start."""
    start = settings or MaterialSettings()

    def filled(value: float) -> NDArray[np.uint8]:
        return np.full(size, round(255 * value), np.uint8)

    flat = np.stack([filled(0.5), filled(0.5), filled(1.0)], -1)
    color = np.repeat(filled(start.albedo)[..., None], 3, axis=-1)
    return SurfaceImages(color, filled(start.roughness), filled(start.metallic), flat)


def with_maps(
    images: SurfaceImages,
    base_color: NDArray[np.uint8] | None = None,
    roughness: NDArray[np.uint8] | None = None,
    metallic: NDArray[np.uint8] | None = None,
    normal: NDArray[np.uint8] | None = None,
) -> SurfaceImages:
    """``images`` with the given maps in the place of its own. Raises ``ValueError`` for another size."""
    given = {"base_color": base_color, "roughness": roughness, "metallic": metallic, "normal": normal}
    return replace(images, **{name: image for name, image in given.items() if image is not None})
