"""The meshes that refinement is measured on: held-out models, blobs of them, and things assembled from boxes."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from maquette_backend.priors.starter.training.dataset import ModelRecord
from maquette_backend.priors.starter.training.evaluation.judges import KINDS
from maquette_backend.priors.starter.training.furniture_mesh import FurnitureMesh, load_furniture
from maquette_backend.priors.starter.training.furniture_package import furniture_models, obtain_furniture

_CELLS = 26
"""Voxels along a blob's longest side: what is thinner than two of them is lost or made thicker."""
_MOST_FACES = 15_000
_SAMPLES = 60_000
Bounds = tuple[float, float, float, float, float, float]
"""Least and greatest x, y and z of a box."""

_LEG = 0.09
BOXES: dict[str, tuple[Bounds, ...]] = {
    "armchair": (
        (-0.45, 0.45, -0.45, 0.45, 0.08, 0.42), (-0.45, 0.45, 0.25, 0.45, 0.42, 0.95),
        (-0.45, -0.28, -0.45, 0.45, 0.42, 0.62), (0.28, 0.45, -0.45, 0.45, 0.42, 0.62),
    ),
    "bed": ((-0.5, 0.5, -1.0, 1.0, 0.1, 0.45), (-0.5, 0.5, 0.95, 1.05, 0.0, 0.9), (-0.4, 0.4, 0.55, 0.9, 0.45, 0.58)),
    "chair": (
        (-0.25, 0.25, -0.25, 0.25, 0.4, 0.5), (-0.25, 0.25, 0.17, 0.25, 0.5, 1.0),
        *((x, x + _LEG, y, y + _LEG, 0.0, 0.4) for x in (-0.25, 0.16) for y in (-0.25, 0.16)),
    ),
    "lamp": ((-0.18, 0.18, -0.18, 0.18, 0.0, 0.06), (-0.04, 0.04, -0.04, 0.04, 0.06, 1.2), (-0.2, 0.2, -0.2, 0.2, 1.2, 1.5)),
    "shelf": (
        (-0.45, 0.45, 0.1, 0.15, 0.0, 1.6), (-0.5, -0.42, -0.15, 0.15, 0.0, 1.6), (0.42, 0.5, -0.15, 0.15, 0.0, 1.6),
        *((-0.42, 0.42, -0.15, 0.12, z, z + 0.06) for z in (0.0, 0.4, 0.8, 1.2, 1.54)),
    ),
    "sofa": (
        (-0.9, 0.9, -0.4, 0.4, 0.08, 0.42), (-0.9, 0.9, 0.2, 0.4, 0.42, 0.85),
        (-0.9, -0.72, -0.4, 0.4, 0.42, 0.62), (0.72, 0.9, -0.4, 0.4, 0.42, 0.62),
    ),
    "stool": (
        (-0.2, 0.2, -0.2, 0.2, 0.5, 0.6), *((x, x + 0.07, y, y + 0.07, 0.0, 0.5) for x in (-0.2, 0.13) for y in (-0.2, 0.13)),
    ),
    "table": (
        (-0.6, 0.6, -0.4, 0.4, 0.62, 0.72),
        *((x, x + _LEG, y, y + _LEG, 0.0, 0.62) for x in (-0.58, 0.49) for y in (-0.38, 0.29)),
    ),
}  # fmt: skip
"""By kind: what an artist blocks out in a minute. Metres, front towards −Y."""


@dataclass(frozen=True)
class Shape:
    """A triangle mesh, Z up, front towards −Y."""

    positions: NDArray[np.float32]  # [V,3]
    triangles: NDArray[np.int32]  # [F,3]


@dataclass(frozen=True)
class Texture:
    """Colours on a shape."""

    corner_uvs: NDArray[np.float32]  # [F,3,2]
    image: NDArray[np.uint8]  # [H,W,3] row 0 at the bottom


@dataclass(frozen=True)
class Subject:
    """A shape and what it is."""

    name: str
    kind: str
    noun: str
    shape: Shape


