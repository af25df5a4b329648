"""A physically based material of one subject: learned as a volume, baked, then learned in the maps themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette_backend.appearance.color_space import srgb_from_linear
from maquette_backend.appearance.fields import ColorField
from maquette_backend.appearance.material import MaterialField, MaterialSettings
from maquette_backend.appearance.material_bake import bake_material
from maquette_backend.appearance.material_maps import (
    MaterialMaps,
    SurfaceImages,
    blank_images,
    encoded_texels,
    linear_texels,
    texels_of,
    with_maps,
)
from maquette_backend.appearance.material_penalty import material_penalty
from maquette_backend.guidance.distiller import Distiller
from maquette_backend.refine import adam_state
from maquette_backend.refine.appearance_run import FINER, AppearanceRun, Studio
from maquette_backend.refine.canvas import Canvas
from maquette_backend.refine.images import Maps
from maquette_backend.refine.light import Light
from maquette_backend.refine.material_images import changed_images, finished_maps, moved_images
from maquette_backend.refine.material_skin import MapSkin, MaterialSkin, MaterialStart
from maquette_backend.refine.painting import Veil, paint_step, painter
from maquette_backend.refine.plan import StageSettings, appearance_settings
from maquette_backend.render.scene_render import Paint
from maquette_backend.render.texturing import sample_texture
from maquette_backend.surface.normals import vertex_normals
from maquette_backend.surface.tangents import tangent_frames

MAP_SHARE = 0.25
"""The last share of the steps learns the maps: enough to sharpen what filtering blurs, too little to grow speckles."""
FIELD_RATE, MAP_RATE = 0.01, 0.004
"""Adam's learning rates (X-Dreamer's appearance stage has the first)."""
FLAT_WEIGHT, DIELECTRIC_WEIGHT = 2.0, 1.0
"""What a normal that leans and a metal cost: without need there is neither."""
COMPARED = 2000
"""Points at which a material is compared with its surroundings, about."""


@dataclass(frozen=True)
class MaterialRun(AppearanceRun):
    """All four maps."""

    field: MaterialSkin

    @property
    def field_steps(self) -> int:
        """How many of its steps learn the volume."""
        steps = self.canvas.plan.appearance_steps
        return steps - int(MAP_SHARE * steps)

    @property
    def skin(self) -> MapSkin:
        return self._map_skin

    @cached_property
    def _baked(self) -> SurfaceImages:
        """The volume as maps, once it has been learned."""
        return self._bake()

    @cached_property
    def _map_skin(self) -> MapSkin:
        """The maps that learn: no finer than a picture shows."""
        largest = FINER * self._settings.size
        texels = self._at_first
        shares = torch.from_numpy(self._share_image)[None, :, :, None]
        maps = MaterialMaps(blank_images((texels.shape[1], texels.shape[2])), sample_texture)
        with torch.no_grad():
            maps.texels.copy_(texels)
        mesh = self.canvas.moved.mesh
        assert mesh.corner_uvs is not None
        positions, faces = torch.from_numpy(mesh.positions.copy()), torch.from_numpy(mesh.triangles.astype(np.int64))
        frames = tangent_frames(positions, faces, torch.from_numpy(mesh.corner_uvs.copy()), vertex_normals(positions, faces))
        share = thinned(shares, largest).to(self.canvas.device) if self.canvas.given.starts else None
        return MapSkin(maps.to(self.canvas.device), frames.to(self.canvas.device), share)

    @cached_property
    def _at_first(self) -> Tensor:
        """The texels before any of them was learned: a function of the volume, so a checkpoint need not hold it."""
        whole = linear_texels(texels_of(self._baked))[None]
        return encoded_texels(thinned(whole, FINER * self._settings.size))

    @property
    def _share_image(self) -> NDArray[np.float32]:
        size = self.canvas.size
        return self.canvas.texels.image(self.canvas.share, np.zeros((size, size), np.float32))

    @property
    def _settings(self) -> StageSettings:
        return appearance_settings(self.studio.recipe, self.studio.prior.settings, "pbr")

    def paint(self) -> None:
        with self.distilling() as distiller:
            self._paint(distiller)

    def _paint(self, distiller: Distiller) -> None:
        name, memory, loop = self.canvas.subject_id, self.studio.loop.memory, self.studio.loop
        steps, first = self.canvas.plan.appearance_steps, self.field_steps
        volume, maps = memory.held(f"{name}/volume"), memory.held(f"{name}/painted")
        if volume is None:
            settings = replace(self._settings, color_rate=FIELD_RATE)
            self._learn("appearance", self.field, settings, distiller, 0, first)
            memory.hold(f"{name}/volume", adam_state.parts_to_arrays({"skin": self.field}))
        else:
            adam_state.restore_parts({"skin": self.field}, volume)
            loop.skip(first)
        if maps is None:
            settings = replace(self._settings, color_rate=MAP_RATE, base_share=0.0, base_again=0.0)
            self._learn("maps", self._map_skin, settings, distiller, first, steps)
            memory.hold(f"{name}/painted", adam_state.parts_to_arrays({"skin": self._map_skin}))
        else:
            adam_state.restore_parts({"skin": self._map_skin}, maps)
            loop.skip(steps - first)

    def _learn(
        self, name: str, skin: MaterialSkin | MapSkin, settings: StageSettings, distiller: Distiller, first: int, end: int
    ) -> None:
        """The appearance steps from ``first`` up to ``end``."""
        steps = self.canvas.plan.appearance_steps
        light = self.studio.light.standing(self.canvas.placement.unit_from_world, self.canvas.device)
        plain = _Plainness(skin, light)
        stand = self.stand(skin.paint_in(light), distiller, plain.prepare, plain.penalty)
        settle = skin.maps.project if isinstance(skin, MapSkin) else None
        state = painter({self.canvas.subject_id: skin}, settings, settle)

        def step(number: int) -> float:
            plain.step = first + number
            return paint_step(state, stand, settings, (first + number) / steps, self.generator(first + number))

        self.studio.loop.run(self.task(name, end - first, step, state, distiller))

    def paint_in(self, light: Light, picture_from_unit: NDArray[np.float64]) -> Paint:
        linear = torch.from_numpy(picture_from_unit[:3, :3]).float()
        return self._map_skin.paint_in(light, (linear / linear[:, 0].norm()).to(self.canvas.device))

    def rate(self, settings: StageSettings) -> float:
        return MAP_RATE

    def settle(self) -> None:
        self._map_skin.maps.project()

    def images(self, seen: NDArray[np.bool_]) -> Maps:
        moved = self._map_skin.maps.texels.detach().cpu() - self._at_first
        return finished_maps(self.canvas, moved_images(self.canvas, self._baked, moved, seen), seen)

    def vertex_colors(self) -> NDArray[np.uint8]:
        with torch.no_grad():
            points = torch.from_numpy(self.canvas.moved.mesh.positions.copy()).to(self.canvas.device)
            albedo = srgb_from_linear(self.field.field(points).albedo)
        return (albedo.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()

    def _bake(self) -> SurfaceImages:
        mesh, field = self.canvas.moved.mesh, self.field.field
        assert mesh.corner_uvs is not None
        if self.field.start is None:
            return bake_material(field, mesh.positions, mesh.corner_uvs, mesh.triangles, self.canvas.size)
        return changed_images(self.canvas, given_images(self.canvas), self.field)


@dataclass
class _Plainness:
    """What the regularisers say about the picture that was drawn last."""

    skin: MaterialSkin | MapSkin
    light: Light
    step: int = 0
    _generator: torch.Generator | None = None

    def prepare(self, generator: torch.Generator) -> None:
        """New light, and the random numbers of this step."""
        self.light.prepare(generator)
        self._generator = generator

    def penalty(self) -> Tensor:
        """Scalar."""
        last, skin = self.skin.last, self.skin
        assert last is not None
        assert self._generator is not None
        lean = 1 - last.tangent_normal[:, 2].mean()
        plain = FLAT_WEIGHT * lean + DIELECTRIC_WEIGHT * last.metallic.mean()
        if isinstance(skin, MapSkin):
            return plain
        points = skin.last_points[:: max(1, len(skin.last_points) // COMPARED)]
        return plain + material_penalty(skin.field, points, self.step, self._generator)


def material_run(studio: Studio, canvas: Canvas, colors: ColorField, veil: Veil | None) -> MaterialRun:
    """From given maps where there are any, else from the overall colour that the shape's stage found."""
    own_normals = canvas.given.normal is None and not canvas.given.starts
    settings = MaterialSettings(learns_normal=own_normals)
    with torch.random.fork_rng(devices=[]):  # the grid's first values are drawn from torch's own generator
        torch.manual_seed(canvas.plan.seed & 0x7FFF_FFFF)
        field = MaterialField(settings)
    with torch.no_grad():
        low, high = settings.albedo_range
        found = torch.sigmoid(colors.base.detach().cpu()).clamp(low + 0.02, high - 0.02)
        field.base[:3] = torch.logit((found - low) / (high - low))
    start = _start(studio, canvas) if canvas.given.starts else None
    return MaterialRun(studio, canvas, veil, MaterialSkin(field, start).to(canvas.device))


def _start(studio: Studio, canvas: Canvas) -> MaterialStart:
    shares = canvas.texels.image(canvas.share, np.zeros((canvas.size, canvas.size), np.float32))
    given = linear_texels(texels_of(given_images(canvas)))
    picture = torch.cat([given, torch.from_numpy(shares)[..., None]], -1)[None]
    largest = FINER * appearance_settings(studio.recipe, studio.prior.settings).size
    return MaterialStart(thinned(picture, largest).to(canvas.device), 1 - canvas.given.keep_look)


def given_images(canvas: Canvas) -> SurfaceImages:
    """The maps that were given, and those that were not at their starting values."""
    given = canvas.given
    blank = blank_images((canvas.size, canvas.size))
    return with_maps(blank, given.base_color, given.roughness, given.metallic, given.normal)


def thinned(picture: Tensor, largest: int) -> Tensor:
    """[1,h,w,C] halved until it has at most ``largest`` px a side, or a side is odd."""
    while min(picture.shape[1:3]) > largest and not picture.shape[1] % 2 and not picture.shape[2] % 2:
        picture = nn.functional.avg_pool2d(picture.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    return picture.contiguous()
