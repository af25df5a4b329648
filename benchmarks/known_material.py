"""Objects whose material is known, and its recovery from pictures under known, varying light."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as functional
from maquette_backend.appearance.atlas import unwrap
from maquette_backend.appearance.color_space import srgb_from_linear
from maquette_backend.appearance.dilation import fill_off_islands
from maquette_backend.appearance.material import MaterialField, MaterialSettings
from maquette_backend.appearance.material_bake import bake_material
from maquette_backend.appearance.material_maps import MaterialMaps, SurfaceImages
from maquette_backend.appearance.uv_raster import surface_under_texels
from maquette_backend.render.cameras import Cameras, orbit_camera, perspective, to_clip
from maquette_backend.render.choose import choose_rasterizer
from maquette_backend.render.edges import build_topology
from maquette_backend.render.environment import Environment
from maquette_backend.render.fragments import fragments_of
from maquette_backend.render.material_render import MappedMaterial, render_material
from maquette_backend.render.texturing import sample_texture
from maquette_backend.surface.normals import vertex_normals
from maquette_backend.surface.tangents import tangent_frames
from numpy.typing import NDArray
from torch import Tensor

from tests.backend.render.surfaces import bumpy_torus, sphere

SIZE = 256
"""Texels a side."""
VIEWS, SIDE_PX = 4, 64
LEARNING_RATE = 3e-2
START = MaterialSettings(metallic=0.35)
"""Metal is as likely as not here."""


@dataclass(frozen=True)
class Known:
    """An object and the material it truly has."""

    name: str
    positions: Tensor
    triangles: Tensor
    corner_uvs: Tensor
    images: SurfaceImages

    def mapped(self) -> MappedMaterial:
        """The true material, ready to be rendered."""
        maps = MaterialMaps(self.images, sample_texture)
        normals = vertex_normals(self.positions, self.triangles)
        tangents = tangent_frames(self.positions, self.triangles, self.corner_uvs, normals)
        return MappedMaterial(maps, maps.size, self.corner_uvs, tangents)


@dataclass(frozen=True)
class Recovery:
    """How near the recovered maps are, over the texels that some view saw."""

    albedo_psnr_db: float
    roughness_mae: float
    metallic_mae: float
    normal_deg: float
    seen: float
    """Share of the texels on islands."""


def known_objects() -> list[Known]:
    """A bumpy torus, a ball and a box with round edges, each painted in its own way."""
    shapes = {"torus": bumpy_torus(64, 32), "ball": sphere(28), "box": _rounded_box(14)}
    return [_painted(name, positions, triangles, seed) for seed, (name, (positions, triangles)) in enumerate(shapes.items())]


def grey_ball() -> Known:
    """Mid grey all over, rough, no metal."""
    positions, triangles = sphere(28)
    grey = np.full((SIZE, SIZE), 128, np.uint8)
    flat = np.stack([grey, grey, np.full_like(grey, 255)], -1)
    images = SurfaceImages(np.stack([grey] * 3, -1), np.full_like(grey, 150), np.zeros_like(grey), flat)
    uvs = unwrap(positions.numpy(), triangles.numpy(), SIZE).corner_uvs
    return Known("grey ball", positions, triangles, torch.from_numpy(uvs), images)


def display(radiance: Tensor) -> Tensor:
    """Linear radiance as a picture has it, bright highlights rolled off instead of cut."""
    return srgb_from_linear(1 - torch.exp(-radiance.clamp(min=0)))


def recovered(known: Known, light: Callable[[torch.Generator], Environment], steps: int, seed: int = 0) -> MaterialField:
    """A field learned from ``steps`` · ``VIEWS`` pictures of ``known``, each step under a light of its own."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    field, truth = MaterialField(START), known.mapped()
    rasterizer, topology = choose_rasterizer("cpu"), build_topology(known.triangles)
    optimizer = torch.optim.Adam(field.parameters(), LEARNING_RATE, betas=(0.9, 0.99), eps=1e-15)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, LEARNING_RATE / 20)
    for _ in range(steps):
        drawn = partial(
            render_material, rasterizer, known.positions, known.triangles, cameras=_cameras(VIEWS, generator), size=SIDE_PX,
            environment=light(generator), display=display, topology=topology,
        )  # fmt: skip
        with torch.no_grad():
            wanted = drawn(truth).images.color
        optimizer.zero_grad()
        (drawn(field).images.color - wanted).abs().mean().backward()
        optimizer.step()
        schedule.step()
    return field


