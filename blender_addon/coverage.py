"""Which faces no view will see, and the cameras that would. Of the base mesh as it stands in the world.

A refinement looks from all round at the orbit's elevations, and from the directions in which the artist's cameras see
the object, framed anew: where a camera stands on its line does not matter.
"""

# mathutils' stubs say that what a tree finds may be none
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

import bmesh
import bpy
import numpy as np
from mathutils import Matrix, Vector
from mathutils.bvhtree import BVHTree
from numpy.typing import NDArray

from . import mesh_reading
from ._protocol import recipe

Points = NDArray[np.float64]
Bools = NDArray[np.bool_]
MOST_CAMERAS = 6
"""That are offered: more see little more."""
_AZIMUTHS = 12
_LOWEST, _HIGHEST = math.radians(-10.0), math.radians(60.0)
"""Elevations outside of these no prior has seen: cameras beyond are turned to them."""
_DISTANCE = 2.1
"""Of a view from the middle, in longest sides."""
_CAMERA_DISTANCE = 2.6
"""Of a camera that is added: the whole shape is in its picture."""
_FOV_Y = math.radians(40.0)
_GRAZING = 0.1
"""Cosine to a face's normal: flatter views see next to nothing of it."""
_LARGE = 0.002
"""Share of the surface from which on a face is looked at in more places than its middle."""
_BUDGET_SECS = 2.0
_WORTH = 0.005
"""Share of the surface that a further camera must add."""


@dataclass(frozen=True)
class Shape:
    """What is looked at, in world space."""

    points: tuple[Points, ...]
    """[N,3] for each face: its middle first; of a large face some more, since parts of it may be hidden."""
    normals: Points
    """[P,3]"""
    areas: Points
    """[P]"""
    tree: BVHTree
    middle: Points
    """[3]"""
    longest: float


@dataclass(frozen=True)
class Coverage:
    """What the views see of it."""

    seen: Bools
    """[P]"""
    looked_at: Bools
    """[P]: all, unless time ran out."""
    share: float
    """Of the area that was looked at."""

    @property
    def unseen(self) -> Bools:
        """[P]: faces that no view sees, as far as was looked."""
        return self.looked_at & ~self.seen


def shape_of(context: bpy.types.Context, thing: bpy.types.Object) -> Shape:
    """The object's base mesh in world space."""
    world = Matrix(np.reshape(mesh_reading.world_from_object(context, thing), (4, 4)).tolist())
    made = bmesh.new()
    try:
        with mesh_reading.base_mesh(thing) as mesh:
            made.from_mesh(mesh)
        made.transform(world)
        if world.determinant() < 0:
            bmesh.ops.reverse_faces(made, faces=made.faces)
        made.normal_update()
        tree = BVHTree.FromBMesh(made)
        normals = np.array([face.normal for face in made.faces], np.float64).reshape(-1, 3)
        areas = np.array([face.calc_area() for face in made.faces], np.float64)
        large = _LARGE * float(areas.sum())
        points = tuple(_points(face, area > large) for face, area in zip(made.faces, areas, strict=True))
        places = np.array([vertex.co for vertex in made.verts if vertex.link_faces], np.float64).reshape(-1, 3)
    finally:
        made.free()
    low, high = (places.min(axis=0), places.max(axis=0)) if len(places) else (np.zeros(3), np.zeros(3))
    return Shape(points, normals, areas, tree, (low + high) / 2, max(float((high - low).max()), 1e-9))


def directions_of(rig: recipe.CameraRig, shape: Shape) -> Points:
    """Unit vectors [N,3] from the middle to where the views stand."""
    found: list[tuple[float, float]] = []
    if rig.orbit:
        low, high = rig.orbit_elevation_min, rig.orbit_elevation_max
        for elevation in (low, (low + high) / 2, high):
            found += [(math.tau * step / _AZIMUTHS, elevation) for step in range(_AZIMUTHS)]
    for camera in rig.cameras:
        eye = np.reshape(camera.world_from_camera, (4, 4))[:3, 3] - shape.middle
        flat = math.hypot(eye[0], eye[1])
        if flat or eye[2]:
            found.append((math.atan2(eye[1], eye[0]), float(np.clip(math.atan2(eye[2], flat), _LOWEST, _HIGHEST))))
    return np.array([_direction(*one) for one in found]).reshape(-1, 3)


