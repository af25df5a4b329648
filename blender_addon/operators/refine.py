"""Refine: hand the targets to the backend. The pump shows and delivers; in background mode this waits for it.

Not a modal operator: Blender does not autosave while one runs, and a refinement takes minutes.
"""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportIncompatibleMethodOverride=false, reportInvalidTypeForm=false

import sys
import time

import bpy
from bpy.props import BoolProperty

from .. import jobs, pump
from .._protocol import errors

CONNECT_SECS = 8.0
REPORT_SECS = 1.0


class MAQUETTE_OT_refine(bpy.types.Operator):
    """Refine the targets; they change in the viewport while the backend works"""

    bl_idname = "maquette.refine"
    bl_label = "Refine"
    bl_options = {"REGISTER"}  # noqa: RUF012 (results push their own undo step when they arrive)

    wait: BoolProperty(
        name="Wait",
        description="Return when the results are in the scene. Always so in background mode",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if pump.runtime().job is not None:
            cls.poll_message_set("A refinement is running")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        now = pump.runtime()
        waiting = self.wait or bpy.app.background
        try:
            if now.welcome is None and waiting:
                _await_backend(context, now)
            job = jobs.start(context, now)
        except errors.MaquetteError as error:
            now.last_error = error
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if not waiting:
            return {"FINISHED"}
        _await_job(context, now, job)
        for note in job.notes:
            self.report({"INFO"}, note)
        if job.error is not None:
            self.report({"ERROR"}, str(job.error))
        return {"FINISHED"} if job.delivered else {"CANCELLED"}


def _await_backend(context: bpy.types.Context, now: pump.Runtime) -> None:
    """Until connected, or it is known why not, or it takes too long."""
    if not now.backend_is_starting:
        now.reconnect()
    until = time.monotonic() + CONNECT_SECS
    while now.welcome is None and time.monotonic() < until:
        now.tick(context)
        if now.offline is not None and not now.backend_is_starting:
            return
        time.sleep(0.02)


def _await_job(context: bpy.types.Context, now: pump.Runtime, job: jobs.LiveJob) -> None:
    """Until the job has ended, with a line each second unless an observer shows progress; Ctrl-C cancels it."""
    said_at, said, told = 0.0, "", (*job.said, *job.notices)
    try:
        while now.job is job:
            now.tick(context)
            line = "" if now.observers else describe(job)
            news = (*job.said, *job.notices)
            if news != told and not now.observers:
                _say(*(one for one in news if one not in told))
                told = news
            if line != said and time.monotonic() - said_at >= REPORT_SECS:
                said_at, said = time.monotonic(), line
                _say(line)
            time.sleep(0.01)
    except KeyboardInterrupt:
        jobs.end(context, now, keep=False)
        raise


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"Maquette: {line}\n")
    sys.stdout.flush()


def describe(job: jobs.LiveJob) -> str:
    """Stage, step, time left and loss, in one line."""
    done = job.progress
    if done is None:
        return (
            f"uploading {job.uploaded:.0%}" if job.state == "uploading" else f"{job.state}, {job.queue_position} ahead"
        )
    left = f"{int(done.eta_secs) // 60}:{int(done.eta_secs) % 60:02d} left"
    return f"{done.stage} {done.step}/{done.steps}, {left}, loss {done.loss:.4g}"
