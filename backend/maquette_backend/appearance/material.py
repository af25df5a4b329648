"""Physically based materials: what they are, and the volume they are learned in before there is a texture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from maquette_backend.appearance.color_space import linear_from_srgb
from maquette_backend.fields.hash_grid import HashGrid, HashGridSettings

_HIDDEN = 32
"""Width of the one hidden layer (X-Dreamer's appearance stage)."""


@dataclass(frozen=True)
class Material:
    """The metallic-roughness material of P points of a surface."""

    albedo: Tensor
    """[P,3] linear, 0..1"""
    roughness: Tensor
    """[P,1] perceptual: the microfacets' α is its square"""
    metallic: Tensor
    """[P,1]"""
    tangent_normal: Tensor
    """[P,3] unit; (0,0,1) is the surface's own normal"""


@dataclass(frozen=True)
class MaterialSettings:
    """Where each quantity may be, and where it starts."""

    albedo_range: tuple[float, float] = (0.03, 0.97)
    """sRGB-encoded, so that steps look alike in the dark and in the light. Real surfaces are never fully black or white."""
    roughness_range: tuple[float, float] = (0.08, 1.0)
    """Below it a highlight is narrower than a pixel of what a prior sees."""
    metallic_range: tuple[float, float] = (0.0, 1.0)
    tilt: float = 0.7
    """How far a normal may lean: the largest tangent of the angle, along each of both axes."""
    albedo: float = 0.5
    """sRGB-encoded start."""
    roughness: float = 0.6
    metallic: float = 0.06
    """Not 0: there, a sigmoid has no slope to leave by."""
    learns_normal: bool = True
    """False: all normals are the surface's own."""

    def __post_init__(self) -> None:
        for name in ("albedo", "roughness", "metallic"):
            low, high = getattr(self, f"{name}_range")
            start = getattr(self, name)
            if not 0 <= low < start < high <= 1:
                raise ValueError(f"{name} must start inside its range within 0..1, not at {start} in {low}..{high}")
        if not 0 <= self.tilt <= 4:
            raise ValueError(f"a tilt of {self.tilt} is not in 0..4")


class MaterialField(nn.Module):
    """A material at any point in unit space, one and the same everywhere to start with. Independent of mesh and UVs.

    ``base`` is the overall material of the subject, learned first and fast; places of which a prior says little keep it.
    The start follows from ``seed``. The normal leans in a frame that follows from the surface's normal alone
    (``surface.tangents.frames_from_normals``), so
    it has no seams; baking turns it into the frame of the UVs.
    """

    def __init__(
        self,
        settings: MaterialSettings | None = None,
        grid: HashGridSettings | None = None,
        half_extent: float = 0.62,
        mirror_x: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.settings = settings or MaterialSettings()
        self.seed = seed
        self.grid = HashGrid(grid, half_extent, mirror_x)
        self.hidden = nn.Linear(self.grid.channels, _HIDDEN, bias=False)
        self.out = nn.Linear(_HIDDEN, 7, bias=False)
        self.base = nn.Parameter(_start_logits(self.settings))
        self.forget_detail()

    def forward(self, points: Tensor) -> Material:
        """The material at ``points`` [P,3]; differentiable in them and in all that is learned."""
        return material_from_logits(self.logits(points), self.settings)

    def logits(self, points: Tensor) -> Tensor:
        """[P,7]: albedo, roughness, metallic and both leans, before they are brought into their ranges."""
        return self.base + self.out(functional.relu(self.hidden(self.grid(points))))

    def forget_detail(self) -> None:
        """Back to the overall material alone; always to the same start, that of ``seed``."""
        generator = torch.Generator().manual_seed(self.seed)
        self.grid.forget(generator)
        with torch.no_grad():
            for weight in (self.hidden.weight, self.out.weight):
                spread = weight.shape[1] ** -0.5  # as nn.Linear starts
                weight.copy_((torch.rand(weight.shape, generator=generator) * 2 - 1) * spread)


def material_from_logits(logits: Tensor, settings: MaterialSettings) -> Material:
    """Numbers [P,7] of any size → a material within its ranges."""
    albedo, roughness, metallic, lean = logits.split([3, 1, 1, 2], dim=1)
    tilt = settings.tilt * torch.tanh(lean) if settings.learns_normal else torch.zeros_like(lean)
    return Material(
        albedo=linear_from_srgb(_into(albedo, settings.albedo_range)),
        roughness=_into(roughness, settings.roughness_range),
        metallic=_into(metallic, settings.metallic_range),
        tangent_normal=functional.normalize(torch.cat([tilt, torch.ones_like(tilt[:, :1])], 1), dim=1),
    )


def _into(logits: Tensor, limits: tuple[float, float]) -> Tensor:
    low, high = limits
    return low + (high - low) * torch.sigmoid(logits)


def _start_logits(settings: MaterialSettings) -> Tensor:
    """[7] that ``material_from_logits`` turns into the start of every quantity."""

    def logit(start: float, limits: tuple[float, float]) -> Tensor:
        low, high = limits
        return torch.logit(torch.tensor((start - low) / (high - low)))

    albedo = logit(settings.albedo, settings.albedo_range)
    roughness = logit(settings.roughness, settings.roughness_range)
    metallic = logit(settings.metallic, settings.metallic_range)
    return torch.cat([torch.stack([albedo, albedo, albedo, roughness, metallic]), torch.zeros(2)])
