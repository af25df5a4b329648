"""Compare: show the original in place of the result, or the other way round."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportIncompatibleMethodOverride=false

import bpy

from .. import scene_writing
from .results import active_result


class MAQUETTE_OT_toggle_original(bpy.types.Operator):
    """Show the original in place of the refined object, or the other way round"""

    bl_idname = "maquette.toggle_original"
    bl_label = "Show Original / Result"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if active_result(context) is not None:
            return True
        cls.poll_message_set("Make a refined object active first")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        result = active_result(context)
        if result is None:
            return {"CANCELLED"}
        shown = "original" if scene_writing.toggle(context, result) else "result"
        self.report({"INFO"}, f"Showing the {shown}")
        return {"FINISHED"}
