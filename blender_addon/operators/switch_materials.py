"""Switch a result between its new material and those that its original has."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false, reportOptionalMemberAccess=false

import bpy

from .. import carrying
from .results import active_result


class MAQUETTE_OT_switch_materials(bpy.types.Operator):
    """Show the original's materials on the refined object, or its new one again"""

    bl_idname = "maquette.switch_materials"
    bl_label = "Switch Materials"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        result = active_result(context)
        if result is not None and carrying.ORIGINAL_MATERIAL in result.data.attributes and result.mode == "OBJECT":
            return True
        cls.poll_message_set("Make a refined object active whose original has materials, in Object Mode")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        result = active_result(context)
        if result is None:
            return {"CANCELLED"}
        originals = carrying.switch_materials(result.data)
        self.report({"INFO"}, "Showing the original's materials" if originals else "Showing the new material")
        return {"FINISHED"}
