"""What came from the backend, checked and ready for Blender. No bpy: this runs on the connection's thread."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ._protocol import arrays, errors, limits, messages, recipe
from .surface_maps import SurfaceMaps

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
_WEIGHT_SLACK = 1e-3
"""Rounding of a sender's that is put right here; more is an error."""
_MAPS = {
    "base_color": ("COLOR", (3,)),
    "roughness": ("ROUGHNESS", ()),
    "metallic": ("METALLIC", ()),
    "normal": ("NORMAL", (3,)),
}
"""A result's pictures: what the add-on calls them, and their last sides."""
_BYTE_TO_FLOAT: Floats = (np.arange(256) / 255.0).astype(np.float32)


@dataclass(frozen=True)
class Surface:
    """A surface with its colours."""

    positions: Floats
    """[V,3], object space."""
    triangles: Ints
    """[F,3]"""
    corner_uvs: Floats | None = None
    """[F,3,2]"""
    colors: Floats | None = None
    """[V,4], sRGB 0..1."""
    texture: Floats | None = None
    """[H,W,4], sRGB 0..1, row 0 at the bottom; of a preview."""
    maps: SurfaceMaps | None = None
    """Of a result."""

    @property
    def is_pictured(self) -> bool:
        """Whether a picture on its UVs says what it looks like."""
        return self.texture is not None or self.maps is not None


@dataclass(frozen=True)
class Frame:
    """A preview."""

    job_id: str
    subject_id: str
    topology: int
    surface: Surface


@dataclass(frozen=True)
class Correspondence:
    """The point of the sent mesh that each vertex and each triangle of a new surface stands for."""

    vertex_triangles: Ints
    """[V], triangles of the sent mesh. ≥ 0; whether the sent mesh has so many is for whoever has that mesh to say."""
    vertex_weights: Floats
    """[V,3], barycentric in those: ≥ 0, rows sum to 1."""
    face_triangles: Ints
    """[F], for the middle of each new triangle."""


@dataclass(frozen=True)
class Refined:
    """A result."""

    subject_id: str
    same_topology: bool
    surface: Surface
    origin: Correspondence | None = None
    """None from a backend older than protocol 1.2, or where topology stayed."""
    seen: float = 1.0
    """Share of the surface that some view saw; the rest was filled from around it."""
    upscaled_by: str = ""
    """What enlarged the base colour: ``real_esrgan``, ``lanczos``, or nothing."""


def rgba(colors: NDArray[np.generic]) -> Floats:
    """u1 [...,3] → f4 [...,4] with alpha 1."""
    out = np.ones((*colors.shape[:-1], 4), np.float32)
    out[..., :3] = _BYTE_TO_FLOAT[colors.astype(np.uint8, copy=False)]
    return out


def frame_from(preview: messages.Preview, given: Mapping[str, NDArray[np.generic]]) -> Frame:
    """A preview's arrays, checked. Raises ProtocolError when they do not fit together."""
    return Frame(preview.job_id, preview.subject_id, preview.topology, _surface(given))


def refined_from(result: messages.SubjectResult, blobs: Mapping[str, bytes | bytearray]) -> Refined:
    """A result's arrays, checked. Raises ProtocolError when they do not fit together."""
    given = {name: _view(ref, blobs) for name, ref in _refs(result).items()}
    maps = _maps({name: given.pop(name) for name in _MAPS if name in given})
    surface = replace(_surface(given), maps=maps)
    if maps is not None and surface.corner_uvs is None:
        raise _broken("has maps but no UVs")
    origin = None if result.origin is None else _correspondence(given, surface)
    seen = result.seen if math.isfinite(result.seen) else 1.0
    return Refined(
        result.subject_id, result.same_topology, surface, origin, min(max(seen, 0.0), 1.0), result.upscaled_by
    )


def _maps(given: Mapping[str, NDArray[np.generic]]) -> SurfaceMaps | None:
    """None without a base colour."""
    images: dict[str, NDArray[np.uint8]] = {}
    for name, (kind, tail) in _MAPS.items():
        image = _shaped(given, name, "u1", (-1, -1, *tail))
        if image is None:
            continue
        if not all(1 <= side <= limits.MAX_TEXTURE_SIZE for side in image.shape[:2]):
            raise _broken(f"has {name} of {image.shape[1]} × {image.shape[0]} pixels")
        images[kind] = image  # pyright: ignore[reportArgumentType]
    if len({image.shape[:2] for image in images.values()}) > 1:
        raise _broken("has maps of several sizes")
    return SurfaceMaps(images) if "COLOR" in images else None


