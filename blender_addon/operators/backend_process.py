"""Start and stop a backend on this machine, as a process of its own that outlives Blender."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import bpy

from .. import preferences, pump

START_TIMEOUT_SECS = 60.0


class MAQUETTE_OT_start_backend(bpy.types.Operator):
    """Start a backend on this machine; it goes on when Blender is closed"""

    bl_idname = "maquette.start_backend"
    bl_label = "Start Backend"
    bl_options = {"REGISTER"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        now = pump.runtime()
        if now.welcome is not None or now.backend_is_starting:
            cls.poll_message_set("A backend is running" if now.welcome else "The backend is starting")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        python = Path(bpy.path.abspath(preferences.get(context).backend_python))
        if not python.is_file():
            self.report({"ERROR"}, "Set Backend Python in the preferences to the backend's Python executable")
            return {"CANCELLED"}
        now = pump.runtime()
        now.last_error = None
        now.backend = start_process(python, preferences.home_path(), preferences.connection_path())
        now.reconnect()
        if bpy.app.background and not _await(context, now):
            self.report({"ERROR"}, str(now.last_error or now.offline or "The backend did not answer in time"))
            return {"CANCELLED"}
        self.report({"INFO"}, "The backend is starting")
        return {"FINISHED"}


class MAQUETTE_OT_stop_backend(bpy.types.Operator):
    """End the backend that was started here; a running job goes on at the next start"""

    bl_idname = "maquette.stop_backend"
    bl_label = "Stop Backend"
    bl_options = {"REGISTER"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if pump.runtime().backend is not None:
            return True
        cls.poll_message_set("No backend was started from this Blender")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        now = pump.runtime()
        if now.backend is not None:
            now.backend.terminate()
        now.disconnect()
        return {"FINISHED"}


def start_process(python: Path, home: Path, connection_file: Path) -> subprocess.Popen[bytes]:
    """``maquette_backend serve``, detached, its output in a log beside the connection file."""
    folder = preferences.user_folder() / "backend"
    for path in (folder, home, connection_file.parent):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    # an old file would name a backend that is gone
    connection_file.unlink(missing_ok=True)
    command = [str(python), "-m", "maquette_backend", "serve"]
    command += ["--home", str(home), "--connection-file", str(connection_file)]
    # Blender's own Python settings must not reach another Python
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    with (folder / "backend.log").open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=clean,
            start_new_session=True,
            creationflags=_creation_flags(),
        )


def _creation_flags() -> int:
    """Windows' way of detaching; elsewhere it is a session of its own."""
    if sys.platform == "win32":
        return subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    return 0


def _await(context: bpy.types.Context, now: pump.Runtime) -> bool:
    """Without a window there is nothing to keep alive: wait for the first answer."""
    until = time.monotonic() + START_TIMEOUT_SECS
    while now.welcome is None and now.backend is not None and time.monotonic() < until:
        now.tick(context)
        time.sleep(0.02)
    return now.welcome is not None
