"""The panel at the top: targets, Refine, what happens, and what went wrong."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false

import bpy

from .. import in_place, jobs, preferences, properties, pump, scene_writing
from .._protocol import errors
from ..operators.refine import describe
from ..operators.results import active_key_result, active_result
from .targets import draw_targets
from .text import draw_lines

Code = errors.ErrorCode
_FIX = {
    Code.UNREACHABLE: ("maquette.start_backend", "PLAY"),
    Code.NOT_AUTHORISED: ("maquette.reconnect", "FILE_REFRESH"),
    Code.TIMED_OUT: ("maquette.reconnect", "FILE_REFRESH"),
    Code.TARGET_GONE: ("maquette.reconnect", "FILE_REFRESH"),
    Code.NO_TARGET: ("maquette.add_targets", "ADD"),
}
"""The operator that does what an error's remedy says, where one does."""


_STAGES = {"geometry": "Shape", "appearance": "Colour"}
"""What the panel's own settings call a stage."""


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
            row = layout.row()
            row.scale_y = 1.5
            row.enabled = now.welcome is not None
            row.operator("maquette.refine", icon="MOD_REMESH")
        else:
            _draw_job(layout, context, now.job)
        if now.welcome is None:
            _draw_missing_backend(layout, context, now)
        if now.last_error is not None:
            draw_error(layout, now.last_error, context)
        if now.job is None:
            _draw_result(layout, context)


def _draw_job(layout: bpy.types.UILayout, context: bpy.types.Context, job: jobs.LiveJob) -> None:
    done = job.progress
    factor = done.step / max(done.steps, 1) if done else job.uploaded * 0.05
    layout.progress(factor=factor, type="BAR", text=short_progress(job))
    row = layout.row(align=True)
    row.operator("maquette.stop_and_keep", icon="CHECKMARK")
    row.operator("maquette.cancel", icon="X")
    for line in (*job.said, *job.notices):
        draw_lines(layout, context, line, icon="INFO")


def short_progress(job: jobs.LiveJob) -> str:
    """Stage, step and time left, short enough for a sidebar of usual width."""
    done = job.progress
    if done is None:
        return describe(job).capitalize()
    left = f"{int(done.eta_secs) // 60}:{int(done.eta_secs) % 60:02d} left"
    return f"{_STAGES.get(done.stage, done.stage.capitalize())} {done.step}/{done.steps}, {left}"


def _draw_missing_backend(layout: bpy.types.UILayout, context: bpy.types.Context, now: pump.Runtime) -> None:
    """Why Refine is grey, or a job stands still; and the way out."""
    if now.backend_is_starting:
        layout.label(text="The backend is starting", icon="TIME")
        return
    if now.offline is not None and now.offline.code is not Code.UNREACHABLE:
        draw_error(layout, now.offline, context)
        return
    box = layout.box()
    chosen = preferences.get(context)
    if now.job is not None:
        text = "The backend does not answer. The job goes on once it is back."
    elif chosen.backend_python:
        text = "No backend is connected."
    else:
        text = "No backend is connected. Choose its Python once, then start it."
    draw_lines(box, context, text, icon="UNLINKED")
    if not chosen.backend_python:
        box.prop(chosen, "backend_python", text="Python")
    row = box.row(align=True)
    row.operator("maquette.start_backend", icon="PLAY")
    row.operator("maquette.reconnect", text="", icon="FILE_REFRESH")


def draw_error(layout: bpy.types.UILayout, error: errors.MaquetteError, context: bpy.types.Context) -> None:
    """What went wrong, what to do, and a button that does it."""
    box = layout.box()
    draw_lines(box, context, error.message, icon="ERROR")
    draw_lines(box, context, error.remedy, icon="BLANK1")
    fix = _FIX.get(error.code)
    if fix is not None:
        box.operator(fix[0], icon=fix[1])


def _draw_result(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    carrier, result = active_key_result(context), active_result(context)
    if carrier is None and result is None:
        return
    row = layout.row(align=True)
    hidden = in_place.shows_original(carrier) if carrier is not None else result.hide_viewport
    if hidden:
        row.operator("maquette.toggle_original", text="Show Result", icon="HIDE_OFF")
    else:
        row.operator("maquette.toggle_original", text="Show Original", icon="HIDE_OFF")
    row.operator("maquette.discard_result", icon="TRASH")
    said = properties.notes(carrier).keys[-1].said if carrier is not None else result.get(scene_writing.SAID)
    if isinstance(said, str) and said:
        draw_lines(layout, context, said, icon="INFO")
