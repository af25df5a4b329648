"""The windowed test's half inside Blender: one timer plays the artist, with real clicks and keys by xdotool.

Run by ``tools/test_gui.py``; leaves ``results.json`` and pictures beside itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy

HERE = Path(__file__).resolve().parent
PACKAGE = "bl_ext.user_default.maquette"
TARGET, PROMPT = "Armchair", "a blue armchair"
SUFFIX = " (Maquette preview)"
TICK_SECS = 0.02
SIZES: dict[str, Any] = json.loads((HERE / "sizes.json").read_text())
Steps = Iterator[None]


@dataclass
class Watch:
    """How long the main thread did not come back to a 20 ms timer, and how long the add-on itself kept it."""

    gaps_millis: dict[str, list[float]] = field(default_factory=dict)
    ticks_millis: dict[str, list[float]] = field(default_factory=dict)
    phase: str = ""
    """Nothing is measured without one: the scenario's own work would be."""
    left_at: float = 0.0

    def enter(self) -> None:
        """The timer fires."""
        if self.phase and self.left_at:
            delivery = self.phase == "job" and now().job is None
            self._note(self.gaps_millis, (time.perf_counter() - self.left_at) * 1e3, delivery)

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
CHECKS: dict[str, bool] = {}
FIGURES: dict[str, object] = {}


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


# ---- the add-on -----------------------------------------------------------------------------------
def now() -> Any:
    """The extension's running state."""
    return sys.modules[f"{PACKAGE}.pump"].runtime()


def result() -> Any:
    """The refined object, if it is in the scene."""
    return bpy.data.objects.get(f"{TARGET} refined")


def check(what: str, held: object) -> None:
    """Note whether something is as it should be."""
    CHECKS[what] = bool(held)


# ---- what the artist does -------------------------------------------------------------------------
def scenario() -> Steps:
    """From the zip to the result, back, forth, and a backend that is gone."""
    yield from install()
    yield from show_panel()
    yield from choose_target()
    yield from connect()
    yield from refine()
    yield from undo_and_redo()
    yield from lose_backend()


def install() -> Steps:
    """The zip, as Preferences → Get Extensions → Install from Disk does."""
    yield from rest(1.0)
    start = time.perf_counter()
    bpy.ops.extensions.package_install_files(
        filepath=str(HERE / "maquette.zip"), repo="user_default", enable_on_install=True
    )
    FIGURES["install, s"] = round(time.perf_counter() - start, 2)
    FIGURES["Blender"] = f"{bpy.app.version_string}, Python {sys.version.split()[0]}"
    import zmq

    check("the extension is installed, with its own wheels", str(HERE) in str(zmq.__file__))
    WATCH.wrap_tick(sys.modules[f"{PACKAGE}.pump"].Runtime)


def show_panel() -> Steps:
    """N, and the tab; the room framed on the target."""
    _window, area, region = viewport()
    space = area.spaces.active
    space.show_region_ui = False
    yield from key("n")
    check("N opens the sidebar", space.show_region_ui)
    yield from rest(0.5)
    region.active_panel_category = "Maquette"
    space.shading.color_type = "TEXTURE"
    yield from rest(0.5)
    yield from shot("1_empty")


