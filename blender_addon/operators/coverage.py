"""Check Views, Add Cameras: which faces of the chosen target no view sees, and what would."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import bpy
import numpy as np

from .. import camera_reading, coverage, face_selection, properties
from .._protocol import errors, recipe
from .uv_tools import chosen_target, poll_target

COLLECTION = "Maquette Cameras"


def look(context: bpy.types.Context, thing: bpy.types.Object) -> tuple[coverage.Shape, coverage.Coverage]:
    """What the scene's views see of an object.

    Raises:
        MaquetteError: the scene's cameras cannot be used.
    """
    settings = properties.settings(context.scene)
    cameras = camera_reading.read_cameras(context.scene) if settings.cameras != "ORBIT" else ()
    rig = recipe.CameraRig(cameras=cameras, orbit=settings.cameras != "SCENE")
    shape = coverage.shape_of(context, thing)
    return shape, coverage.look(shape, coverage.directions_of(rig, shape))


def sentence(found: coverage.Coverage) -> str:
    """What was found, for the panel."""
    count = int(np.count_nonzero(found.unseen))
    some = "" if found.looked_at.all() else f" ({int(found.looked_at.sum()):,} of {len(found.seen):,} faces were looked at)"
    if not count:
        return f"Every face is seen by some view{some}."
    return f"{count:,} faces, {1 - found.share:.0%} of the surface, are seen by no view{some}."


class MAQUETTE_OT_check_views(bpy.types.Operator):
    """Look which faces of the chosen target no view will see: their texture is filled in from around them"""

    bl_idname = "maquette.check_views"
    bl_label = "Check Views"
    bl_options = {"REGISTER"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_target(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        target = chosen_target(context)
        assert target is not None
        try:
            _shape, found = look(context, target.object)
        except errors.MaquetteError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        target.paint.unseen_report, target.paint.has_unseen = sentence(found), bool(found.unseen.any())
        self.report({"INFO"}, sentence(found))
        return {"FINISHED"}


class MAQUETTE_OT_select_unseen(bpy.types.Operator):
    """Select the faces that no view will see, in Edit Mode"""

    bl_idname = "maquette.select_unseen"
    bl_label = "Select Unseen Faces"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_target(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        target = chosen_target(context)
        assert target is not None
        try:
            _shape, found = look(context, target.object)
        except errors.MaquetteError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if found.unseen.any():
            face_selection.show(context, target.object, found.unseen)
        self.report({"INFO"}, sentence(found))
        return {"FINISHED"} if found.unseen.any() else {"CANCELLED"}


class MAQUETTE_OT_add_cameras(bpy.types.Operator):
    """Add cameras that see the unseen faces, to a collection “Maquette Cameras”, and let the refinement use them"""

    bl_idname = "maquette.add_cameras"
    bl_label = "Add Cameras"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_target(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        target = chosen_target(context)
        assert target is not None
        thing = target.object
        try:
            shape, found = look(context, thing)
        except errors.MaquetteError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        directions = coverage.helpful_directions(shape, found.unseen)
        if not len(directions):
            self.report({"INFO"}, "No camera would see more: what is left faces down, or lies inside")
            return {"CANCELLED"}
        for direction in directions:
            _add(context, shape, direction, thing.name)
        settings = properties.settings(context.scene)
        if settings.cameras == "ORBIT":
            settings.cameras = "BOTH"
        bpy.ops.maquette.check_views()
        self.report({"INFO"}, f"{len(directions)} cameras were added. {target.paint.unseen_report}")
        return {"FINISHED"}


def _add(context: bpy.types.Context, shape: coverage.Shape, direction: np.ndarray, name: str) -> None:
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
