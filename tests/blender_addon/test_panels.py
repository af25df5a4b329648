"""Every panel drawn into a real layout, in each state, and nothing in it that Blender does not know."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import blender_scenes as scenes
import bpy
import pytest
from driving import Addon, begin, pump_until
from maquette_protocol import messages
from small_backend import SmallBackend

pytestmark = pytest.mark.blender
PANELS = (
    "MAQUETTE_PT_main",
    "MAQUETTE_PT_paint",
    "MAQUETTE_PT_cameras",
    "MAQUETTE_PT_results",
    "MAQUETTE_PT_advanced",
    "MAQUETTE_PT_priors",
    "MAQUETTE_PT_backend",
)
COMPLAINTS = ("not found", "unknown operator", "Error", "Traceback", "rna_ui", "enum")


def _texts(node: object) -> list[str]:
    """All that a layout shows or refers to, from its introspection."""
    if isinstance(node, dict):
        return [str(value) for value in node.values() if isinstance(value, str)] + [
            text for value in node.values() for text in _texts(value)
        ]
    return [text for item in node for text in _texts(item)] if isinstance(node, list) else []


def draw(draw_it: object) -> str:
    """Draw into a popover of a 3D viewport's sidebar; everything in it as one text."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "UI")
    with bpy.context.temp_override(window=window, area=area, region=region):
        pop = bpy.context.window_manager.popover_begin__internal(ui_units_x=10, from_active_button=False)
        # never ended: popover_end__internal opens a real popup, which crashes without a window system
        draw_it(SimpleNamespace(layout=pop.layout), bpy.context)  # type: ignore[operator]
        return "\n".join(_texts(pop.layout.introspect()))


def draw_panels(capfd: pytest.CaptureFixture[str]) -> dict[str, str]:
    """All panels; fails on anything that Blender complains about."""
    capfd.readouterr()
    found = {name: draw(getattr(bpy.types, name).draw) for name in PANELS}
    told = capfd.readouterr()
    assert not [line for line in (told.out + told.err).splitlines() if any(word in line for word in COMPLAINTS)]
    return found


def test_the_check_sees_a_wrong_property(addon: Addon, capfd: pytest.CaptureFixture[str]) -> None:
    draw(lambda panel, context: panel.layout.prop(context.scene.maquette, "no_such_thing"))
    draw(lambda panel, _context: panel.layout.operator("maquette.no_such_thing"))
    told = capfd.readouterr()
    lines = [line for line in (told.out + told.err).splitlines() if any(word in line for word in COMPLAINTS)]
    assert len(lines) >= 2


def test_without_a_backend_there_is_a_button_to_start_one(addon: Addon, capfd: pytest.CaptureFixture[str]) -> None:
    found = draw_panels(capfd)
    assert "maquette.start_backend" in found["MAQUETTE_PT_main"]
    assert "maquette.add_targets" in found["MAQUETTE_PT_main"]
    assert "Not connected" in found["MAQUETTE_PT_backend"]


def test_with_a_target_and_a_backend(addon: Addon, connected: SmallBackend, capfd: pytest.CaptureFixture[str]) -> None:
    scenes.cube()
    found = draw_panels(capfd)
    for name in ("prompt", "strength", "mode", "maquette.refine"):
        assert name in found["MAQUETTE_PT_main"]
    assert "maquette.start_backend" not in found["MAQUETTE_PT_main"]
    for name in ("prior", "seed", "texture_size", "grid_resolution", "scene_prompt", "finish_steps"):
        assert name in found["MAQUETTE_PT_advanced"]
    assert "Connected: small backend" in found["MAQUETTE_PT_backend"]


def test_priors_and_control_nets_are_added_in_a_closed_panel_up_to_their_limits(
    addon: Addon, capfd: pytest.CaptureFixture[str]
) -> None:
    priors = bpy.context.scene.maquette_priors
    assert "DEFAULT_CLOSED" in bpy.types.MAQUETTE_PT_priors.bl_options
    found = draw_panels(capfd)["MAQUETTE_PT_priors"]
    assert "geometry_scale_end" in found
    assert "prior_weight" not in found, "without a further prior there is nothing to weigh"
    for kind, most in (("further", 3), ("controls", 4)):
        for _ in range(most):
            assert bpy.ops.maquette.add_prior(kind=kind) == {"FINISHED"}
        assert bpy.ops.maquette.add_prior(kind=kind) == {"CANCELLED"}
    priors.further[1].model, priors.controls[0].model = "mv", "depths"
    found = draw_panels(capfd)["MAQUETTE_PT_priors"]
    assert "prior_weight" in found
    assert found.count("maquette.remove_prior") == 7
    assert "maquette.add_prior" not in found
    assert bpy.ops.maquette.remove_prior(kind="further", index=0) == {"FINISHED"}
    assert bpy.ops.maquette.remove_prior(kind="further", index=5) == {"CANCELLED"}
    assert [one.model for one in priors.further] == ["mv", ""]
    assert draw_panels(capfd)["MAQUETTE_PT_priors"].count("maquette.add_prior") == 1