def held_out_subjects(cache: Path, models: Sequence[ModelRecord]) -> list[Subject]:
    """All held-out models of moderate size, the twelve kinds in turn, then the others."""
    folder = obtain_furniture(cache)
    known = {(model.archive, model.path): model for model in furniture_models(folder)}
    kept = [model for model in models if model.held_out and model.faces <= _MOST_FACES]
    subjects = []
    for record in sorted(kept, key=lambda model: _turn(kept, model)):
        with zipfile.ZipFile(folder / f"{record.archive}.sh3f") as archive:
            mesh = load_furniture(archive, known[record.archive, record.path])
        subjects.append(Subject(record.noun, record.kind, record.noun, _welded(mesh)))
    return subjects


def blob(shape: Shape) -> Shape:
    """What is left of a shape under thick clay: its voxels, filled, thickened by one, and smoothed."""
    points = surface_samples(shape)
    low, side = points.min(0), float(np.ptp(points, axis=0).max())
    cells = np.floor((points - low) / side * (_CELLS - 1e-3)).astype(np.int64)
    solid = np.zeros((_CELLS + 6,) * 3, bool)
    solid[tuple((cells + 3).T)] = True
    filled = np.asarray(ndimage.binary_fill_holes(ndimage.binary_dilation(solid)), np.bool_)
    corners, quads = _voxel_surface(filled)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    positions = smoothed(((corners - 3) * side / _CELLS + low).astype(np.float32), triangles, 6)
    return Shape(positions, triangles)


def boxes(kind: str) -> Shape:
    """The assembly of that kind in ``BOXES``, finely divided, so that smoothing rounds a box and does not crush it."""
    quads = np.array([[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]])
    box = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    positions = [[(b[i], b[2 + j], b[4 + k]) for k in (0, 1) for j in (0, 1) for i in (0, 1)] for b in BOXES[kind]]
    triangles = [box + 8 * number for number in range(len(positions))]
    whole = Shape(np.concatenate(positions).astype(np.float32), np.concatenate(triangles).astype(np.int32))
    return subdivided(subdivided(subdivided(whole)))


