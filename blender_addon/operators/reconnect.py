"""Reconnect: read the connection file again and try at once."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportIncompatibleMethodOverride=false

import bpy

from .. import jobs, pump


class MAQUETTE_OT_reconnect(bpy.types.Operator):
    """Read the connection file again, connect, and receive what waits for this scene"""

    bl_idname = "maquette.reconnect"
    bl_label = "Reconnect"
    bl_options = {"REGISTER"}  # noqa: RUF012

    def execute(self, context: bpy.types.Context) -> set[str]:
        now = pump.runtime()
        now.last_error = None
        now.reconnect()
        if jobs.recall(context.scene) is not None:
            self.report({"INFO"}, "Looking for the job of this scene")
        return {"FINISHED"}