def compared(known: Known, field: MaterialField) -> Recovery:
    """The field baked, against the true maps."""
    baked = bake_material(field, known.positions.numpy(), known.corner_uvs.numpy(), known.triangles.numpy(), SIZE)
    on_island, seen = _seen(known)
    error = (baked.base_color[seen].astype(float) - known.images.base_color[seen]) / 255

    def mae(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
        return float(np.abs(one[seen].astype(float) - two[seen]).mean() / 255)

    one, two = (functional.normalize(torch.from_numpy(n[seen] / 127.5 - 1), dim=1) for n in (baked.normal, known.images.normal))
    angle = torch.rad2deg(torch.arccos((one * two).sum(1).clamp(-1, 1))).mean()
    return Recovery(
        float(-10 * np.log10((error**2).mean())),
        mae(baked.roughness, known.images.roughness),
        mae(baked.metallic, known.images.metallic),
        float(angle),
        float(seen.sum() / on_island.sum()),
    )


def side_difference(field: MaterialField, towards: Tensor) -> float:
    """Relative difference of the mean albedo of a ball's half facing ``towards`` [3] and the other half."""
    points, _ = sphere(28)
    with torch.no_grad():
        albedo = field(points).albedo.mean(1)
    lit = points @ towards > 0
    return abs(float(albedo[lit].mean() / albedo[~lit].mean()) - 1)


def _painted(name: str, positions: Tensor, triangles: Tensor, seed: int) -> Known:
    uvs = unwrap(positions.numpy(), triangles.numpy(), SIZE).corner_uvs
    owner, bary = surface_under_texels(uvs, SIZE)
    covered = owner >= 0
    points = np.einsum("pk,pkj->pj", bary[covered], positions.numpy()[triangles.numpy()[owner[covered]]])
    texels = np.zeros((SIZE, SIZE, 8), np.uint8)
    texels[covered] = np.round(_paint(points, seed) * 255)
    fill_off_islands(texels, covered)
    images = SurfaceImages(texels[..., :3], texels[..., 3], texels[..., 4], texels[..., 5:])
    return Known(name, positions, triangles, torch.from_numpy(uvs), images)


def _paint(points: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Stored values [P,8] in 0..1: waves of colour and roughness, bands of metal with soft edges, slight bumps."""
    rng = np.random.default_rng(seed)

    def wave(waves_per_unit: float) -> NDArray[np.float64]:
        way = rng.normal(size=3)
        way *= 2 * math.pi * waves_per_unit / np.linalg.norm(way)
        return np.sin(points @ way + rng.uniform(0, 6))

    color = [0.55 + 0.3 * wave(1.3) for _ in range(3)]
    roughness = 0.42 + 0.25 * wave(1.0)
    metal = 1 / (1 + np.exp(-10 * wave(0.9)))
    lean = np.stack([0.2 * wave(1.5), 0.2 * wave(1.5), np.ones(len(points))], -1)
    lean /= np.linalg.norm(lean, axis=1, keepdims=True)
    return np.stack([*color, roughness, metal, *(lean.T * 0.5 + 0.5)], -1)


def _rounded_box(cells: int) -> tuple[Tensor, Tensor]:
    """A box within ±.45 whose corners are pulled halfway to a ball."""
    axis = torch.linspace(-1, 1, cells + 1)
    u, v = torch.meshgrid(axis, axis, indexing="ij")
    corners = torch.arange((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    a, b, c, d = (part.reshape(-1) for part in (corners[:-1, :-1], corners[1:, :-1], corners[1:, 1:], corners[:-1, 1:]))
    square = torch.cat([torch.stack([a, b, c], -1), torch.stack([a, c, d], -1)])
    sides, triangles = [], []
    for k in range(3):
        for sign in (1.0, -1.0):
            face = torch.stack([u * sign, v, torch.full_like(u, sign)], -1).reshape(-1, 3)
            triangles.append(square + len(face) * len(sides))
            sides.append(face.roll(k, 1))
    whole = torch.cat(sides)
    keys = (whole * 1e4).round().long()
    unique, place = torch.unique(keys, dim=0, return_inverse=True)
    welded = torch.zeros(len(unique), 3).index_copy(0, place, whole)
    round_ = functional.normalize(welded, dim=1) * 1.2
    return 0.45 * (0.5 * welded + 0.5 * round_), place[torch.cat(triangles)]


def _cameras(count: int, generator: torch.Generator) -> Cameras:
    """Random views from all around, poles included."""
    azimuth = torch.rand(count, generator=generator) * 2 * math.pi
    elevation = torch.asin(torch.rand(count, generator=generator) * 1.9 - 0.95)
    return Cameras(orbit_camera(azimuth, elevation, torch.full((count,), 2.2)), perspective(torch.tensor(0.55), 1.0, 0.1, 10.0))


def _seen(known: Known) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Texels [SIZE,SIZE] on islands, and those of them that lie under a pixel of some view, or beside such a texel."""
    owner, _ = surface_under_texels(known.corner_uvs.numpy(), SIZE)
    cameras = _cameras(48, torch.Generator().manual_seed(7))
    clip = to_clip(known.positions, cameras.clip_from_world)
    rast = choose_rasterizer("cpu").rasterize(clip, known.triangles, (2 * SIDE_PX, 2 * SIDE_PX))
    fragments = fragments_of(rast, known.triangles)
    uv = (known.corner_uvs[fragments.triangles] * fragments.barycentrics[..., None]).sum(1)
    texel = (uv * SIZE).long().clamp(0, SIZE - 1).numpy()
    hit = np.zeros((SIZE, SIZE), bool)
    hit[texel[:, 1], texel[:, 0]] = True
    return owner >= 0, hit & (owner >= 0)