def subdivided(shape: Shape) -> Shape:
    """Every triangle in four, at the middles of its edges."""
    edges = np.sort(np.concatenate([shape.triangles[:, [0, 1]], shape.triangles[:, [1, 2]], shape.triangles[:, [2, 0]]]))
    ends, middle = np.unique(edges, axis=0, return_inverse=True)
    ab, bc, ca = len(shape.positions) + middle.reshape(3, -1)
    a, b, c = shape.triangles.T
    parts = [np.stack(corners, 1) for corners in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    positions = np.concatenate([shape.positions, shape.positions[ends].mean(1)])
    return Shape(positions.astype(np.float32), np.concatenate(parts).astype(np.int32))


def smoothed(positions: NDArray[np.float32], triangles: NDArray[np.int32], times: int) -> NDArray[np.float32]:
    """Every vertex moved half-way to its neighbours' mean, so many times."""
    for _ in range(times):
        positions = ((positions + _neighbour_mean(positions, triangles)) / 2).astype(np.float32)
    return positions


def vertex_normals(positions: NDArray[np.floating], triangles: NDArray[np.int32]) -> NDArray[np.float64]:
    """Area-weighted unit normals [V,3]."""
    a, b, c = (positions[triangles[:, corner]].astype(np.float64) for corner in range(3))
    total = np.zeros((len(positions), 3))
    for corner in range(3):
        np.add.at(total, triangles[:, corner], np.cross(b - a, c - a))
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def for_rendering(shape: Shape, texture: Texture | None) -> FurnitureMesh:
    """The shape as the training renderer takes it, mid grey without a texture, smooth all over."""
    used = shape.positions[np.unique(shape.triangles)].astype(np.float64)
    low, high = used.min(0), used.max(0)
    turned = _upright((shape.positions - (low + high) / 2) / (high - low).max())
    image = np.full((1, 1, 3), 128, np.uint8) if texture is None else texture.image[::-1]
    uvs = np.zeros((len(shape.triangles), 3, 2)) if texture is None else texture.corner_uvs
    opaque = np.concatenate([image, np.full((*image.shape[:2], 1), 255, np.uint8)], 2)
    return FurnitureMesh(
        positions=np.ascontiguousarray(turned),
        triangles=np.ascontiguousarray(shape.triangles),
        normals=np.ascontiguousarray(_upright(vertex_normals(shape.positions, shape.triangles))),
        corner_normals=np.ascontiguousarray(shape.triangles),
        uvs=np.ascontiguousarray(uvs.reshape(-1, 2), np.float64),
        corner_uvs=np.arange(3 * len(shape.triangles), dtype=np.int32).reshape(-1, 3),
        face_texture=np.zeros(len(shape.triangles), np.int32),
        textures=np.array([[0, image.shape[1], image.shape[0], 0]], np.int64),
        texels=np.ascontiguousarray(opaque.reshape(-1, 4), np.float64),
        materials=("",),
        parts=(),
        see_through=False,
    )


def _turn(models: Sequence[ModelRecord], model: ModelRecord) -> tuple[bool, int, str, str]:
    """The twelve kinds first, one of each, then the second of each, and so on."""
    same = sorted(other.path for other in models if other.kind == model.kind)
    return model.kind not in KINDS, same.index(model.path), model.kind, model.path


def _welded(mesh: FurnitureMesh) -> Shape:
    """Without unused vertices; Z up."""
    used, triangles = np.unique(mesh.triangles, return_inverse=True)
    x, y, z = mesh.positions[used].T
    return Shape(np.stack([x, -z, y], 1).astype(np.float32), triangles.reshape(-1, 3).astype(np.int32))


def _upright(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Z up, front −Y → Y up, front +Z, as the training renderer has it."""
    x, y, z = np.asarray(vectors, np.float64).T
    return np.stack([x, z, -y], 1)


def surface_samples(shape: Shape, seed: int = 0) -> NDArray[np.float64]:
    """Points [60000,3] spread evenly over the surface."""
    a, b, c = (shape.positions[shape.triangles[:, corner]].astype(np.float64) for corner in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    random = np.random.default_rng(seed)
    chosen = random.choice(len(area), _SAMPLES, p=area / area.sum())
    u, v = random.random((2, _SAMPLES, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    return a[chosen] + u * (b - a)[chosen] + v * (c - a)[chosen]


def _voxel_surface(solid: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Corners [V,3] and quads [F,4], wound outwards, of all faces between solid and empty cells."""
    faces = []
    for axis in range(3):
        following, after = (axis + 1) % 3, (axis + 2) % 3
        step, u, v = (np.eye(3, dtype=np.int64)[k] for k in (axis, following, after))
        for outwards in (1, -1):
            open_ = solid & ~np.roll(solid, -outwards, axis)
            base = np.argwhere(open_) + (step if outwards == 1 else 0)
            ring = (0 * u, u, u + v, v) if outwards == 1 else (0 * u, v, u + v, u)
            faces.append(np.stack([base + corner for corner in ring], 1))
    corners, quads = np.unique(np.concatenate(faces).reshape(-1, 3), axis=0, return_inverse=True)
    return corners, quads.reshape(-1, 4)


def _neighbour_mean(positions: NDArray[np.float32], triangles: NDArray[np.int32]) -> NDArray[np.float32]:
    total, count = np.zeros(positions.shape), np.zeros((len(positions), 1))
    for here, there in ((0, 1), (1, 2), (2, 0)):
        for one, other in ((here, there), (there, here)):
            np.add.at(total, triangles[:, one], positions[triangles[:, other]])
            np.add.at(count, triangles[:, one], 1)
    return np.where(count > 0, total / np.maximum(count, 1), positions).astype(np.float32)
