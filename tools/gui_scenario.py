"""The windowed test's half inside Blender: one timer plays the artist, with real clicks and keys.

Run by ``tools/test_gui.py``; leaves ``results.json`` and pictures beside itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))  # Blender runs this file as text, not as a module of a folder

from gui_driving import (
    HERE,
    PACKAGE,
    WATCH,
    Steps,
    click,
    key,
    main_region,
    now,
    over_viewport,
    rest,
    shot,
    type_text,
    until,
    viewport,
)

TARGET, PROMPT = "Armchair", "a blue armchair"
SUFFIX = " (Maquette preview)"
TICK_SECS = 0.02
SIZES: dict[str, Any] = json.loads((HERE / "sizes.json").read_text())
CHECKS: dict[str, bool] = {}
FIGURES: dict[str, object] = {}


# ---- the add-on -----------------------------------------------------------------------------------
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
    yield from material_preview()
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


def material_preview() -> Steps:
    """The result's material as EEVEE shows it, in the artist's own viewport."""
    shading = viewport()[1].spaces.active.shading
    shading.type = "MATERIAL"
    yield from rest(20.0)  # the processor compiles shaders and draws
    yield from shot("9_material_preview")
    shading.type = "SOLID"
    yield from rest(0.5)


def lose_backend() -> Steps:
    """Another job whose backend ends while it runs; then the panel must say so and offer what helps."""
    bpy.context.scene.maquette.geometry_steps = 400
    yield from click("maquette.refine")
    job = now().job
    yield from until(lambda: job.previews >= 1, "a preview", 120)
    (HERE / "stop-backend").touch()
    yield from until(lambda: now().welcome is None, "the news that the backend is gone", 60)
    yield from rest(1.0)
    yield from shot("10_lost_during_job")
    yield from click("maquette.cancel", across=0.8)
    check("cancel without a backend restores the scene", now().job is None and result() is not None)
    yield from rest(0.5)
    yield from shot("11_not_connected")
    yield from click("maquette.start_backend")
    yield from shot("12_start_without_python")
    yield from over_viewport()
    errors = sys.modules[f"{PACKAGE}._protocol.errors"]
    now().last_error = errors.MaquetteError(
        errors.ErrorCode.TARGET_GONE,
        f"{TARGET} was deleted while job 1a2b3c4d ran; its result waits on the backend.",
        "Bring the object back (Undo), then press Reconnect to receive it.",
    )
    viewport()[1].tag_redraw()
    yield from rest(1.0)
    yield from shot("13_error")


# ---- the timer ------------------------------------------------------------------------------------
def finish(error: str = "") -> None:
    """Write down what was found, and close the window."""
    for what, kept in (("gap", WATCH.gaps_millis), ("tick", WATCH.ticks_millis)):
        for phase, all_millis in kept.items():
            ordered = sorted(all_millis)
            FIGURES[f"{phase}: median {what}, ms"] = round(ordered[len(ordered) // 2], 1)
            FIGURES[f"{phase}: longest {what}, ms"] = round(ordered[-1], 1)
    FIGURES["job: gaps over 150 ms"] = ", ".join(WATCH.long_gaps) or "none"
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
