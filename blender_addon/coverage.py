"""Which faces no view will see, and the cameras that would. Of the base mesh as it stands in the world.

A refinement looks from all round at the orbit's elevations, and from the directions in which the artist's cameras see
the object, framed anew: where a camera stands on its line does not matter.
"""

# mathutils' stubs say that what a tree finds may be none
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TypeVar

import bpy
import numpy as np
from mathutils import Matrix, Vector
from mathutils.bvhtree import BVHTree
from numpy.typing import NDArray

from . import looked_at
from ._protocol import recipe
from .looked_at import Points, Shape

Bools = NDArray[np.bool_]
Found = TypeVar("Found")
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
BUDGET_SECS = 2.0
"""Of one look, and of the search for helpful cameras: work, not waiting."""
_WORTH = 0.005
"""Share of the surface that a further camera must add."""


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
    """The object's base mesh in world space, at once."""
    return finished(looked_at.shaping(looked_at.read(context, thing)))


@dataclass(frozen=True)
class Views:
    """Where is looked from."""

    directions: Points
    """[N,3] unit, from the middle of the shape"""
    distances: Points
    """[N]: how far off a camera stands that may have something before it; 0 for the orbit's views, which nothing hides"""
    veil: tuple[BVHTree, ...] = ()
    """What else stands in the scene."""


def views_of(rig: recipe.CameraRig, shape: Shape, veil: tuple[BVHTree, ...] = ()) -> Views:
    """The orbit's views and the cameras', as a refinement has them."""
    directions = directions_of(rig, shape)
    eyes = [np.reshape(camera.world_from_camera, (4, 4))[:3, 3] - shape.middle for camera in rig.cameras]
    far = [float(np.linalg.norm(eye)) for eye in eyes if eye.any()]
    return Views(directions, np.array([0.0] * (len(directions) - len(far)) + far), veil)


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
        if eye.any():
            found.append((math.atan2(eye[1], eye[0]), float(np.clip(math.atan2(eye[2], flat), _LOWEST, _HIGHEST))))
    return np.array([_direction(*one) for one in found]).reshape(-1, 3)


def look(shape: Shape, directions: Points, chosen: Bools | None = None, budget_secs: float = BUDGET_SECS) -> Coverage:
    """What is seen from ``directions`` [N,3], past nothing else; only the ``chosen`` faces [P] are looked at, in any order."""
    return finished(looking(shape, Views(directions, np.zeros(len(directions))), chosen, budget_secs))


def looking(
    shape: Shape, views: Views, chosen: Bools | None = None, budget_secs: float = BUDGET_SECS
) -> Generator[float, None, Coverage]:
    """``look``, a face at a time: yields the share that is done, and counts only its own time."""
    count = len(shape.areas)
    wanted = np.flatnonzero(chosen) if chosen is not None else np.arange(count)
    eyes = shape.middle + views.directions * (_DISTANCE * shape.longest)
    cameras = shape.middle + views.directions * views.distances[:, None]
    hidden = (views.distances > 0) & bool(views.veil)
    seen, looked_at = np.zeros(count, bool), np.zeros(count, bool)
    spent = 0.0
    # scattered, so that what was looked at when time runs out stands for all
    for number, face in enumerate(np.random.default_rng(0).permutation(wanted).tolist()):
        if spent > budget_secs:
            break
        begun = time.thread_time()  # a busy machine does not make it see less
        looked_at[face] = True
        places = range(shape.starts[face], shape.starts[face + 1])
        seen[face] = any(
            _sees(shape, place, eyes[one]) and not (hidden[one] and _veiled(shape, place, cameras[one], views.veil))
            for place in places
            for one in _facing(shape, place, eyes)
        )
        spent += time.thread_time() - begun
        yield min(1.0, max(number / len(wanted), spent / budget_secs))
    total = float(shape.areas[looked_at].sum())
    return Coverage(seen, looked_at, float(shape.areas[seen].sum()) / total if total else 1.0)


def finished(work: Generator[float, None, Found]) -> Found:
    """Run it to its end."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def helping(shape: Shape, unseen: Bools, veil: tuple[BVHTree, ...] = ()) -> Generator[float, None, Points]:
    """Few directions [N,3] from which most of the unseen faces [P] are seen past the ``veil``: always the one that adds most."""
    distance = np.array([_CAMERA_DISTANCE * shape.longest])
    candidates = np.array([_direction(azimuth, elevation) for azimuth, elevation in _candidates()])
    views: list[Bools] = []
    for one in candidates:
        view = yield from in_parts(
            looking(shape, Views(one[None], distance, veil), unseen, BUDGET_SECS / len(candidates)), len(views), len(candidates)
        )
        views.append(view.seen)
    left, chosen = unseen.copy(), []
    for _ in range(MOST_CAMERAS):
        gains = [float(shape.areas[view & left].sum()) for view in views]
        best = int(np.argmax(gains))
        if gains[best] <= _WORTH * float(shape.areas.sum()):
            break
        chosen.append(candidates[best])
        left &= ~views[best]
    return np.array(chosen).reshape(-1, 3)


def in_parts(work: Generator[float, None, Found], part: int, parts: int) -> Generator[float, None, Found]:
    """The same, as one of several parts of a whole."""
    while True:
        try:
            share = next(work)
        except StopIteration as end:
            return end.value
        yield (part + share) / parts


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


def _facing(shape: Shape, place: int, eyes: Points) -> list[int]:
    """Which of the eyes [N,3] the surface is turned to there, the steepest first: they see it most probably."""
    away = eyes - shape.places[place]
    cosines = away @ shape.upright[place] / np.linalg.norm(away, axis=1)
    order = np.argsort(-cosines)
    return order[cosines[order] > _GRAZING].tolist()


def _sees(shape: Shape, place: int, eye: Points) -> bool:
    return looked_at.is_free(shape.trees, _lifted(shape, place), eye)


def _veiled(shape: Shape, place: int, camera: Points, veil: tuple[BVHTree, ...]) -> bool:
    return not looked_at.is_free(veil, _lifted(shape, place), camera)


def _lifted(shape: Shape, place: int) -> Points:
    """A little off the surface, which would hide itself."""
    return shape.places[place] + shape.upright[place] * (1e-4 * shape.longest)
