"""A mesh as it is looked at: places on its faces, and trees that tell what stands in a view's way. Made a little at a time."""

# mathutils' stubs say that what a tree finds may be none
# pyright: reportReturnType=false, reportArgumentType=false

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils.bvhtree import BVHTree
from numpy.typing import NDArray

from . import mesh_reading

Points = NDArray[np.float64]
_LARGE = 0.002
"""Share of the surface from which on a face is looked at in more places than its triangles' middles."""
_MOST_PLACES = 16
"""At which one face is looked at: it then takes a few milliseconds at most."""
_NEARER = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4], [18, 1, 1], [1, 18, 1], [1, 1, 18]], np.float64)
"""Weights of a triangle's corners at its middle, and at places nearer to them."""
_TREE_TRIANGLES = 20_000
"""Of one tree: it then takes some twenty to forty milliseconds to make, most of them for lists that Blender reads."""


@dataclass(frozen=True)
class Triangles:
    """A base mesh as it stands in the world."""

    positions: Points
    """[V,3]"""
    triangles: NDArray[np.int32]
    """[F,3], counter-clockwise seen from outside"""
    owners: NDArray[np.int32]
    """[F]: the face of each"""
    faces: int


@dataclass(frozen=True)
class Shape:
    """What is looked at, in world space."""

    places: Points
    """[N,3]: where faces are looked at, each face's in a row. They lie on its triangles: a bent face's middle may not."""
    upright: Points
    """[N,3]: the triangles' normals there."""
    starts: NDArray[np.intp]
    """[P+1]: where each face's places begin."""
    normals: Points
    """[P,3]"""
    areas: Points
    """[P]"""
    trees: tuple[BVHTree, ...]
    """All triangles, so many in each."""
    middle: Points
    """[3]"""
    longest: float


def is_free(trees: Sequence[BVHTree], start: Points, end: Points) -> bool:
    """Whether nothing of the ``trees`` is met on the way from one point [3] to another."""
    away = end - start
    distance = float(np.linalg.norm(away))
    if not distance:
        return True
    origin, direction = start.tolist(), (away / distance).tolist()
    return all(tree.ray_cast(origin, direction, distance)[0] is None for tree in trees)


def read(context: bpy.types.Context, thing: bpy.types.Object, *, base: bool = True) -> Triangles:
    """The object's base mesh, or what is seen of it, modifiers included."""
    world = np.reshape(mesh_reading.world_from_object(context, thing), (4, 4)).astype(np.float64)
    with mesh_reading.source_mesh(context, thing, base=base) as mesh:
        positions = mesh_reading.positions_of(mesh).astype(np.float64) @ world[:3, :3].T + world[:3, 3]
        triangles, _loops = mesh_reading.triangle_corners(mesh)
        owners = np.zeros(len(triangles), np.int32)
        mesh.loop_triangles.foreach_get("polygon_index", owners)
        count = len(mesh.polygons)
    if np.linalg.det(world[:3, :3]) < 0:
        triangles = triangles[:, ::-1]
    return Triangles(positions, triangles, owners, count)


def shaping(mesh: Triangles) -> Generator[float, None, Shape]:
    """The shape of it, some tens of milliseconds of work at a time: yields the share that is done."""
    corners = mesh.positions[mesh.triangles]
    doubled = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = np.stack([np.bincount(mesh.owners, doubled[:, axis], mesh.faces) for axis in range(3)], axis=1)
    areas = np.bincount(mesh.owners, np.linalg.norm(doubled, axis=1) / 2, mesh.faces)
    yield 0.1
    places, upright, starts = _places(corners, unit(doubled), mesh.owners, areas)
    yield 0.2
    used = corners.reshape(-1, 3)
    low, high = (used.min(axis=0), used.max(axis=0)) if len(used) else (np.zeros(3), np.zeros(3))
    yield 0.3
    trees = yield from planting(mesh, 0.3)
    longest = max(float((high - low).max()), 1e-9)
    return Shape(places, upright, starts, unit(summed), areas, trees, (low + high) / 2, longest)


def planting(mesh: Triangles, begun: float = 0.0) -> Generator[float, None, tuple[BVHTree, ...]]:
    """Trees of all triangles, one more at a time: yields the share that is done, from ``begun`` on."""
    spread = np.ptp(mesh.positions, axis=0) if len(mesh.positions) else np.zeros(3)
    trees: tuple[BVHTree, ...] = ()
    # in slabs along the longest side: a view's line then passes by most of the trees
    order = np.argsort(mesh.positions[mesh.triangles[:, 0], int(np.argmax(spread))])
    for first in range(0, len(order), _TREE_TRIANGLES):
        yield begun + (1 - begun) * first / len(order)
        trees += (_tree(mesh.positions, mesh.triangles[order[first : first + _TREE_TRIANGLES]]),)
    return trees


def unit(vectors: Points) -> Points:
    """[N,3] of length 1; zero stays zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)


def _tree(positions: Points, triangles: NDArray[np.int32]) -> BVHTree:
    own, index = np.unique(triangles, return_inverse=True)
    return BVHTree.FromPolygons(positions[own].tolist(), index.reshape(-1, 3).tolist(), all_triangles=True)


def _places(
    corners: Points, normals: Points, owners: NDArray[np.int32], areas: Points
) -> tuple[Points, Points, NDArray[np.intp]]:
    """Where faces are looked at, the normals there, and where each face's begin. ``corners`` [F,3,3], ``owners`` [F]."""
    large = (areas > _LARGE * areas.sum())[owners]
    inside = _NEARER / _NEARER.sum(1, keepdims=True)
    middles, more = corners.mean(axis=1), np.einsum("wk,fkj->fwj", inside[1:], corners[large])
    places = np.concatenate([middles, more.reshape(-1, 3)])
    triangles = np.concatenate([np.arange(len(corners)), np.flatnonzero(large).repeat(len(inside) - 1)])
    order = np.argsort(owners[triangles], kind="stable")
    places, triangles = places[order], triangles[order]
    starts = np.searchsorted(owners[triangles], np.arange(len(areas) + 1))
    rank = np.arange(len(places)) - starts[owners[triangles]]
    count = np.diff(starts)[owners[triangles]]
    # of a face with very many, some that are spread over it
    kept = (count <= _MOST_PLACES) | (rank * _MOST_PLACES // count != (rank - 1) * _MOST_PLACES // count)
    places, triangles = places[kept], triangles[kept]
    return places, normals[triangles], np.searchsorted(owners[triangles], np.arange(len(areas) + 1))
