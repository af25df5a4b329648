"""One subject once its shape is settled: what is painted, with what, and how it becomes texture images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.appearance.seam_evening import evened
from maquette_backend.refine.given import Given, shares
from maquette_backend.refine.moved import Moved
from maquette_backend.refine.placement import Placement
from maquette_backend.refine.plan import SubjectPlan
from maquette_backend.refine.texel_map import TexelMap, texel_map
from maquette_backend.render.scene_render import SceneObject
from maquette_backend.shape.places import first_at_each_place


@dataclass(frozen=True)
class Canvas:
    """Everything about a subject that stays the same while it is painted."""

    plan: SubjectPlan
    placement: Placement
    moved: Moved
    given: Given
    device: torch.device

    @property
    def subject_id(self) -> str:
        return self.plan.subject.subject_id

    @property
    def size(self) -> int:
        """Of its texture, pixels."""
        return self.plan.subject.texture_size

    @cached_property
    def texels(self) -> TexelMap:
        """Where on the surface each texel lies."""
        return texel_map(self.moved.mesh, self.size)

    @cached_property
    def share(self) -> NDArray[np.float32]:
        """[P]: how far each texel may go from what was given."""
        return shares(self.given, self.texels, self.moved.mesh.triangles)

    def evened(self, change: Tensor, mobile: NDArray[np.bool_]) -> Tensor:
        """A learned change [1,h,w,C] of its texture (see ``seam_evening``), both sides of each UV seam brought together, as far
        as its texels [S,S] are ``mobile``."""
        mesh = self.moved.mesh
        assert mesh.corner_uvs is not None
        triangles = first_at_each_place(mesh.positions)[mesh.triangles]
        side = change.shape[1]
        blocks = np.asarray(mobile.reshape(side, self.size // side, side, self.size // side).all((1, 3)))
        return torch.from_numpy(evened(change[0].numpy(), mesh.positions, triangles, mesh.corner_uvs, blocks))[None]

    def mobile(self, seen: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """[S,S]: texels that give way at seams. Of given maps those that are not kept; else those that will be filled in, for
        they are not among the ``seen`` [P] ones (None: none will be)."""
        if self.given.starts:
            gives_way = self.share > 0
        else:
            gives_way = np.ones_like(self.share, bool) if seen is None else ~seen | (self.share == 0)
        return self.texels.image(gives_way, np.ones((self.size, self.size), bool))

    def standing(self, picture_from_unit: NDArray[np.floating] | None = None) -> SceneObject:
        """The subject as an object of a picture: in unit space, or moved from there by a matrix [4,4]."""
        mesh = self.moved.mesh
        own = torch.from_numpy(mesh.positions.copy()).to(self.device)
        uvs = None if mesh.corner_uvs is None else torch.from_numpy(mesh.corner_uvs.copy()).to(self.device)
        placed = own if picture_from_unit is None else transformed(own, picture_from_unit)
        return SceneObject(placed, torch.from_numpy(mesh.triangles.astype(np.int64)).to(self.device), own, uvs)


def transformed(points: Tensor, matrix: NDArray[np.floating]) -> Tensor:
    """Points [V,3] under an affine matrix [4,4], in double precision on the way."""
    affine = torch.from_numpy(np.asarray(matrix, np.float64)).to(points.device)
    return (points.double() @ affine[:3, :3].T + affine[:3, 3]).float()
