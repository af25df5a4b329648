"""The hand and the eye of the windowed test: real pointer and keys by xdotool, pictures, and a stopwatch."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy

HERE = Path(__file__).resolve().parent
PACKAGE = "bl_ext.user_default.maquette"
LONG_MILLIS = 150.0
Steps = Iterator[None]


def now() -> Any:
    """The extension's running state."""
    return sys.modules[f"{PACKAGE}.pump"].runtime()


@dataclass
class Watch:
    """How long the main thread did not come back to a 20 ms timer, and how long the add-on itself kept it."""

    gaps_millis: dict[str, list[float]] = field(default_factory=dict)
    ticks_millis: dict[str, list[float]] = field(default_factory=dict)
    long_gaps: list[str] = field(default_factory=list)
    """Those while a job runs, and where in it."""
    phase: str = ""
    """Nothing is measured without one: the scenario's own work would be."""
    left_at: float = 0.0

    def enter(self) -> None:
        """The timer fires."""
        if self.phase and self.left_at:
            delivery = self.phase == "job" and now().job is None
            millis = (time.perf_counter() - self.left_at) * 1e3
            self._note(self.gaps_millis, millis, delivery)
            job = now().job
            if millis > LONG_MILLIS and job is not None and job.progress is not None:
                self.long_gaps.append(f"{millis:.0f} ms at preview {job.previews} ({job.progress.stage})")

    def _note(self, kept: dict[str, list[float]], millis: float, delivery: bool) -> None:
        phase = "delivery" if delivery else self.phase
        kept.setdefault(phase, []).append(millis)

    def leave(self) -> None:
        """The timer's work is done; a phase begun in it counts from here."""
        self.left_at = time.perf_counter()

    def wrap_tick(self, kind: Any) -> None:
        """Measure the add-on's own work too."""
        tick = kind.tick

        def timed(*arguments: Any, **named: Any) -> bool:
            job, start = now().job, time.perf_counter()
            try:
                return tick(*arguments, **named)
            finally:
                if self.phase:
                    millis = (time.perf_counter() - start) * 1e3
                    self._note(self.ticks_millis, millis, job is not None and now().job is None)

        kind.tick = timed


WATCH = Watch()


# ---- waiting --------------------------------------------------------------------------------------
def until(done: Callable[[], object], what: str, secs: float = 30.0) -> Steps:
    """Let the window live until something is so."""
    end = time.monotonic() + secs
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {secs} s for {what}")
        yield


def rest(secs: float) -> Steps:
    """Let the window live for a while."""
    end = time.monotonic() + secs
    while time.monotonic() < end:
        yield


def command(*words: str) -> Steps:
    """Another program, while the window lives on."""
    running = subprocess.Popen(words)
    yield from until(lambda: running.poll() is not None, words[0])
    if running.returncode != 0:
        raise RuntimeError(f"{words} ended with status {running.returncode}")


def shot(name: str) -> Steps:
    """A picture of the whole screen. It stops the screen meanwhile, so nothing is measured."""
    yield from rest(0.4)
    phase, WATCH.phase = WATCH.phase, ""
    yield from command("import", "-window", "root", str(HERE / "shots" / f"{name}.png"))
    yield from rest(0.2)
    WATCH.phase = phase


# ---- the window -----------------------------------------------------------------------------------
def viewport() -> tuple[Any, Any, Any]:
    """Window, area and area's sidebar of the 3D viewport."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    return window, area, next(region for region in area.regions if region.type == "UI")


def main_region() -> Any:
    """The region in which the scene is drawn."""
    return next(region for region in viewport()[1].regions if region.type == "WINDOW")


def point(x: float, y: float) -> tuple[str, str]:
    """A place in the window (origin bottom left) as xdotool counts (top left)."""
    return str(int(x)), str(int(bpy.context.window_manager.windows[0].height - y))


def over_viewport() -> Steps:
    """The pointer to the left half of the scene: keys go to where it is."""
    region = main_region()
    yield from command("xdotool", "mousemove", *point(region.x + region.width * 0.3, region.y + region.height * 0.5))
    yield from rest(0.2)


def key(name: str) -> Steps:
    """A real key press over the viewport."""
    yield from over_viewport()
    yield from command("xdotool", "key", name)
    yield from rest(0.6)


def hovered() -> str:
    """What the button under the pointer does or sets, in Python; empty over none."""
    window, area, region = viewport()
    bpy.context.window_manager.clipboard = ""
    with bpy.context.temp_override(window=window, area=area, region=region):
        if bpy.ops.ui.copy_python_command_button.poll():
            bpy.ops.ui.copy_python_command_button()
        elif bpy.ops.ui.copy_data_path_button.poll():
            bpy.ops.ui.copy_data_path_button(full_path=True)
    return bpy.context.window_manager.clipboard


def click(button: str, across: float = 0.4) -> Steps:
    """Find a button or field of the sidebar by moving the pointer down it, and click it as a hand would."""
    region = viewport()[2]
    for down in range(24, region.height, 9):
        place = point(region.x + region.width * across, region.y + region.height - down)
        yield from command("xdotool", "mousemove", *place)
        yield from rest(0.08)
        if button in hovered():
            yield from command("xdotool", "click", "1")
            yield from rest(0.3)
            return
    raise LookupError(f"nothing in the sidebar is {button}")


def type_text(text: str) -> Steps:
    """Type into the field that was clicked."""
    yield from command("xdotool", "key", "ctrl+a", "BackSpace")
    yield from command("xdotool", "type", "--delay", "40", text)
    yield from command("xdotool", "key", "Return")
    yield from rest(0.5)
