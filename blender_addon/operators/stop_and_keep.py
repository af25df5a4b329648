"""Stop and Keep: end the job early with what it has."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportIncompatibleMethodOverride=false

import bpy

from .. import jobs, pump


class MAQUETTE_OT_stop_and_keep(bpy.types.Operator):
    """End the refinement now and keep what it has reached"""

    bl_idname = "maquette.stop_and_keep"
    bl_label = "Stop and Keep"
    bl_options = {"REGISTER"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        job = pump.runtime().job
        if job is not None and job.state == "running":
            return True
        cls.poll_message_set("The refinement is stopping" if job else "No refinement is running")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        jobs.end(context, pump.runtime(), keep=True)
        return {"FINISHED"}
