"""Compare: show the original in place of the result, or the other way round."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportIncompatibleMethodOverride=false

import bpy

from .. import in_place, scene_writing
from .results import active_key_result, active_result


class MAQUETTE_OT_toggle_original(bpy.types.Operator):
    """Show the original in place of the refined object, or the other way round"""

    bl_idname = "maquette.toggle_original"
    bl_label = "Show Original / Result"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if active_result(context) is not None or active_key_result(context) is not None:
            return True
        cls.poll_message_set("Make a refined object active first")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        carrier, result = active_key_result(context), active_result(context)
        if carrier is not None:
            original = in_place.toggle(carrier)
        elif result is not None:
            original = scene_writing.toggle(context, result)
        else:
            return {"CANCELLED"}
        shown = "original" if original else "result"
        self.report({"INFO"}, f"Showing the {shown}")
        return {"FINISHED"}
