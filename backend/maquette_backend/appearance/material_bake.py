"""Baking a material: a function of position becomes four texture maps on the mesh's UVs."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from maquette_backend.appearance.bake import MAX_SIZE
from maquette_backend.appearance.bake_kernel import FrozenField, TexelSurface, material_texels
from maquette_backend.appearance.dilation import fill_off_islands
from maquette_backend.appearance.material import MaterialField
from maquette_backend.appearance.material_maps import SurfaceImages, blank_images
from maquette_backend.appearance.uv_raster import owners_under_texels
from maquette_backend.surface.normals import vertex_normals
from maquette_backend.surface.tangents import tangent_frames


def bake_material(
    field: MaterialField,
    vertices: NDArray[np.floating],
    corner_uvs: NDArray[np.floating],
    triangles: NDArray[np.integer],
    size: int,
) -> SurfaceImages:
    """Maps of ``size``² texels, row 0 at the bottom, of ``field`` on the surface.

    ``vertices`` [V,3] in the space in which the field was learned, ``triangles`` [F,3], ``corner_uvs`` [F,3,2]. Normals
    are those of the smooth surface, in MikkTSpace frames, OpenGL Y+. Which triangle lies under a texel is found once for
    all maps. Texels off the islands are filled for every mip level; a mesh with no UV area gives the start material.

    Raises ``ValueError`` for a size outside 1..``MAX_SIZE`` or UVs that do not fit the triangles.
    """
    if not 1 <= size <= MAX_SIZE:
        raise ValueError(f"texture size {size} is not in 1..{MAX_SIZE}")
    if corner_uvs.shape != (len(triangles), 3, 2):
        raise ValueError(f"corner UVs of shape {corner_uvs.shape} do not fit {len(triangles)} triangles")
    owner = owners_under_texels(corner_uvs, size)
    covered = owner >= 0
    if not covered.any():
        return blank_images((size, size), field.settings)
    texels = material_texels(FrozenField.of(field), _surface(vertices, corner_uvs, triangles, owner))
    fill_off_islands(texels, covered)
    parts = (slice(0, 3), 3, 4, slice(5, 8))
    return SurfaceImages(*(np.ascontiguousarray(texels[..., part]) for part in parts))


def _surface(
    vertices: NDArray[np.floating],
    corner_uvs: NDArray[np.floating],
    triangles: NDArray[np.integer],
    owner: NDArray[np.int32],
) -> TexelSurface:
    positions = torch.from_numpy(np.array(vertices, np.float32))  # copies: arrays that were sent cannot be written to
    faces = torch.from_numpy(np.array(triangles, np.int64))
    uvs = torch.from_numpy(np.array(corner_uvs, np.float32))
    normals = vertex_normals(positions, faces)
    frames = tangent_frames(positions, faces, uvs, normals)
    corners = torch.cat([positions[faces], normals[faces], frames[..., :3]], -1)
    texels = np.ascontiguousarray(np.nan_to_num(np.clip(corner_uvs, -8, 8)), np.float64) * owner.shape[0]
    return TexelSurface(owner, texels, corners.numpy(), np.ascontiguousarray(frames[:, 0, 3].numpy()))