def choose_target() -> Steps:
    """Select, Add Selected, prompt, small sizes."""
    window, area, _ = viewport()
    thing = bpy.data.objects[TARGET]
    for other in bpy.context.view_layer.objects:
        other.select_set(other is thing)
    bpy.context.view_layer.objects.active = thing
    with bpy.context.temp_override(window=window, area=area, region=main_region()):
        bpy.ops.view3d.view_selected(use_all_regions=False)
    yield from rest(0.5)
    yield from click("maquette.add_targets")
    settings = bpy.context.scene.maquette
    check("Add Selected adds the selected mesh", [one.object for one in settings.targets] == [thing])
    yield from shot("2_target_without_prompt")
    settings.geometry_steps, settings.appearance_steps = SIZES["steps"]
    settings.grid_resolution, settings.preview_every = SIZES["grid"], max(3, sum(SIZES["steps"]) // 20)
    yield from click("].prompt", across=0.6)
    yield from type_text(PROMPT)
    check("typing into Prompt sets it", settings.targets[0].prompt == PROMPT)


def connect() -> Steps:
    """The connection file of the backend that runs outside."""
    bpy.context.preferences.addons[PACKAGE].preferences.connection_file = str(HERE / "connection.json")
    yield from until(lambda: now().welcome is not None, "the backend's greeting", 20)
    yield from shot("3_before")


def refine() -> Steps:
    """Press the button, watch previews arrive, receive the result."""
    WATCH.phase = "idle"
    yield from rest(2.0)
    WATCH.phase = ""
    yield from redraw_something_else()
    yield from click("maquette.refine")
    check("a click on Refine starts a job", now().job is not None)
    seen: list[int] = []
    now().observers.append(lambda job: seen.append(job.previews))
    job = now().job
    yield from over_viewport()
    start = time.monotonic()
    WATCH.phase = "job"
    yield from until(lambda: job.previews >= 2, "two previews", 200)
    preview = bpy.data.objects.get(TARGET + SUFFIX)
    check("a preview stands in the target's place", preview is not None and bpy.data.objects[TARGET].hide_viewport)
    yield from shot("4_during_shape")
    yield from until(lambda: now().job is None or job.progress.stage != "geometry", "colour", 200)
    yield from until(
        lambda: now().job is None or job.progress.step >= job.progress.steps * 3 // 5, "most of the colour", 200
    )
    yield from shot("5_during_colour")
    yield from until(lambda: now().job is None, "the result", 240)
    yield from rest(0.5)
    WATCH.phase = ""
    FIGURES["job, s"] = round(time.monotonic() - start, 1)
    FIGURES["previews shown"] = max(seen, default=0)
    check("previews arrive while the job runs", max(seen, default=0) >= 4)
    delivered()
    yield from shot("6_after")


def redraw_something_else() -> Steps:
    """The control: what a textured mesh that moves costs this window, with no add-on and no backend at work."""
    mesh = bpy.data.objects[TARGET].data.copy()
    material = bpy.data.materials.new("Control")
    material.use_nodes = True
    picture = material.node_tree.nodes.new("ShaderNodeTexImage")
    picture.image = bpy.data.images.new("Control", 1024, 1024)
    mesh.uv_layers.new(name="Control")
    mesh.materials.clear()
    mesh.materials.append(material)
    thing = bpy.data.objects.new("Control", mesh)
    bpy.context.collection.objects.link(thing)
    end = time.monotonic() + 4.0
    WATCH.phase = "control"
    while time.monotonic() < end:
        thing.location.z += 0.01
        mesh.vertices[0].co.x += 0.001
        mesh.update()
        yield
    WATCH.phase = ""
    image = picture.image
    for owner, block in ((bpy.data.objects, thing), (bpy.data.meshes, mesh), (bpy.data.materials, material)):
        owner.remove(block)
    bpy.data.images.remove(image)
    yield from rest(0.5)


def delivered() -> None:
    """The scene once the result is in it."""
    check("the job ends without an error", now().last_error is None)
    check("the result is in the scene", result() is not None and not result().hide_viewport)
    check("the original is kept, hidden", bpy.data.objects[TARGET].hide_viewport)
    check("no preview is left", not [thing for thing in bpy.data.objects if SUFFIX in thing.name])


def undo_and_redo() -> Steps:
    """Ctrl-Z once, and once forth, by real keys."""
    yield from key("ctrl+z")
    check("one Ctrl-Z takes the result back", result() is None)
    check("and shows the original", not bpy.data.objects[TARGET].hide_viewport)
    check("and leaves no preview", not [thing for thing in bpy.data.objects if SUFFIX in thing.name])
    check("and keeps what was typed", bpy.context.scene.maquette.targets[0].prompt == PROMPT)
    yield from shot("7_undone")
    yield from key("ctrl+shift+z")
    check("redo brings the result back", result() is not None and not result().hide_viewport)
    check("and hides the original again", bpy.data.objects[TARGET].hide_viewport)
    yield from shot("8_redone")
    yield from click("maquette.toggle_original", across=0.3)
    check("Show Original shows it", result().hide_viewport and not bpy.data.objects[TARGET].hide_viewport)
    yield from shot("8_original_shown")
    yield from click("maquette.toggle_original", across=0.3)
    check("and Show Result the result", not result().hide_viewport and bpy.data.objects[TARGET].hide_viewport)


def lose_backend() -> Steps:
    """Another job whose backend ends while it runs; then the panel must say so and offer what helps."""
    bpy.context.scene.maquette.geometry_steps = 400
    yield from click("maquette.refine")
    job = now().job
    yield from until(lambda: job.previews >= 1, "a preview", 120)
    (HERE / "stop-backend").touch()
    yield from until(lambda: now().welcome is None, "the news that the backend is gone", 60)
    yield from rest(1.0)
    yield from shot("9_lost_during_job")
    yield from click("maquette.cancel", across=0.8)
    check("cancel without a backend restores the scene", now().job is None and result() is not None)
    yield from rest(0.5)
    yield from shot("10_not_connected")
    yield from click("maquette.start_backend")
    yield from shot("11_start_without_python")
    yield from over_viewport()
    errors = sys.modules[f"{PACKAGE}._protocol.errors"]
    now().last_error = errors.MaquetteError(
        errors.ErrorCode.TARGET_GONE,
        f"{TARGET} was deleted while job 1a2b3c4d ran; its result waits on the backend.",
        "Bring the object back (Undo), then press Reconnect to receive it.",
    )
    viewport()[1].tag_redraw()
    yield from rest(1.0)
    yield from shot("12_error")


# ---- the timer ------------------------------------------------------------------------------------
def finish(error: str = "") -> None:
    """Write down what was found, and close the window."""
    for what, kept in (("gap", WATCH.gaps_millis), ("tick", WATCH.ticks_millis)):
        for phase, all_millis in kept.items():
            ordered = sorted(all_millis)
            FIGURES[f"{phase}: median {what}, ms"] = round(ordered[len(ordered) // 2], 1)
            FIGURES[f"{phase}: longest {what}, ms"] = round(ordered[-1], 1)
    found: dict[str, object] = {"checks": CHECKS, "figures": FIGURES}
    if error:
        found["error"] = error
        subprocess.run(["import", "-window", "root", str(HERE / "shots" / "stopped.png")])
    (HERE / "results.json").write_text(json.dumps(found))
    bpy.ops.wm.quit_blender()


def play(steps: Steps) -> float | None:
    """One call of the timer."""
    WATCH.enter()
    try:
        next(steps)
    except StopIteration:
        finish()
        return None
    except Exception:
        # whatever went wrong is the test's result: it is written down, and the window closed
        finish(traceback.format_exc())
        return None
    WATCH.leave()
    return TICK_SECS


bpy.context.preferences.view.show_splash = False
bpy.context.preferences.system.viewport_aa = "OFF"
STEPS = scenario()
bpy.app.timers.register(lambda: play(STEPS), first_interval=1.0, persistent=True)
