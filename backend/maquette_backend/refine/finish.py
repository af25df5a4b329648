"""From an optimised surface to what the artist gets: a clean mesh, UVs, a texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from maquette_backend.appearance.atlas import check_uvs, unwrap
from maquette_backend.appearance.bake import bake_color
from maquette_backend.appearance.fields import ColorField
from maquette_backend.refine.events import Origin
from maquette_backend.refine.surface import Surface
from maquette_backend.shape.origin import surface_origin


@dataclass(frozen=True)
class Mesh:
    """A mesh in unit space, off the tape."""

    positions: NDArray[np.float32]
    """[V,3]."""
    triangles: NDArray[np.int32]
    """[F,3]."""
    corner_uvs: NDArray[np.float32] | None = None
    """[F,3,2]."""


def frozen(surface: Surface) -> Mesh:
    """The surface as it is now."""
    with torch.no_grad():
        return Mesh(
            surface.positions.detach().cpu().numpy().astype(np.float32),
            surface.triangles.cpu().numpy().astype(np.int32),
        )


def origin_of(mesh: Mesh, old_positions: NDArray[np.float32], old_triangles: NDArray[np.int32]) -> Origin:
    """Where a new surface came from. Both are in unit space, where nearness is what the artist sees; the old triangles
    [F,3] as they were sent, since the weights are in their corners' order."""
    found = surface_origin(mesh.positions, mesh.triangles, old_positions, old_triangles)
    return Origin(found.vertices.triangles, found.vertices.weights, found.face_triangles)


def with_uvs(mesh: Mesh, own: NDArray[np.float32] | None, size: int) -> Mesh:
    """The artist's UVs where there are any and they are sound, else new ones."""
    if own is not None and check_uvs(own).sound:
        return Mesh(mesh.positions, mesh.triangles, own)
    return Mesh(mesh.positions, mesh.triangles, unwrap(mesh.positions, mesh.triangles, size).corner_uvs)


def baked(mesh: Mesh, color: ColorField, size: int) -> NDArray[np.uint8]:
    """Base colour u1 [size,size,3], sRGB, row 0 at the bottom."""
    assert mesh.corner_uvs is not None
    return bake_color(lambda points: _colors(points, color), mesh.positions, mesh.corner_uvs, mesh.triangles, size)


def vertex_colors(positions: NDArray[np.float32], color: ColorField) -> NDArray[np.uint8]:
    """u1 [V,3] sRGB at vertices, for previews."""
    with torch.no_grad():
        return (_colors(torch.from_numpy(positions), color) * 255).round().to(torch.uint8).numpy()


def _colors(points: torch.Tensor, color: ColorField) -> torch.Tensor:
    """Colours on the CPU at points [P,3] from there, wherever the field lives."""
    return color(points.to(color.base.device)).cpu()
