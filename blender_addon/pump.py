"""The one timer: hands the connection's events to the job, within a time budget. Tests and scripts call ``tick``."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import bpy

from . import jobs, map_arrival, preferences, view_check
from ._protocol import errors, messages
from .connection import Connection
from .traffic import Command, Event, Offline, Online, Previewed, Reconnect

BUDGET_SECS = 0.010
"""Of one tick, before previews; one preview more may follow."""
BUSY_SECS, IDLE_SECS, CHECKING_SECS = 0.03, 0.25, 0.005
"""Between two ticks: while a job runs, while there is nothing to do, while views are checked."""


class Runtime:
    """What lives as long as the extension is enabled, and is not saved with a file."""

    def __init__(self) -> None:
        self.welcome: messages.Welcome | None = None
        """The backend's greeting while it is connected."""
        self.offline: errors.MaquetteError | None = None
        """Why there is no connection, once known."""
        self.last_error: errors.MaquetteError | None = None
        self.job: jobs.LiveJob | None = None
        self.backend: subprocess.Popen[bytes] | None = None
        """The backend that this add-on started."""
        self.arrival: map_arrival.Arrival | None = None
        """The results whose maps are on their way into the file."""
        self.view_check: view_check.ViewCheck | None = None
        """Under way, a little in each tick."""
        self.closed: set[str] = set()
        """Jobs that ended in this session: undo may bring back their notes."""
        self.observers: list[Callable[[jobs.LiveJob], None]] = []
        """Called after each tick in which a running job had news: for scripts that show progress their own way."""
        self._connection: Connection | None = None

    def send(self, command: Command) -> None:
        """Ask something of the connection, which is opened if need be."""
        if self._connection is None:
            self._connection = Connection(
                preferences.connection_path(), remote_allowed=bool(getattr(bpy.app, "online_access", True))
            )
        self._connection.send(command)

    def reconnect(self) -> None:
        """Close the connection, if any, and open another by the connection file as it is now."""
        self.disconnect()
        self.send(Reconnect())
        if self.job is not None:
            jobs.follow(self, self.job)

    def disconnect(self) -> None:
        """End the connection's thread; jobs run on."""
        if self._connection is not None:
            self._connection.stop()
        self._connection = self.welcome = self.offline = None

    def tick(self, context: bpy.types.Context, budget_secs: float = BUDGET_SECS) -> bool:
        """Handle what has come; True when something changed. Never waits."""
        self._watch_backend()
        changed = jobs.advance_arrival(context, self) or self._advance_check(context)
        frames: dict[str, Previewed] = {}
        until = time.perf_counter() + budget_secs
        while self._connection is not None and time.perf_counter() < until:
            event = self._connection.take()
            if event is None:
                break
            changed = True
            if isinstance(event, Previewed):
                frames[event.frame.subject_id] = event  # the newest wins
            else:
                self._handle(context, event)
        for event in frames.values():
            jobs.show(context, self, event.frame)
        if changed and self.job is not None:
            for observer in self.observers:
                observer(self.job)
        return changed

    def _advance_check(self, context: bpy.types.Context) -> bool:
        check = self.view_check
        if check is None:
            return False
        try:
            check.advance(context)
        except errors.MaquetteError as error:  # a camera that was changed meanwhile
            self.view_check, self.last_error = None, error
            return True
        if check.is_done:
            self.view_check = None
            view_check.push_undo(check)
        return True

    def _handle(self, context: bpy.types.Context, event: Event) -> None:
        match event:
            case Online():
                self.welcome, self.offline = event.welcome, None
                jobs.resume(context, self)
            case Offline():
                self.welcome, self.offline = None, event.error
            case _:
                jobs.handle(context, self, event)

    def _watch_backend(self) -> None:
        """Say so when a backend that was started here ends before it answered."""
        if self.backend is None or self.backend.poll() is None:
            return
        status = self.backend.returncode
        self.backend = None
        if status not in (0, -15) and self.welcome is None:
            log = preferences.user_folder() / "backend" / "backend.log"
            self.last_error = errors.MaquetteError(
                errors.ErrorCode.UNREACHABLE,
                f"The backend ended with status {status}: {_last_line(log)}",
                f"Check Backend Python in the preferences. The whole log is {log}.",
            )

    @property
    def backend_is_starting(self) -> bool:
        """True between Start Backend and the first answer."""
        return self.backend is not None and self.backend.poll() is None and self.welcome is None


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1][:300] if lines else "it wrote nothing."


# Blender makes operators and panels itself, so they can be handed nothing: what they share has to be found here
_current: Runtime | None = None


def runtime() -> Runtime:
    """The running extension's state. Raises RuntimeError while it is disabled."""
    if _current is None:
        raise RuntimeError("Maquette is not enabled.")
    return _current


def start() -> None:
    """Called by ``register``."""
    global _current
    _current = Runtime()
    bpy.app.timers.register(_on_timer, first_interval=IDLE_SECS, persistent=True)


def stop() -> None:
    """Called by ``unregister``."""
    global _current
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    if _current is not None:
        _current.disconnect()
    _current = None


def _on_timer() -> float:
    now = runtime()
    if now.tick(bpy.context):
        _redraw()
    if now.view_check is not None:
        return CHECKING_SECS
    return BUSY_SECS if now.job is not None or now.backend_is_starting else IDLE_SECS


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()
