"""A furniture model made ready for rendering: triangles, normals, and all its textures in one buffer."""

from __future__ import annotations

import io
import logging
import zipfile
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from maquette_backend.priors.starter.training.furniture_package import FurnitureModel
from maquette_backend.priors.starter.training.wavefront import Material, ObjFile, parse_mtl, parse_obj

_TEXTURE_SIDE = 128
"""More than a 64-pixel picture can show."""
_SEE_THROUGH = 0.35
_LEAST_KEPT = 0.3
"""If dropping glass leaves less than this share of the faces, the thing is made of glass: keep it."""
_HOLE_ALPHA = 100
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FurnitureMesh:
    """Y up, front at +Z, centred, longest side 1. Contiguous arrays, ready for the renderer."""

    positions: NDArray[np.float64]  # [V,3] only such as triangles use
    triangles: NDArray[np.int32]  # [F,3]
    normals: NDArray[np.float64]  # [N,3]
    corner_normals: NDArray[np.int32]
    """[F,3] into normals; −1 in all three corners: the face has none."""
    uvs: NDArray[np.float64]  # [T,2]
    corner_uvs: NDArray[np.int32]  # [F,3]
    face_texture: NDArray[np.int32]  # [F] rows of textures
    textures: NDArray[np.int64]
    """[M,4]: first texel, width, height, 1 if it has holes. A plain colour is a texture of one texel."""
    texels: NDArray[np.float64]  # [P,4] RGBA 0..255
    materials: tuple[str, ...]
    """[M] what each row of ``textures`` is called: the material, then its texture file."""
    parts: tuple[str, ...]
    """Names of the model's groups and objects."""
    see_through: bool
    """Some of its faces were left out because one sees through them."""


def stretched(mesh: FurnitureMesh, factors: NDArray[np.float64]) -> FurnitureMesh:
    """The mesh scaled by ``factors`` [3] along x, y and z, then to longest side 1 again.

    Normals go by the inverse transpose, which for a scaling along the axes is to divide.
    """
    normals = mesh.normals / factors
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return replace(
        mesh,
        positions=_unit_positions(mesh.positions * factors),
        normals=np.ascontiguousarray(normals / np.maximum(lengths, 1e-12)),
    )


def load_furniture(archive: zipfile.ZipFile, model: FurnitureModel) -> FurnitureMesh:
    """Reads a model from its opened archive. Raises ValueError or KeyError if it can't be used."""
    obj = parse_obj(archive.read(model.path).decode("latin1"))
    files = _Files(archive, model.path)
    materials: dict[str, Material] = {}
    for library in obj.libraries:
        data = files.read(library)
        if data is not None:
            materials.update(parse_mtl(data.decode("latin1")))
    used = [materials.get(name, Material()) for name in obj.material_names]
    kept = _kept_faces(obj, used, has_glass_top="table" in model.name.lower())
    rotation = np.eye(3) if model.rotation is None else np.array(model.rotation).reshape(3, 3)
    textures, texels = _pack_textures(used, files)
    corners = obj.corners[kept]
    used_vertices, numbers = np.unique(corners[:, :, 0], return_inverse=True)
    triangles = numbers.reshape(-1, 3)
    corner_uvs = np.where(_within(corners[:, :, 1], len(obj.uvs)), corners[:, :, 1], len(obj.uvs))
    has_normals: NDArray[np.bool_] = np.all(_within(corners[:, :, 2], len(obj.normals)), axis=1)
    corner_normals = np.where(has_normals[:, None], corners[:, :, 2], -1)
    names = zip(obj.material_names, used, strict=True)
    return FurnitureMesh(
        positions=_unit_positions(obj.positions[used_vertices] @ rotation.T),
        triangles=np.ascontiguousarray(triangles, np.int32),
        normals=obj.normals @ rotation.T if len(obj.normals) else np.zeros((1, 3)),
        corner_normals=np.ascontiguousarray(corner_normals, np.int32),
        uvs=np.concatenate([obj.uvs, [[0.5, 0.5]]]),
        corner_uvs=np.ascontiguousarray(corner_uvs, np.int32),
        face_texture=obj.face_material[kept],
        textures=textures,
        texels=texels,
        materials=tuple(f"{name} {material.texture or ''}".strip() for name, material in names),
        parts=obj.parts,
        see_through=bool((~kept).any()),
    )


class _Files:
    """Files beside the OBJ, found whatever their letter case."""

    def __init__(self, archive: zipfile.ZipFile, obj_path: str) -> None:
        self._archive = archive
        self._folder = obj_path.rpartition("/")[0]
        self._names = {name.lower(): name for name in archive.namelist()}

    def read(self, relative: str) -> bytes | None:
        name = self._names.get(f"{self._folder}/{relative}".replace("\\", "/").lower())
        return None if name is None else self._archive.read(name)


def _kept_faces(obj: ObjFile, materials: list[Material], has_glass_top: bool) -> NDArray[np.bool_]:
    """Faces [F] that have all their vertices and are not see-through; a table without its glass is no table."""
    valid: NDArray[np.bool_] = np.all(_within(obj.corners[:, :, 0], len(obj.positions)), axis=1)
    opaque = np.array([material.opacity >= _SEE_THROUGH for material in materials])[obj.face_material]
    kept = valid & opaque
    kept = valid if has_glass_top or kept.sum() < _LEAST_KEPT * len(valid) else kept
    if not kept.any():
        raise ValueError("no face has all its vertices")
    return kept


def _pack_textures(materials: list[Material], files: _Files) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """One row per material and all texels one after the other (see FurnitureMesh)."""
    rows: list[tuple[int, int, int, int]] = []
    pixels: list[NDArray[np.uint8]] = []
    first = 0
    for material in materials:
        picture = _texture(material, files)
        height, width = picture.shape[:2]
        rows.append((first, width, height, int(picture[..., 3].min() < _HOLE_ALPHA)))
        pixels.append(picture.reshape(-1, 4))
        first += width * height
    return np.array(rows, np.int64), np.concatenate(pixels).astype(np.float64)


def _texture(material: Material, files: _Files) -> NDArray[np.uint8]:
    """RGBA [H,W,4], row 0 at the top; the plain colour where there is no readable texture."""
    data = files.read(material.texture) if material.texture else None
    if data is not None:
        try:
            picture = Image.open(io.BytesIO(data)).convert("RGBA")
            picture.thumbnail((_TEXTURE_SIDE, _TEXTURE_SIDE), Image.Resampling.BOX)
            return np.asarray(picture)
        except (UnidentifiedImageError, OSError) as error:
            _log.warning("texture %s is unreadable, its plain colour is used: %s", material.texture, error)
    channels = [min(255, max(0, int(255 * channel))) for channel in material.color]
    return np.array([[[*channels, 255]]], np.uint8)


def _unit_positions(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = positions.min(0), positions.max(0)
    if not np.isfinite(positions).all() or (high - low).max() <= 0:
        raise ValueError("positions that are not finite, or all in one point")
    return np.ascontiguousarray((positions - (low + high) / 2) / (high - low).max())


def _within(indices: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    return (indices >= 0) & (indices < size)
