"""Pictures of several objects together, each with its own paint, and which of them every pixel shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from maquette_backend.render.cameras import Cameras, to_clip
from maquette_backend.render.edges import Topology, build_topology
from maquette_backend.render.fragments import Fragments, barycentric_derivatives, fragments_of, gather_corners
from maquette_backend.render.rasterizer import Rasterizer
from maquette_backend.render.shading import box_filter, face_normals, vertex_normals


@dataclass(frozen=True)
class SurfacePoints:
    """What P pixels see of one object; whatever a paint may want to know. Nothing here carries a gradient."""

    points: Tensor
    """[P,3] in the space in which the object's paint is looked up."""
    position: Tensor
    """[P,3] in the picture's space"""
    uv: Tensor
    """[P,2]; zeros where the object has no UVs"""
    uv_da: Tensor
    """[P,4] du/dx, du/dy, dv/dx, dv/dy per pixel"""
    triangles: Tensor
    """[P] int64, of the object"""
    barycentrics: Tensor
    """[P,3]"""
    normal: Tensor
    """[P,3] unit, the picture's space, turned towards the camera"""
    normal_camera: Tensor
    """[P,3] the same in camera space: x right, y up, z to the camera"""
    to_eye: Tensor
    """[P,3] unit, the picture's space"""
    turned: Tensor
    """[P] bool: the surface is seen from behind, and ``normal`` was turned over"""


Paint = Callable[[SurfacePoints], Tensor]
"""Colours as they are shown [P,3], 0..1, light included."""


@dataclass(frozen=True)
class SceneObject:
    """A mesh in a picture."""

    positions: Tensor
    """[V,3] where it stands in the picture's space"""
    triangles: Tensor
    """[F,3]"""
    own_points: Tensor
    """[V,3] the same vertices in the space in which paint is looked up"""
    corner_uvs: Tensor | None = None
    """[F,3,2]"""


@dataclass(frozen=True)
class SceneGeometry:
    """Objects laid end to end; made once, for surfaces that do not move."""

    positions: Tensor
    """[V,3]"""
    triangles: Tensor
    """int64 [F,3]"""
    own_points: Tensor
    """[V,3]"""
    corner_uvs: Tensor
    """[F,3,2]"""
    normals: Tensor
    """[V,3] unit"""
    owner: Tensor
    """int64 [F], the object of each triangle"""
    first: tuple[int, ...]
    """The first triangle of each object, and their number at the end."""
    topology: Topology


@dataclass(frozen=True)
class SceneRendering:
    """Images with row 0 at the top."""

    color: Tensor
    """[N,3,H,W] in −1..1, background 0"""
    normal: Tensor
    """[N,3,H,W] camera-space, background 0"""
    mask: Tensor
    """[N,1,H,W] coverage 0..1 by any object"""
    owner: Tensor
    """int64 [N,H,W]: the object seen in the middle of the pixel (of its first sample), −1 for none"""
    points: Tensor
    """[N,H,W,3] where on it, in its own space; no gradient"""
    depth: Tensor
    """[N,1,H,W] along the camera's axis, 0 where nothing is; no gradient"""


def lay_out(objects: Sequence[SceneObject]) -> SceneGeometry:
    """Join objects into one mesh. Raises ValueError without any."""
    if not objects:
        raise ValueError("a scene needs at least one object")
    vertex, first, triangles, uvs = 0, [0], [], []
    for one in objects:
        triangles.append(one.triangles.long() + vertex)
        uvs.append(one.positions.new_zeros(len(one.triangles), 3, 2) if one.corner_uvs is None else one.corner_uvs)
        vertex += len(one.positions)
        first.append(first[-1] + len(one.triangles))
    positions, joined = torch.cat([one.positions for one in objects]).detach(), torch.cat(triangles)
    counts = torch.tensor([len(one.triangles) for one in objects], device=joined.device)
    return SceneGeometry(
        positions,
        joined,
        torch.cat([one.own_points for one in objects]).detach(),
        torch.cat(uvs),
        torch.cat([vertex_normals(one.positions, one.triangles) for one in objects]),
        torch.arange(len(objects), device=joined.device).repeat_interleave(counts),
        tuple(first),
        build_topology(joined),
    )


