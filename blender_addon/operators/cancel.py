"""Cancel: end the job; the scene is as it was before."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportIncompatibleMethodOverride=false

import bpy

from .. import jobs, pump


class MAQUETTE_OT_cancel(bpy.types.Operator):
    """End the refinement and throw its work away; the originals come back"""

    bl_idname = "maquette.cancel"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if pump.runtime().job is not None:
            return True
        cls.poll_message_set("No refinement is running")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.end(context, pump.runtime(), keep=False)
        self.report({"INFO"}, "Cancelled; the originals are back")
        return {"FINISHED"}