def test_a_list_line_shows_name_and_prompt(addon: Addon, capfd: pytest.CaptureFixture[str]) -> None:
    scenes.cube()
    targets, line = bpy.context.scene.maquette.targets, addon("panels.targets").draw_line
    assert "prompt" in draw(lambda panel, _context: line(panel.layout, targets[0]))
    bpy.data.objects.remove(targets[0].object)
    assert "Deleted object" in draw(lambda panel, _context: line(panel.layout, targets[0]))


def test_while_a_job_runs_and_after(addon: Addon, connected: SmallBackend, capfd: pytest.CaptureFixture[str]) -> None:
    scenes.cube()
    connected.script.hold_at = 2
    job = begin(addon)
    pump_until(addon, lambda: job.progress is not None)
    found = draw_panels(capfd)["MAQUETTE_PT_main"]
    assert "maquette.cancel" in found
    assert "maquette.stop_and_keep" in found
    # a progress bar's text does not appear in the introspection
    pump_until(addon, lambda: job.progress.step == 2)
    assert addon("operators.refine").describe(job) == "geometry 2/4, 0:00 left, loss 0.5"
    connected.script.hold_at = None
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    found = draw_panels(capfd)["MAQUETTE_PT_main"]
    assert "maquette.toggle_original" in found
    assert "maquette.discard_result" in found


DRAGON = "The starter prior doesn't know “a dragon” well; nearest: statue (42 %)."


def _lines(found: str) -> str:
    """The drawn text without the line ends that the sidebar's width made, each blank an ordinary one."""
    return " ".join(found.split())