def render_scene(
    rasterizer: Rasterizer,
    scene: SceneGeometry,
    paints: Sequence[Paint],
    cameras: Cameras,
    size: int,
    *,
    supersample: int = 1,
) -> SceneRendering:
    """The scene from N cameras, ``size`` px square; differentiable in what the paints learn, one paint for each object."""
    clip = to_clip(scene.positions, cameras.clip_from_world)
    side = size * supersample
    rast = rasterizer.rasterize(clip, scene.triangles, (side, side))
    fragments = fragments_of(rast, scene.triangles)
    seen = _surface_points(scene, fragments, clip, cameras)
    owner = scene.owner.index_select(0, fragments.triangles)
    color = seen.points.new_zeros(len(owner), 3)
    for number, paint in enumerate(paints):
        mine = (owner == number).nonzero()[:, 0]
        if len(mine):
            color = color.index_copy(0, mine, paint(_of(seen, mine, scene.first[number])).clamp(max=1))
    ones = torch.ones_like(color[:, :1])
    image = fragments.scatter(torch.cat([color * 2 - 1, seen.normal_camera, ones], 1))
    image = rasterizer.antialias(image, rast, clip, scene.triangles, scene.topology)
    image = box_filter(image, supersample).permute(0, 3, 1, 2).flip(2)
    owners = fragments.scatter((owner + 1)[:, None])[..., 0] - 1
    every = (slice(None), slice(None, None, supersample), slice(None, None, supersample))
    points = fragments.scatter(torch.cat([seen.points, _depth(seen, fragments, cameras)], 1))[every].flip(1)
    depth = points[..., 3:].permute(0, 3, 1, 2)
    return SceneRendering(image[:, :3], image[:, 3:6], image[:, 6:], owners[every].flip(1), points[..., :3], depth)


@torch.no_grad()
def _depth(seen: SurfacePoints, fragments: Fragments, cameras: Cameras) -> Tensor:
    """[P,1]: the camera looks along its −Z."""
    row = cameras.camera_from_world[:, 2].index_select(0, fragments.views)
    return -((row[:, :3] * seen.position).sum(1, keepdim=True) + row[:, 3:])


@torch.no_grad()
def _surface_points(scene: SceneGeometry, fragments: Fragments, clip: Tensor, cameras: Cameras) -> SurfacePoints:
    rotation, shift = cameras.camera_from_world[:, :3, :3], cameras.camera_from_world[:, :3, 3:]
    eye = -(rotation.transpose(1, 2) @ shift)[:, :, 0]
    position = fragments.interpolate(scene.positions)
    to_eye = functional.normalize(eye.index_select(0, fragments.views) - position, dim=1)
    smooth = functional.normalize(fragments.interpolate(scene.normals), dim=1, eps=1e-6)
    flat = face_normals(scene.positions, scene.triangles).index_select(0, fragments.triangles)
    turned = (smooth * flat).sum(-1) * (flat * to_eye).sum(-1) < 0
    normal = torch.where(turned[:, None], -smooth, smooth)
    corners = scene.corner_uvs.index_select(0, fragments.triangles)
    derivatives = barycentric_derivatives(
        gather_corners(clip, fragments.vertices, fragments.views), fragments.pixels, fragments.size
    )
    return SurfacePoints(
        points=fragments.interpolate(scene.own_points),
        position=position,
        uv=(corners * fragments.barycentrics[..., None]).sum(1),
        uv_da=torch.einsum("pcu,pcd->pud", corners, derivatives).reshape(-1, 4),
        triangles=fragments.triangles,
        barycentrics=fragments.barycentrics,
        normal=normal,
        normal_camera=(rotation.index_select(0, fragments.views) * normal[:, None, :]).sum(-1),
        to_eye=to_eye,
        turned=(flat * to_eye).sum(-1) < 0,
    )


def _of(seen: SurfacePoints, rows: Tensor, first_triangle: int) -> SurfacePoints:
    """The points of one object."""
    parts = {name: value.index_select(0, rows) for name, value in vars(seen).items()}
    parts["triangles"] = parts["triangles"] - first_triangle
    return SurfacePoints(**parts)
