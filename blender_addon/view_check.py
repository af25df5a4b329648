"""Check Views under way: a little in each tick of the timer, so that Blender goes on answering.

It holds no object: the target is found again by its session's id when there is something to say of it.
"""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Literal

import bpy
import numpy as np
from mathutils.bvhtree import BVHTree

from . import camera_reading, coverage, face_selection, looked_at, properties, undo_steps
from ._protocol import recipe

Purpose = Literal["check", "select", "add"]
COLLECTION = "Maquette Cameras"
SLICE_SECS = 0.02
"""Of each tick."""
_BLIND = "No camera would see more: what is left faces down, or lies inside"


class ViewCheck:
    """What the views see of one target, and what is done about it."""

    def __init__(self, context: bpy.types.Context, thing: bpy.types.Object, purpose: Purpose) -> None:
        """Reads the mesh and the views. Raises MaquetteError where the scene's cameras cannot be used."""
        self.purpose: Purpose = purpose
        self.progress = 0.0
        """0..1"""
        self.is_done = False
        self.said = ""
        """What came of it, for the artist."""
        self.has_found = False
        """Whether there was anything to select or to add."""
        self._object_uid = thing.session_uid
        self._others = _others(context, thing)
        self._work = self._steps(context, looked_at.read(context, thing))

    def advance(self, context: bpy.types.Context, secs: float = SLICE_SECS) -> None:
        """Go on for so long, or to the end. Raises MaquetteError as the constructor does."""
        until = time.perf_counter() + secs
        while not self.is_done and time.perf_counter() < until:
            try:
                self.progress = next(self._work)
            except StopIteration:
                self.is_done = True

    def finish(self, context: bpy.types.Context) -> None:
        """Go on to the end."""
        while not self.is_done:
            self.advance(context, 1.0)

    def _steps(self, context: bpy.types.Context, mesh: looked_at.Triangles) -> Generator[float, None, None]:
        parts = 5 if self.purpose == "add" else 3
        shape = yield from coverage.in_parts(looked_at.shaping(mesh), 0, parts)
        veil = yield from coverage.in_parts(self._veil(context), 1, parts)
        found = yield from coverage.in_parts(self._look(context, shape, veil), 2, parts)
        directions = np.zeros((0, 3))
        if self.purpose == "add":
            directions = yield from coverage.in_parts(coverage.helping(shape, found.unseen, veil), 3, parts)
            self._add(context, shape, directions)
            found = yield from coverage.in_parts(self._look(context, shape, veil), 4, parts)
        self._tell(context, found, len(directions))

    def _veil(self, context: bpy.types.Context) -> Generator[float, None, tuple[BVHTree, ...]]:
        """What else hides from the artist's cameras. Of what was deleted meanwhile nothing."""
        found: tuple[BVHTree, ...] = ()
        for number, uid in enumerate(self._others):
            yield number / len(self._others)
            thing = next((one for one in context.scene.objects if one.session_uid == uid), None)
            if thing is not None:
                work = looked_at.planting(looked_at.read(context, thing, base=False))
                found += yield from coverage.in_parts(work, number, len(self._others))
        return found

    def _look(
        self, context: bpy.types.Context, shape: looked_at.Shape, veil: tuple[BVHTree, ...]
    ) -> Generator[float, None, coverage.Coverage]:
        settings = properties.settings(context.scene)
        cameras = camera_reading.read_cameras(context.scene) if settings.cameras != "ORBIT" else ()
        rig = recipe.CameraRig(cameras=cameras, orbit=settings.cameras != "SCENE")
        return coverage.looking(shape, coverage.views_of(rig, shape, veil))

    def _tell(self, context: bpy.types.Context, found: coverage.Coverage, added: int) -> None:
        target = self._target(context, len(found.seen))
        if target is None:
            return  # deleted meanwhile: there is nothing to say it of
        target.paint.unseen_report, target.paint.has_unseen = sentence(found), bool(found.unseen.any())
        self.said = target.paint.unseen_report
        self.has_found = target.paint.has_unseen
        if self.purpose == "add":
            self.has_found = added > 0
            self.said = f"{added} cameras were added. {self.said}" if added else _BLIND
        if self.purpose == "select" and self.has_found:
            face_selection.show(context, target.object, found.unseen)

    def _target(self, context: bpy.types.Context, faces: int) -> properties.MaquetteTarget | None:
        """Unless it is gone, or its faces have become others."""
        targets = properties.settings(context.scene).targets
        for one in targets:
            if one.object is not None and one.object.session_uid == self._object_uid:
                return one if len(one.object.data.polygons) == faces else None
        return None

    def _add(self, context: bpy.types.Context, shape: looked_at.Shape, directions: np.ndarray) -> None:
        target = self._target(context, len(shape.areas))
        if target is None:
            return
        for direction in directions:
            _add_camera(context, shape, direction, target.object.name)
        settings = properties.settings(context.scene)
        if len(directions) and settings.cameras == "ORBIT":
            settings.cameras = "BOTH"
        context.view_layer.update()


def _others(context: bpy.types.Context, thing: bpy.types.Object) -> list[int]:
    """Session ids of what stands beside a target and is sent with it: the other targets, and the surroundings if they are."""
    settings = properties.settings(context.scene)
    if settings.cameras == "ORBIT":
        return []
    targets = {one.object for one in settings.targets if one.object is not None}
    return [
        one.session_uid
        for one in context.scene.objects
        if one.type == "MESH"
        and one != thing
        and (one in targets or (settings.include_context and one.visible_get(view_layer=context.view_layer)))
    ]


def push_undo(check: ViewCheck) -> None:
    """One step for what a check changed from the timer, where no operator does it."""
    if check.has_found and check.purpose == "add":
        undo_steps.add_cameras()
    elif check.has_found and check.purpose != "check":
        undo_steps.select_unseen()


def sentence(found: coverage.Coverage) -> str:
    """What was found, for the panel."""
    count = int(np.count_nonzero(found.unseen))
    some = "" if found.looked_at.all() else f" ({int(found.looked_at.sum()):,} of {len(found.seen):,} faces were looked at)"
    if not count:
        return f"Every face is seen by some view{some}."
    return f"{count:,} faces, {1 - found.share:.0%} of the surface, are seen by no view{some}."


def _add_camera(context: bpy.types.Context, shape: looked_at.Shape, direction: np.ndarray, name: str) -> None:
    lens = bpy.data.cameras.new(f"Maquette {name}")
    lens.sensor_fit = "VERTICAL"
    lens.angle = coverage.fov_y()
    camera = bpy.data.objects.new(f"Maquette {name}", lens)
    _collection(context.scene).objects.link(camera)
    camera.matrix_world = coverage.world_from_camera(shape, direction)
    lens.clip_end = max(lens.clip_end, 10 * shape.longest)


def _collection(scene: bpy.types.Scene) -> bpy.types.Collection:
    found = next((one for one in scene.collection.children_recursive if one.name.startswith(COLLECTION)), None)
    if found is None:
        found = bpy.data.collections.new(COLLECTION)
        scene.collection.children.link(found)
    return found