def look(shape: Shape, directions: Points, chosen: Bools | None = None, budget_secs: float = _BUDGET_SECS) -> Coverage:
    """What is seen from ``directions`` [N,3]; only the ``chosen`` faces [P] are looked at, in any order."""
    until = time.perf_counter() + budget_secs
    wanted = np.flatnonzero(chosen) if chosen is not None else np.arange(len(shape.points))
    eyes = shape.middle + directions * (_DISTANCE * shape.longest)
    seen, looked_at = np.zeros(len(shape.points), bool), np.zeros(len(shape.points), bool)
    # scattered, so that what was looked at when time runs out stands for all
    for face in np.random.default_rng(0).permutation(wanted):
        if time.perf_counter() > until:
            break
        looked_at[face] = True
        turned_to = _facing(shape, int(face), eyes)
        seen[face] = any(_sees(shape, int(face), point, eye) for point in shape.points[face] for eye in turned_to)
    total = float(shape.areas[looked_at].sum())
    return Coverage(seen, looked_at, float(shape.areas[seen].sum()) / total if total else 1.0)


def helpful_directions(shape: Shape, unseen: Bools) -> Points:
    """Few directions [N,3] from which most of the unseen faces [P] are seen: always the one that adds most."""
    candidates = np.array([_direction(azimuth, elevation) for azimuth, elevation in _candidates()])
    views = [look(shape, one[None], unseen, _BUDGET_SECS / len(candidates)).seen for one in candidates]
    left, chosen = unseen.copy(), []
    for _ in range(MOST_CAMERAS):
        gains = [float(shape.areas[view & left].sum()) for view in views]
        best = int(np.argmax(gains))
        if gains[best] <= _WORTH * float(shape.areas.sum()):
            break
        chosen.append(candidates[best])
        left &= ~views[best]
    return np.array(chosen).reshape(-1, 3)


def world_from_camera(shape: Shape, direction: Points) -> Matrix:
    """A camera in this direction that has the whole shape in view."""
    eye = Vector((shape.middle + direction * (_CAMERA_DISTANCE * shape.longest)).tolist())
    placed = Vector((-direction).tolist()).to_track_quat("-Z", "Y").to_matrix().to_4x4()
    placed.translation = eye
    return placed


def fov_y() -> float:
    """Of such a camera, radians."""
    return _FOV_Y


def _candidates() -> Iterable[tuple[float, float]]:
    for elevation in (_LOWEST, 0.0, math.radians(20.0), math.radians(40.0), _HIGHEST):
        yield from ((math.tau * step / _AZIMUTHS, elevation) for step in range(_AZIMUTHS))


def _direction(azimuth: float, elevation: float) -> Points:
    flat = math.cos(elevation)
    return np.array([flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)])


def _facing(shape: Shape, face: int, eyes: Points) -> Points:
    """The eyes [N,3] that a face is turned to, the steepest first: they see it most probably."""
    away = eyes - shape.points[face][0]
    cosines = away @ shape.normals[face] / np.linalg.norm(away, axis=1)
    order = np.argsort(-cosines)
    return eyes[order[cosines[order] > _GRAZING]]


def _points(face: bmesh.types.BMFace, is_large: bool) -> Points:
    middle = np.array(face.calc_center_median(), np.float64)
    if not is_large:
        return middle[None]
    corners = np.array([vertex.co for vertex in face.verts], np.float64)
    return np.concatenate([middle[None], middle + (corners - middle) * 0.5, middle + (corners - middle) * 0.9])


def _sees(shape: Shape, face: int, point: Points, eye: Points) -> bool:
    lifted = point + shape.normals[face] * (1e-4 * shape.longest)
    away = eye - lifted
    distance = float(np.linalg.norm(away))
    return shape.tree.ray_cast(lifted.tolist(), (away / distance).tolist(), distance)[0] is None