def refs_of(status: messages.JobStatus) -> dict[str, int]:
    """Bytes of every blob of a job's results, by hash."""
    refs = [ref for result in status.results for ref in _refs(result).values()]
    return {ref.sha256: arrays.ref_size(ref) for ref in refs}


def _refs(result: messages.SubjectResult) -> dict[str, recipe.ArrayRef]:
    """All arrays of a result, by what they hold."""
    origin = result.origin
    refs = {
        "positions": result.mesh.positions,
        "triangles": result.mesh.triangles,
        "corner_uvs": result.mesh.corner_uvs,
        "base_color": result.base_color,
        "roughness": result.roughness,
        "metallic": result.metallic,
        "normal": result.normal,
        "vertex_triangles": None if origin is None else origin.vertex_triangles,
        "vertex_weights": None if origin is None else origin.vertex_weights,
        "face_triangles": None if origin is None else origin.face_triangles,
    }
    return {name: ref for name, ref in refs.items() if ref is not None}


def _view(ref: recipe.ArrayRef, blobs: Mapping[str, bytes | bytearray]) -> NDArray[np.generic]:
    return arrays.view_array(blobs[ref.sha256], ref.dtype, ref.shape)


def _surface(given: Mapping[str, NDArray[np.generic]]) -> Surface:
    positions = _shaped(given, "positions", "f4", (-1, 3))
    triangles = _shaped(given, "triangles", "i4", (-1, 3))
    if positions is None or triangles is None:
        raise _broken("lacks positions or triangles")
    count = len(positions)
    if len(triangles) > 8 * limits.MAX_TRIANGLES or not np.isfinite(positions).all():
        raise _broken("has too many triangles or coordinates that are no numbers")
    if triangles.size and not (int(triangles.min()) >= 0 and int(triangles.max()) < count):
        raise _broken("names vertices that do not exist")
    colors = _shaped(given, "colors", "u1", (count, 3))
    texture = _shaped(given, "texture", "u1", (-1, -1, 3))
    return Surface(
        positions.astype(np.float32, copy=False),
        triangles.astype(np.int32, copy=False),
        _shaped(given, "corner_uvs", "f4", (len(triangles), 3, 2)),  # pyright: ignore[reportArgumentType]
        None if colors is None else rgba(colors),
        None if texture is None else rgba(texture),
    )


def _correspondence(given: Mapping[str, NDArray[np.generic]], surface: Surface) -> Correspondence:
    vertices, faces = len(surface.positions), len(surface.triangles)
    vertex_triangles = _shaped(given, "vertex_triangles", "i4", (vertices,))
    weights = _shaped(given, "vertex_weights", "f4", (vertices, 3))
    face_triangles = _shaped(given, "face_triangles", "i4", (faces,))
    if vertex_triangles is None or weights is None or face_triangles is None:
        raise _broken("says of only some of its parts where they come from")
    for named in (vertex_triangles, face_triangles):
        if named.size and not (int(named.min()) >= 0 and int(named.max()) < 8 * limits.MAX_TRIANGLES):
            raise _broken("comes from triangles that do not exist")
    weights = weights.astype(np.float32)
    # not (…): comparisons with NaN are false
    if not (np.all(weights >= -_WEIGHT_SLACK) and np.all(np.abs(weights.sum(axis=1) - 1) <= _WEIGHT_SLACK)):
        raise _broken("has barycentric weights that are negative or do not sum to 1")
    weights = np.clip(weights, 0, None)
    return Correspondence(
        vertex_triangles.astype(np.int32, copy=False),
        weights / weights.sum(axis=1, keepdims=True),
        face_triangles.astype(np.int32, copy=False),
    )


def _shaped(
    given: Mapping[str, NDArray[np.generic]], name: str, dtype: str, shape: tuple[int, ...]
) -> NDArray[np.generic] | None:
    """An optional array of this type and shape; −1 stands for any side."""
    array = given.get(name)
    if array is None:
        return None
    fits = array.ndim == len(shape) and all(want in (-1, side) for want, side in zip(shape, array.shape, strict=True))
    if not fits or array.dtype != np.dtype(dtype):
        raise _broken(f"has {name} of {array.dtype} {array.shape}")
    return array


def _broken(what: str) -> errors.ProtocolError:
    return errors.ProtocolError(f"A surface from the backend {what}.", "Update the backend and the add-on together.")
