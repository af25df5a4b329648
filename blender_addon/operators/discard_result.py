"""Discard: remove the result and bring the original back."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false

import bpy

from .. import scene_writing
from .results import active_key_result, active_result


class MAQUETTE_OT_discard_result(bpy.types.Operator):
    """Remove the refined object and show again what it replaced"""

    bl_idname = "maquette.discard_result"
    bl_label = "Discard Result"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if active_result(context) is not None or active_key_result(context) is not None:
            return True
        cls.poll_message_set("Make a refined object active first")
        return False

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        carrier, result = active_key_result(context), active_result(context)
        if carrier is not None and carrier.mode != "OBJECT":
            self.report({"ERROR"}, f"Leave {carrier.mode.replace('_', ' ').title()} Mode first")
            return {"CANCELLED"}
        if carrier is not None:
            scene_writing.discard_key(context, carrier)
        elif result is not None:
            scene_writing.discard(context, result)
        else:
            return {"CANCELLED"}
        return {"FINISHED"}
