"""Renders views of a mesh with a physically based material under an environment and lamps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maquette_backend.render.cameras import Cameras, to_clip
from maquette_backend.render.edges import Topology, build_topology
from maquette_backend.render.environment import Environment
from maquette_backend.render.fragments import Fragments, fragments_of
from maquette_backend.render.lamps import Lamp, shade_lamps
from maquette_backend.render.rasterizer import Rasterizer
from maquette_backend.render.shading import Rendering, box_filter, surface_normals, texture_place
from maquette_backend.render.split_sum import SurfaceMaterial, shade
from maquette_backend.surface.tangents import leaning, leaning_freely


@dataclass(frozen=True)
class MappedMaterial:
    """A material in texture maps, its normals in the frame of the UVs."""

    at: Callable[[Tensor, Tensor], SurfaceMaterial]
    """uv [P,2] and mip level [P] → the material"""
    size: tuple[int, int]
    """Rows and columns of the maps."""
    corner_uvs: Tensor
    """[F,3,2]"""
    tangents: Tensor
    """[F,3,4] of ``tangents.tangent_frames``"""


MaterialSource = Callable[[Tensor], SurfaceMaterial] | MappedMaterial
"""A function of surface points [P,3], normals leaning in the frame of the surface's normal; or texture maps."""


@dataclass(frozen=True)
class MaterialRendering:
    """The images, and what they were made of at the P covered samples."""

    images: Rendering
    """Colour as displayed; ``normal`` is the surface's own."""
    material: SurfaceMaterial
    points: Tensor
    """[P,3]"""
    normals: Tensor
    """[P,3] unit, world space, leaning as the material says"""
    radiance: Tensor
    """[P,3] linear"""
    fragments: Fragments


def render_material(
    rasterizer: Rasterizer,
    positions: Tensor,
    triangles: Tensor,
    material: MaterialSource,
    cameras: Cameras,
    size: int | tuple[int, int],
    environment: Environment,
    *,
    display: Callable[[Tensor], Tensor],
    lamps: Sequence[Lamp] = (),
    supersample: int = 1,
    topology: Topology | None = None,
    two_sided: bool = True,
) -> MaterialRendering:
    """Renders positions [V,3] and triangles [F,3] from N cameras at ``size`` px (a side, or (H,W)).

    ``display`` turns linear radiance [P,3] into 0..1 as a picture stores it (for a prior: sRGB). Differentiable in
    positions and material, silhouettes included. The other arguments are those of ``shading.render_views``.
    """
    height, width = (size, size) if isinstance(size, int) else size
    clip = to_clip(positions, cameras.clip_from_world)
    rast = rasterizer.rasterize(clip, triangles, (height * supersample, width * supersample))
    fragments = fragments_of(rast, triangles)
    points = fragments.interpolate(positions)
    own = surface_normals(fragments, positions, triangles, cameras, two_sided)
    found, normals = _material(fragments, clip, points, own, material)
    view = torch.nn.functional.normalize(_eyes(cameras).index_select(0, fragments.views) - points, dim=1)
    radiance = shade(found, normals, view, environment) + shade_lamps(found, normals, view, points, lamps)
    rotation = cameras.camera_from_world[:, :3, :3].index_select(0, fragments.views)
    seen = torch.cat([display(radiance) * 2 - 1, (rotation * own[:, None, :]).sum(-1), torch.ones_like(own[:, :1])], 1)
    image = rasterizer.antialias(fragments.scatter(seen), rast, clip, triangles, topology or build_topology(triangles))
    image = box_filter(image, supersample).permute(0, 3, 1, 2).flip(2)
    images = Rendering(image[:, :3], image[:, 3:6], image[:, 6:])
    return MaterialRendering(images, found, points, normals, radiance, fragments)


def _material(
    fragments: Fragments, clip: Tensor, points: Tensor, own: Tensor, source: MaterialSource
) -> tuple[SurfaceMaterial, Tensor]:
    """The material at each fragment, and unit normals [P,3] that lean as it says."""
    if not isinstance(source, MappedMaterial):
        found = source(points)
        return found, leaning_freely(found.tangent_normal, own)
    uv, level = texture_place(fragments, clip, source.corner_uvs, source.size)
    found = source.at(uv, level)
    corners = source.tangents.index_select(0, fragments.triangles)  # [P,3,4]
    along = (corners[..., :3] * fragments.barycentrics[..., None]).sum(1)
    return found, leaning(found.tangent_normal, own, torch.cat([along, corners[:, 0, 3:]], 1))


def _eyes(cameras: Cameras) -> Tensor:
    """Positions [N,3] of the cameras, world space."""
    rotation, shift = cameras.camera_from_world[:, :3, :3], cameras.camera_from_world[:, :3, 3:]
    return -(rotation.transpose(1, 2) @ shift)[:, :, 0]