def test_how_well_the_prior_knows_a_prompt_is_said_while_it_runs_and_on_the_result(
    addon: Addon, connected: SmallBackend, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scenes.cube(prompt="a dragon")
    connected.script.readings = {"Crate": messages.PromptReading("", 8, "unknown", "statue", 0.42)}
    connected.script.hold_at = 2
    job = begin(addon)
    assert "nearest" not in draw_panels(capfd)["MAQUETTE_PT_main"], "before the backend has said so"
    pump_until(addon, lambda: job.said != ())
    assert [_lines(line) for line in job.said] == [DRAGON]
    assert DRAGON in _lines(draw_panels(capfd)["MAQUETTE_PT_main"])
    connected.script.hold_at = None
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    assert DRAGON in _lines(draw_panels(capfd)["MAQUETTE_PT_main"])
    # it stays with the result, in the file
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "kept.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "kept.blend"))
    assert DRAGON in _lines(draw_panels(capfd)["MAQUETTE_PT_main"])


def test_a_prior_that_says_nothing_leaves_the_panel_alone(
    addon: Addon, connected: SmallBackend, capfd: pytest.CaptureFixture[str]
) -> None:
    scenes.cube(prompt="a dragon")
    connected.script.hold_at = 2
    job = begin(addon)
    pump_until(addon, lambda: job.progress is not None)
    assert "prior" not in draw_panels(capfd)["MAQUETTE_PT_main"]
    connected.script.hold_at = None
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    assert "prior" not in draw_panels(capfd)["MAQUETTE_PT_main"]
    assert "maquette_prompt_reading" not in bpy.data.objects["Crate"].maquette.result


def test_a_prompt_that_was_cut_says_how_much_was_read(
    addon: Addon, connected: SmallBackend, capfd: pytest.CaptureFixture[str]
) -> None:
    scenes.cube(prompt="a crate " * 50)
    connected.script.readings = {"Crate": messages.PromptReading("", 120, "known", "crate", 1.0)}
    connected.script.hold_at = 2
    job = begin(addon)
    pump_until(addon, lambda: job.said != ())
    assert "Only the first 120 of 399 characters are used." in _lines(draw_panels(capfd)["MAQUETTE_PT_main"])


def test_what_the_backend_gave_up_is_said_while_it_runs_and_on_the_result(
    addon: Addon, connected: SmallBackend, capfd: pytest.CaptureFixture[str]
) -> None:
    scenes.cube()
    notice = "Out of memory: the VAE takes one picture at a time now."
    connected.script.notices = (notice,)
    connected.script.hold_at = 2
    job = begin(addon)
    pump_until(addon, lambda: job.notices != ())
    assert notice in _lines(draw_panels(capfd)["MAQUETTE_PT_main"])
    connected.script.hold_at = None
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    assert notice in _lines(draw_panels(capfd)["MAQUETTE_PT_main"])


def test_cuts_of_the_negative_prompt_and_by_further_priors_are_said(
    addon: Addon, connected: SmallBackend, capfd: pytest.CaptureFixture[str]
) -> None:
    scenes.cube(prompt="a crate")
    bpy.context.scene.maquette.targets[0].negative_prompt = "dust " * 60
    cuts = (messages.CutText("starter", True, 40), messages.CutText("mv", True, 20))
    connected.script.readings = {"Crate": messages.PromptReading("", 7, cuts=cuts)}
    connected.script.hold_at = 2
    job = begin(addon)
    pump_until(addon, lambda: job.said != ())
    said = (
        "Only the first 40 of 299 characters of the negative prompt are used."
        " Only the first 20 of 299 characters of the negative prompt are used by mv."
    )
    assert said in _lines(draw_panels(capfd)["MAQUETTE_PT_main"])
    connected.script.hold_at = None
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    assert said in _lines(draw_panels(capfd)["MAQUETTE_PT_main"])


def test_a_job_found_again_says_it_again(
    addon: Addon, connected: SmallBackend, capfd: pytest.CaptureFixture[str]
) -> None:
    scenes.cube(prompt="a dragon")
    connected.script.readings = {"Crate": messages.PromptReading("", 8, "unknown", "statue", 0.42)}
    connected.script.hold_at = 2
    job = begin(addon)
    now = addon("pump").runtime()
    pump_until(addon, lambda: job.said != ())
    now.job = None  # as after a restart of Blender
    now.reconnect()
    pump_until(addon, lambda: now.job is not None and now.job.said != ())
    assert DRAGON in _lines(draw_panels(capfd)["MAQUETTE_PT_main"])


def test_a_job_whose_backend_is_gone_says_so(
    addon: Addon, connected: SmallBackend, capfd: pytest.CaptureFixture[str]
) -> None:
    scenes.cube()
    connected.script.hold_at = 2
    begin(addon)
    now = addon("pump").runtime()
    assert "maquette.start_backend" not in draw_panels(capfd)["MAQUETTE_PT_main"]
    now.welcome = None
    found = draw_panels(capfd)["MAQUETTE_PT_main"]
    for needed in ("does not", "maquette.start_backend", "maquette.reconnect", "maquette.cancel", "backend_python"):
        assert needed in found


def test_sentences_are_wrapped_to_the_sidebar_and_lose_nothing(addon: Addon) -> None:
    text, sentence = addon("panels.text"), "Bring the object back (Undo), then press Reconnect to receive it."

    def context(width: int, scale: float) -> SimpleNamespace:
        system = SimpleNamespace(ui_scale=scale)
        return SimpleNamespace(region=SimpleNamespace(width=width), preferences=SimpleNamespace(system=system))

    # the same sidebar on a screen of twice the density holds as many letters
    assert text.letters_across(context(280, 1.0)) == text.letters_across(context(560, 2.0)) < 36
    assert text.letters_across(context(600, 1.0)) > 60
    assert text.letters_across(context(1, 1.0)) >= 20
    found = draw(lambda panel, _context: text.draw_lines(panel.layout, context(280, 1.0), sentence, icon="INFO"))
    lines = [line for line in found.splitlines() if line and line in sentence]
    assert " ".join(lines) == sentence
    assert all(len(line) <= 36 for line in lines)


def test_progress_is_short_enough_for_the_bar(addon: Addon, connected: SmallBackend) -> None:
    scenes.cube()
    connected.script.hold_at = 2
    job = begin(addon)
    short = addon("panels.main").short_progress
    assert short(job).startswith("Uploading")
    pump_until(addon, lambda: job.progress is not None and job.progress.step == 2)
    assert short(job) == "Shape 2/4, 0:00 left"


def test_every_error_shows_message_remedy_and_its_fix(addon: Addon, capfd: pytest.CaptureFixture[str]) -> None:
    errors = addon("_protocol").errors
    for code in errors.ErrorCode:
        addon("pump").runtime().last_error = errors.MaquetteError(code, "What went wrong.", "What to do.")
        found = draw_panels(capfd)["MAQUETTE_PT_main"]
        assert "What went wrong." in found
        assert "What to do." in found


def test_preferences_draw(addon: Addon, installed: str, capfd: pytest.CaptureFixture[str]) -> None:
    preferences = bpy.context.preferences.addons[installed].preferences
    capfd.readouterr()
    kind = addon("preferences").MaquettePreferences
    fields = {name: getattr(preferences, name) for name in ("backend_python", "backend_home", "connection_file")}
    assert set(fields) <= set(preferences.bl_rna.properties.keys())
    assert kind.bl_idname == installed


def test_every_property_and_operator_has_a_tooltip(addon: Addon, installed: str) -> None:
    holders = [
        addon("properties").MaquetteTarget,
        addon("properties").MaquetteSceneSettings,
        addon("properties").MaquetteObjectNotes,
        addon("look_settings").MaquettePaint,
        addon("look_settings").MaquetteLook,
        addon("preferences").MaquettePreferences,
    ]
    for holder in holders:
        for prop in holder.bl_rna.properties:
            # what the base class has (name, bl_idname) is Blender's own
            if prop.identifier in holder.__annotations__ and prop.type != "COLLECTION":
                assert prop.description, (holder, prop.identifier)
    for operator in addon("operators").CLASSES:
        assert operator.__doc__
        assert not operator.__doc__.endswith(".")


def test_how_much_the_views_saw_is_shown_and_little_says_what_to_do(
    addon: Addon, connected: SmallBackend, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scenes.cube()
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    found = draw_panels(capfd)
    assert "Views saw 100 % of the surface" in _lines(found["MAQUETTE_PT_results"])
    assert "Check Views" not in _lines(found["MAQUETTE_PT_main"])
    connected.script.share_seen = 0.898
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    told = capfd.readouterr().out
    assert "Crate: Views saw 89 % of the surface; the rest is filled in" in told
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "kept.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "kept.blend"))
    found = draw_panels(capfd)
    assert "Press Check Views to see where, and Add Cameras" in _lines(found["MAQUETTE_PT_main"])
    assert "Views saw 89 % of the surface" in _lines(found["MAQUETTE_PT_results"])


def test_a_shape_key_says_it_too(addon: Addon, connected: SmallBackend, capfd: pytest.CaptureFixture[str]) -> None:
    crate = scenes.cube(prompt=None)
    scenes.add_target(crate, "a crate", mode="keep_topology")
    bpy.context.scene.maquette.targets[0].delivery = "SHAPE_KEY"
    connected.script.share_seen = 0.5
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    assert crate.data.shape_keys is not None
    found = draw_panels(capfd)
    assert "Views saw 50 % of the surface" in _lines(found["MAQUETTE_PT_results"])
    assert "Check Views" in _lines(found["MAQUETTE_PT_main"])


def test_images_are_upscaled_as_chosen_and_it_is_said_by_what(
    addon: Addon, connected: SmallBackend, capfd: pytest.CaptureFixture[str]
) -> None:
    crate = scenes.cube()
    paint = bpy.context.scene.maquette.targets[0].paint
    assert "upscale" in draw_panels(capfd)["MAQUETTE_PT_paint"]
    paint.upscale, paint.material = "4", "pbr"
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    result = crate.maquette.result
    nodes = result.material_slots[0].material.node_tree.nodes
    assert {tuple(node.image.size) for node in nodes if node.bl_idname == "ShaderNodeTexImage"} == {(128, 128)}
    assert "Upscaled by Lanczos, without new detail" in _lines(draw_panels(capfd)["MAQUETTE_PT_main"])
    connected.script.upscales_by = "real_esrgan"
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    assert "which adds likely detail" in _lines(draw_panels(capfd)["MAQUETTE_PT_main"])
    paint.texture_size = "8192"
    with pytest.raises(RuntimeError, match="8192 pixels upscaled 4 times, would have 32768"):
        bpy.ops.maquette.refine()


def test_while_views_are_checked_there_is_a_bar_and_no_button(addon: Addon, capfd: pytest.CaptureFixture[str]) -> None:
    crate = scenes.cube()
    assert "maquette.check_views" in draw_panels(capfd)["MAQUETTE_PT_cameras"]
    now = addon("pump").runtime()
    now.view_check = addon("view_check").ViewCheck(bpy.context, crate, "check")
    assert "maquette.check_views" not in draw_panels(capfd)["MAQUETTE_PT_cameras"]
    pump_until(addon, lambda: now.view_check is None)
    found = draw_panels(capfd)["MAQUETTE_PT_cameras"]
    assert "maquette.add_cameras" in found
    assert "are seen by no view" in _lines(found)
