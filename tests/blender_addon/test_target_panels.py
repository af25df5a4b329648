"""The chosen target's sub-panels, drawn in every state: they say which mesh is read and why, and hide what does not apply."""

from __future__ import annotations

import blender_scenes as scenes
import bpy
import nasty_meshes
import pytest
from driving import Addon, begin, pump_until
from small_backend import SmallBackend
from test_panels import COMPLAINTS, draw

pytestmark = pytest.mark.blender


def target():
    return bpy.context.scene.maquette.targets[0]


def drawn(addon: Addon, capfd: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Text of each sub-panel that is shown; fails on what Blender complains of."""
    capfd.readouterr()
    panels = (addon("panels.shape").MAQUETTE_PT_control, addon("panels.shape").MAQUETTE_PT_delivery)
    found = {one.bl_label: " ".join(draw(one.draw).split()) if one.poll(bpy.context) else "" for one in panels}
    told = capfd.readouterr()
    assert not [line for line in (told.out + told.err).splitlines() if any(word in line for word in COMPLAINTS)]
    return found


def test_without_a_target_there_are_none(addon: Addon, capfd: pytest.CaptureFixture[str]) -> None:
    assert drawn(addon, capfd) == {"Shape Control": "", "Mesh and Result": ""}


@pytest.mark.parametrize("source", ["NONE", "GROUP", "SELECTED", "ATTRIBUTE"])
def test_each_mask_shows_its_own_fields(addon: Addon, capfd: pytest.CaptureFixture[str], source: str) -> None:
    nasty_meshes.rigged()
    target().mask_source = source
    found = drawn(addon, capfd)["Shape Control"]
    for name in ("stay_close", "symmetry", "flat_bottom", "keep_sharp"):
        assert name in found
    assert ("mask_group" in found) == (source == "GROUP")
    assert ("mask_attribute" in found) == (source == "ATTRIBUTE")
    assert ("mask_feather" in found) == (source != "NONE")


def test_it_says_which_mesh_is_read_and_why(addon: Addon, capfd: pytest.CaptureFixture[str]) -> None:
    nasty_meshes.rigged()
    found = drawn(addon, capfd)["Mesh and Result"]
    assert "Refines the base mesh, since the result goes back to it. Kept live: Armature, Subdivision, shape keys." in found
    assert "delivery" in found
    target().read_from = "EVALUATED"
    assert "Refines what is displayed. Applied to the result: Armature, Subdivision." in drawn(addon, capfd)["Mesh and Result"]
    target().read_from, target().mode = "AUTO", "remesh"
    found = drawn(addon, capfd)["Mesh and Result"]
    assert "Refines what is displayed." in found
    assert "triangle_budget" in found
    assert "delivery" not in found
    target().read_from = "BASE"
    assert "Left out: Armature, Subdivision, shape keys." in drawn(addon, capfd)["Mesh and Result"]
    target().mode = "texture_only"
    assert drawn(addon, capfd)["Shape Control"] == ""


def test_a_shared_mesh_asks_what_to_do(addon: Addon, capfd: pytest.CaptureFixture[str]) -> None:
    crate = scenes.cube(prompt=None)
    scenes.add_target(crate, "a crate", mode="keep_topology")
    assert "instances" not in drawn(addon, capfd)["Mesh and Result"]
    bpy.context.collection.objects.link(crate.copy())
    found = drawn(addon, capfd)["Mesh and Result"]
    assert "instances" in found
    assert "2 objects share this mesh." in found


def test_a_result_that_is_a_shape_key_has_its_buttons(
    addon: Addon, connected: SmallBackend, capfd: pytest.CaptureFixture[str]
) -> None:
    crate = scenes.cube(prompt=None)
    scenes.add_target(crate, "a crate", mode="keep_topology")
    target().delivery = "SHAPE_KEY"
    begin(addon)
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    assert bpy.ops.maquette.discard_result.poll()
    found = draw(bpy.types.MAQUETTE_PT_main.draw)
    assert "maquette.discard_result" in found
    assert "Show Original" in found
    bpy.ops.maquette.toggle_original()
    assert "Show Result" in draw(bpy.types.MAQUETTE_PT_main.draw)
    assert crate.data.shape_keys.key_blocks["Maquette"].mute
