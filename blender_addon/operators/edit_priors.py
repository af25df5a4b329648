"""Add and remove: lines of the lists of further priors and of ControlNets."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportIncompatibleMethodOverride=false, reportInvalidTypeForm=false

import bpy
from bpy.props import EnumProperty, IntProperty

from .. import prior_settings


class MAQUETTE_OT_add_prior(bpy.types.Operator):
    """Add a line, in which a model of the backend's list can be chosen"""

    bl_idname = "maquette.add_prior"
    bl_label = "Add Model"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    kind: EnumProperty(name="Kind", items=prior_settings.LISTS)

    def execute(self, context: bpy.types.Context) -> set[str]:
        lines = getattr(prior_settings.settings(context.scene), self.kind)
        if len(lines) >= prior_settings.MOST[self.kind]:
            self.report({"WARNING"}, f"There can be at most {prior_settings.MOST[self.kind]}")
            return {"CANCELLED"}
        lines.add()
        return {"FINISHED"}


class MAQUETTE_OT_remove_prior(bpy.types.Operator):
    """Remove this line"""

    bl_idname = "maquette.remove_prior"
    bl_label = "Remove Model"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    kind: EnumProperty(name="Kind", items=prior_settings.LISTS)
    index: IntProperty(name="Line", min=0)

    def execute(self, context: bpy.types.Context) -> set[str]:
        lines = getattr(prior_settings.settings(context.scene), self.kind)
        if self.index >= len(lines):
            return {"CANCELLED"}
        lines.remove(self.index)
        return {"FINISHED"}
