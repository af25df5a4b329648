"""The panel at the top: targets, Refine, what happens, and what went wrong."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false

import textwrap

import bpy

from .. import jobs, properties, pump
from .._protocol import errors
from ..operators.refine import describe
from ..operators.results import active_result
from .targets import draw_targets

Code = errors.ErrorCode
_FIX = {
    Code.UNREACHABLE: ("maquette.start_backend", "PLAY"),
    Code.NOT_AUTHORISED: ("maquette.reconnect", "FILE_REFRESH"),
    Code.TIMED_OUT: ("maquette.reconnect", "FILE_REFRESH"),
    Code.TARGET_GONE: ("maquette.reconnect", "FILE_REFRESH"),
    Code.NO_TARGET: ("maquette.add_targets", "ADD"),
}
"""The operator that does what an error's remedy says, where one does."""


class MAQUETTE_PT_main(bpy.types.Panel):
    """Refine coarse meshes"""

    bl_label = "Maquette"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Maquette"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = properties.settings(context.scene)
        now = pump.runtime()
        body = layout.column()
        body.enabled = now.job is None
        draw_targets(body, settings)
        if now.job is None:
            _draw_refine(layout, now)
        else:
            _draw_job(layout, now.job)
        if now.last_error is not None:
            draw_error(layout, now.last_error)
        _draw_result(layout, context)


def _draw_refine(layout: bpy.types.UILayout, now: pump.Runtime) -> None:
    row = layout.row()
    row.scale_y = 1.5
    row.enabled = now.welcome is not None
    row.operator("maquette.refine", icon="MOD_REMESH")
    if now.backend_is_starting:
        layout.label(text="The backend is starting", icon="TIME")
    elif now.welcome is None:
        layout.operator("maquette.start_backend", icon="PLAY")


def _draw_job(layout: bpy.types.UILayout, job: jobs.LiveJob) -> None:
    done = job.progress
    factor = done.step / max(done.steps, 1) if done else job.uploaded * 0.05
    layout.progress(factor=factor, type="BAR", text=describe(job))
    row = layout.row(align=True)
    row.operator("maquette.stop_and_keep", icon="CHECKMARK")
    row.operator("maquette.cancel", icon="X")


def draw_error(layout: bpy.types.UILayout, error: errors.MaquetteError) -> None:
    """What went wrong, what to do, and a button that does it."""
    box = layout.box()
    for index, line in enumerate(textwrap.wrap(error.message, 44)):
        box.label(text=line, icon="ERROR" if index == 0 else "BLANK1")
    for line in textwrap.wrap(error.remedy, 44):
        box.label(text=line, icon="BLANK1")
    fix = _FIX.get(error.code)
    if fix is not None:
        box.operator(fix[0], icon=fix[1])


def _draw_result(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    if active_result(context) is None:
        return
    row = layout.row(align=True)
    row.operator("maquette.toggle_original", icon="HIDE_OFF")
    row.operator("maquette.discard_result", icon="TRASH")
