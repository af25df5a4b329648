"""Renders views of a mesh as a prior wants to see them: colour under a head light, and camera-space normals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from maquette_backend.render.cameras import Cameras, to_clip
from maquette_backend.render.edges import Topology, build_topology
from maquette_backend.render.fragments import Fragments, barycentric_derivatives, fragments_of, gather_corners
from maquette_backend.render.rasterizer import Rasterizer
from maquette_backend.render.texturing import level_of_detail, sample_texture
from maquette_backend.surface.normals import face_normals, vertex_normals


@dataclass(frozen=True)
class HeadLight:
    """A light that moves with the camera, plus a sky. The values are those of the starter prior's training renders."""

    direction: tuple[float, float, float] = (-0.45, 0.60, 0.66)
    """Towards the light, in camera space: x right, y up, z to the camera. Any length."""
    ambient: float = 0.40
    diffuse: float = 0.40
    sky: float = 0.25
    """Full where a normal points up in the world, none where it points down."""

    def shade(self, normal_camera: Tensor, normal_up: Tensor) -> Tensor:
        """Camera-space unit normals [P,3] and their world-up components [P] → light [P]."""
        direction = torch.tensor(self.direction, dtype=normal_camera.dtype, device=normal_camera.device)
        lit = (normal_camera @ functional.normalize(direction, dim=0)).clamp(min=0)
        return self.ambient + self.diffuse * lit + self.sky * (0.5 + 0.5 * normal_up)


@dataclass(frozen=True)
class TextureMap:
    """Albedo from an image."""

    image: Tensor
    """[Ht,Wt,3] in 0..1, row 0 at v = 0"""
    corner_uvs: Tensor
    """[F,3,2]"""


Albedo = Tensor | Callable[[Tensor], Tensor] | TextureMap | None
"""Per vertex [V,3]; or a function of surface points [P,3] → [P,3]; or a texture; or None: white. Values in 0..1."""


@dataclass(frozen=True)
class Rendering:
    """Images with row 0 at the top."""

    color: Tensor
    """[N,3,H,W] in −1..1, background 0"""
    normal: Tensor
    """[N,3,H,W] camera-space normal components (x right, y up, z to the camera), background 0"""
    mask: Tensor
    """[N,1,H,W] coverage 0..1"""


def render_views(
    rasterizer: Rasterizer,
    positions: Tensor,
    triangles: Tensor,
    color: Albedo,
    cameras: Cameras,
    size: int | tuple[int, int],
    *,
    supersample: int = 1,
    light: HeadLight | None = None,
    topology: Topology | None = None,
    two_sided: bool = True,
) -> Rendering:
    """Renders positions [V,3] and triangles [F,3] from N cameras at ``size`` px (a side, or (H,W)).

    Differentiable in positions and colour, silhouettes included. ``topology`` saves finding the edges anew while the
    triangles stay the same. ``two_sided`` turns normals towards the camera, as the prior's training renders do;
    without it the inside of a surface shows normals that point away.
    """
    height, width = (size, size) if isinstance(size, int) else size
    clip = to_clip(positions, cameras.clip_from_world)
    rast = rasterizer.rasterize(clip, triangles, (height * supersample, width * supersample))
    fragments = fragments_of(rast, triangles)
    rotation = cameras.camera_from_world[:, :3, :3].index_select(0, fragments.views)
    normal = surface_normals(fragments, positions, triangles, cameras, two_sided)
    normal_camera = (rotation * normal[:, None, :]).sum(-1)
    shade = (light or HeadLight()).shade(normal_camera, normal[:, 2])
    albedo = _albedo(fragments, positions, clip, color)
    lit = (albedo * shade[:, None]).clamp(max=1) * 2 - 1
    image = fragments.scatter(torch.cat([lit, normal_camera, torch.ones_like(shade)[:, None]], 1))
    image = rasterizer.antialias(image, rast, clip, triangles, topology or build_topology(triangles))
    image = box_filter(image, supersample).permute(0, 3, 1, 2).flip(2)
    return Rendering(image[:, :3], image[:, 3:6], image[:, 6:])


def box_filter(image: Tensor, factor: int) -> Tensor:
    """Mean of squares of ``factor`` px: [N,H·factor,W·factor,C] → [N,H,W,C]. Raises ValueError if they do not fit."""
    n, height, width, channels = image.shape
    if factor < 1 or height % factor or width % factor:
        raise ValueError(f"an image of {width}x{height} px has no whole squares of {factor} px")
    if factor == 1:
        return image
    # sums of slices: with few channels, several times faster on a CPU than pooling or a mean over two axes
    rows = _sum_slices(image.reshape(n, height // factor, factor, width * channels), 2)
    columns = _sum_slices(rows.reshape(n, height // factor, width // factor, factor, channels), 3)
    return columns / factor**2


def _sum_slices(values: Tensor, axis: int) -> Tensor:
    first, *others = values.unbind(axis)
    return sum(others, first)


def surface_normals(fragments: Fragments, positions: Tensor, triangles: Tensor, cameras: Cameras, two_sided: bool) -> Tensor:
    """World-space unit normals [P,3], smooth over the surface; ``two_sided``: turned towards the camera."""
    normal = functional.normalize(fragments.interpolate(vertex_normals(positions, triangles)), dim=1, eps=1e-6)
    if not two_sided:
        return normal
    with torch.no_grad():
        rotation, shift = cameras.camera_from_world[:, :3, :3], cameras.camera_from_world[:, :3, 3:]
        eye = -(rotation.transpose(1, 2) @ shift)[:, :, 0]
        flat = face_normals(positions, triangles).index_select(0, fragments.triangles)
        corner = positions.index_select(0, fragments.vertices[:, 0])
        towards = (flat * (eye.index_select(0, fragments.views) - corner)).sum(-1)
        turned = (normal * flat).sum(-1) * towards < 0
    return torch.where(turned[:, None], -normal, normal)


def _albedo(fragments: Fragments, positions: Tensor, clip: Tensor, color: Albedo) -> Tensor:
    """[P,3]"""
    if color is None:
        return positions.new_ones(len(fragments.pixels), 3)
    if isinstance(color, Tensor):
        return fragments.interpolate(color)
    if isinstance(color, TextureMap):
        return _textured(fragments, clip, color)
    return color(fragments.interpolate(positions))


def _textured(fragments: Fragments, clip: Tensor, texture: TextureMap) -> Tensor:
    """Trilinear lookup at the level at which a pixel is one texel."""
    uv, level = texture_place(fragments, clip, texture.corner_uvs, (texture.image.shape[0], texture.image.shape[1]))
    return sample_texture(texture.image[None], uv[None], level[None])[0]


def texture_place(
    fragments: Fragments, clip: Tensor, corner_uvs: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """uv [P,2] of each fragment and the mip level [P] at which a pixel is one texel of a texture of ``size``.

    ``clip`` [N,V,4], ``corner_uvs`` [F,3,2]; the level carries no gradient.
    """
    corners = corner_uvs.index_select(0, fragments.triangles)  # [P,3,2]
    uv = (corners * fragments.barycentrics[..., None]).sum(1)
    with torch.no_grad():
        derivatives = barycentric_derivatives(
            gather_corners(clip, fragments.vertices, fragments.views), fragments.pixels, fragments.size
        )
        uv_da = torch.einsum("pcu,pcd->pud", corners, derivatives).reshape(-1, 4)
        return uv, level_of_detail(uv_da, size)
