"""Remove: the target in the list's active line is no target any more."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportIncompatibleMethodOverride=false

import bpy

from .. import properties


class MAQUETTE_OT_remove_target(bpy.types.Operator):
    """Take the chosen object off the list; the object itself stays as it is"""

    bl_idname = "maquette.remove_target"
    bl_label = "Remove Target"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        settings = properties.settings(context.scene)
        if 0 <= settings.active_target < len(settings.targets):
            return True
        cls.poll_message_set("The list of targets is empty")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = properties.settings(context.scene)
        settings.targets.remove(settings.active_target)
        settings.active_target = max(0, min(settings.active_target, len(settings.targets) - 1))
        return {"FINISHED"}
