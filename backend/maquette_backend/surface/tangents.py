"""Directions in which a normal leans: frames of the UVs, as normal maps have them, and frames of the normal alone."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor


def frames_from_normals(normals: Tensor) -> tuple[Tensor, Tensor]:
    """Two directions [P,3] that make a right-handed frame with unit ``normals`` [P,3]: side × up = normal.

    Frisvad 2012, "Building an Orthonormal Basis from a 3D Unit Vector Without Normalization": smooth everywhere but
    straight down.
    """
    x, y, z = normals.unbind(-1)
    scale = 1 / (1 + z).clamp(min=1e-6)
    cross = -x * y * scale
    down = z < -0.999999
    side = torch.stack([1 - x * x * scale, cross, -x], -1)
    up = torch.stack([cross, 1 - y * y * scale, -y], -1)
    south_side, south_up = normals.new_tensor([0.0, -1.0, 0.0]), normals.new_tensor([-1.0, 0.0, 0.0])
    return torch.where(down[..., None], south_side, side), torch.where(down[..., None], south_up, up)


@torch.no_grad()
def tangent_frames(positions: Tensor, triangles: Tensor, corner_uvs: Tensor, normals: Tensor) -> Tensor:
    """Tangent and handedness [F,3,4] at every corner, as MikkTSpace (Mikkelsen 2008) and so Blender have them.

    ``positions`` [V,3], ``triangles`` [F,3], ``corner_uvs`` [F,3,2], smooth unit ``normals`` [V,3]. The bitangent is
    handedness · (normal × tangent). Corners of one vertex share a tangent where their UVs agree and are mirrored alike.
    Blender works on its quads where there are some: there, tangents differ a little inside a quad.
    """
    corners = positions[triangles.long()]  # [F,3,3]
    normal = normals[triangles.long()]
    along_u, mirrored = _direction_of_u(corners, corner_uvs)
    flat = functional.normalize(_projected(along_u[:, None].expand_as(normal), normal), dim=-1, eps=1e-20)
    weighted = flat * _corner_angles(corners, normal)[..., None]
    group, count = _same_tangent(triangles, corner_uvs, mirrored)
    total = weighted.new_zeros(count, 3).index_add_(0, group, weighted.reshape(-1, 3))
    tangent = functional.normalize(total, dim=1, eps=1e-20)[group].reshape(normal.shape)
    side, _ = frames_from_normals(normal.reshape(-1, 3))
    tangent = torch.where(tangent.square().sum(-1, keepdim=True) > 0.5, tangent, side.reshape(normal.shape))
    handedness = torch.where(mirrored, -1.0, 1.0).to(tangent)[:, None, None].expand(-1, 3, 1)
    return torch.cat([tangent, handedness], -1)


def leaning(tangent_normal: Tensor, normals: Tensor, tangents: Tensor) -> Tensor:
    """Unit world-space normals [P,3] of ``tangent_normal`` [P,3] in frames of interpolated ``normals`` [P,3] and
    ``tangents`` [P,4]."""
    bitangent = tangents[:, 3:] * torch.linalg.cross(normals, tangents[:, :3])
    x, y, z = tangent_normal.split(1, dim=1)
    return functional.normalize(x * tangents[:, :3] + y * bitangent + z * normals, dim=1, eps=1e-6)


def leaning_freely(tangent_normal: Tensor, normals: Tensor) -> Tensor:
    """Unit world-space normals [P,3] of ``tangent_normal`` [P,3] in the frames of ``normals`` [P,3] alone."""
    side, up = frames_from_normals(normals)
    x, y, z = tangent_normal.split(1, dim=1)
    return functional.normalize(x * side + y * up + z * normals, dim=1, eps=1e-6)


def _direction_of_u(corners: Tensor, corner_uvs: Tensor) -> tuple[Tensor, Tensor]:
    """Direction [F,3] in which u grows across each triangle, any length, and whether its UVs are mirrored [F]."""
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    uv_one, uv_two = corner_uvs[:, 1] - corner_uvs[:, 0], corner_uvs[:, 2] - corner_uvs[:, 0]
    area = uv_one[:, 0] * uv_two[:, 1] - uv_one[:, 1] * uv_two[:, 0]
    along = one * uv_two[:, 1:] - two * uv_one[:, 1:]
    return torch.where(area < 0, -1.0, 1.0).to(along)[:, None] * along, area < 0


def _projected(vectors: Tensor, normals: Tensor) -> Tensor:
    return vectors - (vectors * normals).sum(-1, keepdim=True) * normals


def _corner_angles(corners: Tensor, normal: Tensor) -> Tensor:
    """Angles [F,3] between the two edges at each corner, seen along its normal."""
    after, before = corners.roll(-1, 1) - corners, corners.roll(1, 1) - corners
    one = functional.normalize(_projected(after, normal), dim=-1, eps=1e-20)
    two = functional.normalize(_projected(before, normal), dim=-1, eps=1e-20)
    return torch.arccos((one * two).sum(-1).clamp(-1, 1))


def _same_tangent(triangles: Tensor, corner_uvs: Tensor, mirrored: Tensor) -> tuple[Tensor, int]:
    """Group [3F] of every corner, and the number of groups: one vertex, one UV, mirrored alike."""
    bits = corner_uvs.reshape(-1, 2).to("cpu", torch.float32).contiguous().numpy().view(np.int32)
    vertex = triangles.reshape(-1).cpu().numpy().astype(np.int64) * 2
    vertex += mirrored.repeat_interleave(3).cpu().numpy()
    keys = np.stack([vertex, bits[:, 0].astype(np.int64), bits[:, 1].astype(np.int64)])
    order = np.lexsort(keys)
    ordered = keys[:, order]
    begins = np.concatenate([[0], np.any(ordered[:, 1:] != ordered[:, :-1], axis=0).astype(np.int64)])
    group = np.zeros(len(vertex), np.int64)
    group[order] = np.cumsum(begins)
    return torch.from_numpy(group).to(triangles.device), int(group.max(initial=-1)) + 1
