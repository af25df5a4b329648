"""What a normal map adds to a surface's own normals, in space: the same on both sides of a UV seam, as its colours are not."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.surface.normals import vertex_normals
from maquette_backend.surface.tangents import leaning, tangent_frames


class Leans:
    """The tangent frames of one surface, smooth as Blender has them, at points of its triangles."""

    def __init__(
        self, positions: NDArray[np.floating], triangles: NDArray[np.integer], corner_uvs: NDArray[np.floating]
    ) -> None:
        """``positions`` [V,3], ``triangles`` [F,3], ``corner_uvs`` [F,3,2]."""
        points, faces = torch.from_numpy(np.array(positions, np.float32)), torch.from_numpy(np.array(triangles, np.int64))
        normals = vertex_normals(points, faces)
        frames = tangent_frames(points, faces, torch.from_numpy(np.array(corner_uvs, np.float32)), normals)
        self._normals, self._tangents = normals[faces], frames[..., :3]
        self._handedness = frames[:, 0, 3:]

    def of(
        self, stored: NDArray[np.floating] | NDArray[np.uint8], triangles: NDArray[np.integer], weights: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """World-space normals minus the surface's own [P,3], of a map's values [P,3] (0..255) at points given by triangles [P]
        and barycentric weights [P,3]."""
        normal, frames = self._at(triangles, weights)
        values = torch.from_numpy(np.asarray(stored, np.float32) / 127.5 - 1)
        return (leaning(functional.normalize(values, dim=1, eps=1e-6), normal, frames) - normal).numpy()

    def stored(
        self, leans: NDArray[np.floating], triangles: NDArray[np.integer], weights: NDArray[np.floating]
    ) -> NDArray[np.uint8]:
        """The map's values u1 [P,3] of ``leans`` [P,3] at such points: the inverse of ``of``."""
        normal, frames = self._at(triangles, weights)
        side, up = frames[:, :3], frames[:, 3:] * torch.linalg.cross(normal, frames[:, :3])
        wanted = normal + torch.from_numpy(np.asarray(leans, np.float32))
        basis = torch.stack([side, up, normal], -1)
        flat = torch.linalg.det(basis).abs()[:, None, None] < 1e-6
        found = torch.linalg.solve(torch.where(flat, torch.eye(3), basis), wanted[..., None])[..., 0]
        level = torch.where(flat[..., 0], torch.tensor([0.0, 0.0, 1.0]), functional.normalize(found, dim=1, eps=1e-6))
        return (level * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).numpy()

    def _at(self, triangles: NDArray[np.integer], weights: NDArray[np.floating]) -> tuple[Tensor, Tensor]:
        """Unit normals [P,3], and tangents with handedness [P,4]."""
        which = torch.from_numpy(np.asarray(triangles, np.int64))
        share = torch.from_numpy(np.asarray(weights, np.float32))[..., None]
        normal = functional.normalize((self._normals[which] * share).sum(1), dim=1, eps=1e-12)
        return normal, torch.cat([(self._tangents[which] * share).sum(1), self._handedness[which]], 1)
