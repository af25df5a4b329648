"""Check UVs, Select Bad Faces, New UV Map: before a texture is made, of the chosen target."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import bpy
import numpy as np

from .. import face_selection, mesh_reading, paint_reading, properties, target_settings, uv_checks, uv_making
from .._protocol import errors


def chosen_target(context: bpy.types.Context) -> properties.MaquetteTarget | None:
    """The target that is chosen in the list, if its object is a mesh of this scene."""
    settings = properties.settings(context.scene)
    if not settings.active_target < len(settings.targets):
        return None
    target = settings.targets[settings.active_target]
    thing = target.object
    return target if thing is not None and thing.type == "MESH" and thing.users_scene else None


def poll_target(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """Says why not, where there is none."""
    if chosen_target(context) is None:
        cls.poll_message_set("Choose a target first")
        return False
    return True


def check(context: bpy.types.Context, target: properties.MaquetteTarget) -> tuple[uv_checks.Report, str]:
    """The report on the UV map of the mesh that is refined, and the map's name.

    Raises:
        MaquetteError: there is none, or the mesh cannot be read.
    """
    thing = target.object
    world = mesh_reading.world_from_object(context, thing)
    with mesh_reading.source_mesh(context, thing, base=target_settings.reads_base(target)) as source:
        found = mesh_reading.checked(thing.name, source, world)
        layer = source.uv_layers.active
        if found.corner_uvs is None or layer is None:
            raise errors.MaquetteError(
                errors.ErrorCode.INVALID_RECIPE, f"{thing.name} has no UV map.", "Press New UV Map, or unwrap it."
            )
        faces = paint_reading.uv_faces(source, found, paint_reading.polygon_of(source))
        return uv_checks.check(faces, texture_side(context, target)), layer.name


def texture_side(context: bpy.types.Context, target: properties.MaquetteTarget) -> int:
    """Pixels, of each tile."""
    own = target.paint.texture_size
    return int(properties.settings(context.scene).texture_size if own == "AUTO" else own)


class MAQUETTE_OT_check_uvs(bpy.types.Operator):
    """Look for overlaps, faces outside the square or without area, and blurred faces in the chosen target's UV map"""

    bl_idname = "maquette.check_uvs"
    bl_label = "Check UVs"
    bl_options = {"REGISTER"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_target(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        target = chosen_target(context)
        assert target is not None
        paint = target.paint
        try:
            report, layer = check(context, target)
        except errors.MaquetteError as error:
            paint.uv_report, paint.has_bad_faces = str(error), False
            self.report({"WARNING"}, str(error))
            return {"FINISHED"}
        said = uv_checks.sentences(report, target.object.name, layer, texture_side(context, target))
        paint.uv_report, paint.has_bad_faces = "\n".join(said), not report.is_sound
        self.report({"INFO"} if report.is_sound else {"WARNING"}, " ".join(said))
        return {"FINISHED"}


class MAQUETTE_OT_select_bad_faces(bpy.types.Operator):
    """Select the faces that a texture cannot be painted on, in Edit Mode"""

    bl_idname = "maquette.select_bad_faces"
    bl_label = "Select Bad Faces"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_target(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        target = chosen_target(context)
        assert target is not None
        try:
            report, _layer = check(context, target)
        except errors.MaquetteError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        bad = report.bad
        if len(bad) != len(target.object.data.polygons):
            self.report({"ERROR"}, "The mesh as displayed has other faces than the base mesh: apply the modifiers, or set Read to Base Mesh")
            return {"CANCELLED"}
        if not bad.any():
            self.report({"INFO"}, "All faces are sound")
            return {"CANCELLED"}
        face_selection.show(context, target.object, bad)
        self.report({"INFO"}, f"{int(np.count_nonzero(bad)):,} faces are selected")
        return {"FINISHED"}


class MAQUETTE_OT_make_uvs(bpy.types.Operator):
    """Add a UV map “Maquette UV” by Smart UV Project and make it the active one; your own UV maps stay as they are"""

    bl_idname = "maquette.make_uvs"
    bl_label = "New UV Map"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode != "OBJECT":
            cls.poll_message_set("Leave Edit Mode first")
            return False
        return poll_target(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        target = chosen_target(context)
        assert target is not None
        try:
            name = uv_making.make_uvs(context, target.object)
        except errors.MaquetteError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        target.paint.makes_uvs = False
        bpy.ops.maquette.check_uvs()
        self.report({"INFO"}, f"{target.object.name} has the UV map “{name}”")
        return {"FINISHED"}
