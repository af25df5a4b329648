"""Physically based materials as they are learned: as a volume first, then in the texture maps themselves."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maquette_backend.appearance.color_space import srgb_from_linear
from maquette_backend.appearance.material import Material, MaterialField, MaterialSettings, material_from_logits
from maquette_backend.appearance.material_maps import MaterialMaps
from maquette_backend.refine.light import Light
from maquette_backend.refine.skin import CLEAREST
from maquette_backend.render.lamps import shade_lamps
from maquette_backend.render.scene_render import Paint, SurfacePoints
from maquette_backend.render.split_sum import shade
from maquette_backend.render.texturing import level_of_detail, sample_texture
from maquette_backend.surface.tangents import leaning, leaning_freely


@dataclass(frozen=True)
class MaterialStart:
    """Given maps and how far they may be left."""

    picture: Tensor
    """[1,h,w,9]: linear albedo, roughness, metallic, tangent normal (all as ``linear_texels``), share"""
    freedom: float
    """1 − keep_look: what the albedo's share is multiplied by"""

    def at(self, seen: SurfacePoints) -> Tensor:
        """[P,9]"""
        level = level_of_detail(seen.uv_da, (self.picture.shape[1], self.picture.shape[2]))
        return sample_texture(self.picture, seen.uv[None], level[None])[0]


class MaterialSkin(nn.Module):
    """A material at every point of a volume, or the change of given maps at every point."""

    def __init__(self, field: MaterialField, start: MaterialStart | None = None) -> None:
        super().__init__()
        self.field = field
        self.start = start
        self.register_buffer("at_first", field.base.detach().clone())
        self.last: Material | None = None
        """What the newest picture was made of, for the regularisers; so ``last_points`` [P,3]."""
        self.last_points = torch.zeros(0, 3)

    def paint_in(self, light: Light) -> Paint:
        """How it is shown under ``light``."""

        def paint(seen: SurfacePoints) -> Tensor:
            self.last = material = self.material(seen)
            self.last_points = seen.points
            return lit(material, leaning_freely(material.tangent_normal, seen.normal), seen, light)

        return paint

    def material(self, seen: SurfacePoints) -> Material:
        """At P points of the surface."""
        if self.start is None:
            return self.field(seen.points)
        return self.changed(self.start.at(seen), seen.points, self.start.freedom)

    def changed(self, given: Tensor, points: Tensor, freedom: float) -> Material:
        """Given values [P,9] as the field has them changed: a share of 0 gives them back. Normals are the surface's own:
        given ones are in the frame of the UVs, and wait for the maps to be learned."""
        settings = self.field.settings
        residual = self.field.logits(points) - self.get_buffer("at_first")
        free = material_from_logits(_logits(given, settings) + residual, settings)
        share = given[:, 8:]
        flat = torch.zeros_like(given[:, 5:8])
        flat[:, 2] = 1
        return Material(
            albedo=given[:, :3] + share * freedom * (free.albedo - given[:, :3]),
            roughness=given[:, 3:4] + share * (free.roughness - given[:, 3:4]),
            metallic=given[:, 4:5] + share * (free.metallic - given[:, 4:5]),
            tangent_normal=flat,
        )

    def overall(self) -> list[nn.Parameter]:
        return [self.field.base]

    def detail(self) -> list[nn.Parameter]:
        return [*self.field.grid.parameters(), *self.field.hidden.parameters(), *self.field.out.parameters()]


class MapSkin(nn.Module):
    """Maps whose texels learn, as far as a share lets them."""

    def __init__(self, maps: MaterialMaps, tangents: Tensor, share: Tensor | None) -> None:
        """``tangents`` [F,3,4] in unit space; ``share`` [1,h,w,1] of each texel, or None: all are free."""
        super().__init__()
        self.maps = maps
        self.tangents = tangents
        self.last: Material | None = None
        if share is not None:
            maps.texels.register_hook(lambda gradient: gradient * (share > 0))

    def paint_in(self, light: Light, picture_from_unit: Tensor | None = None) -> Paint:
        """How it is shown under ``light``, in unit space or in one turned from it by a rotation [3,3]."""
        turned = self.tangents
        if picture_from_unit is not None:
            turned = torch.cat([self.tangents[..., :3] @ picture_from_unit.T, self.tangents[..., 3:]], -1)

        def paint(seen: SurfacePoints) -> Tensor:
            self.last = material = self.maps(seen.uv, level_of_detail(seen.uv_da, self.maps.size))
            corners = turned.index_select(0, seen.triangles)
            along = (corners[..., :3] * seen.barycentrics[..., None]).sum(1)
            frames = torch.cat([along, corners[:, 0, 3:]], 1)
            return lit(material, leaning(material.tangent_normal, seen.normal, frames), seen, light)

        return paint

    def overall(self) -> list[nn.Parameter]:
        return []

    def detail(self) -> list[nn.Parameter]:
        return [self.maps.texels]


def lit(material: Material, normals: Tensor, seen: SurfacePoints, light: Light) -> Tensor:
    """A material as it is shown [P,3], 0..1."""
    radiance = shade(material, normals, seen.to_eye, light.environment)
    if light.lamps:
        radiance = radiance + shade_lamps(material, normals, seen.to_eye, seen.position, light.lamps)
    return light.shown(radiance)


def _logits(given: Tensor, settings: MaterialSettings) -> Tensor:
    """Numbers [P,7] that ``material_from_logits`` turns into given values [P,5+], a little away from both ends."""
    parts = (
        (srgb_from_linear(given[:, :3]), settings.albedo_range),
        (given[:, 3:4], settings.roughness_range),
        (given[:, 4:5], settings.metallic_range),
    )
    inside = [((values - low) / (high - low)).clamp(CLEAREST, 1 - CLEAREST) for values, (low, high) in parts]
    return torch.cat([*(torch.logit(values) for values in inside), torch.zeros_like(given[:, :2])], 1)
