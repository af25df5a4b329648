"""Refine, end to end inside Blender: the operator, the real protocol, results in the scene, undo and redo."""

from __future__ import annotations

import json

import blender_scenes as scenes
import bpy
import numpy as np
import pytest
from driving import Addon, begin, pump_until, push, redo, undo
from small_backend import GROWTH, ORANGE, SmallBackend, texture

pytestmark = pytest.mark.blender


def positions(thing: bpy.types.Object) -> np.ndarray:
    out = np.zeros((len(thing.data.vertices), 3), np.float32)
    thing.data.attributes["position"].data.foreach_get("vector", out.ravel())
    return out


def test_operator_blocks_and_delivers(addon: Addon, backend: SmallBackend, capfd: pytest.CaptureFixture[str]) -> None:
    crate = scenes.cube(location=(1, 2, 3))
    crate.rotation_euler, crate.scale = (0.1, 0.2, 0.3), (1, -2, 1)
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    result = bpy.data.objects["Crate refined"]
    subject = next(iter(backend.jobs.values())).recipe.subjects[0]
    expected, triangles, _ = backend.refined(subject)
    np.testing.assert_array_equal(positions(result), expected)
    assert len(result.data.polygons) == len(triangles)
    assert not result.data.validate(verbose=True)
    bpy.context.view_layer.update()
    np.testing.assert_allclose(result.matrix_world, crate.matrix_world, atol=0)
    assert result.users_collection == crate.users_collection
    assert (crate.hide_viewport, crate.hide_render) == (True, True)
    assert crate.maquette.result is result
    assert result.maquette.original is crate
    assert bpy.context.view_layer.objects.active is result
    assert json.loads(result["maquette_recipe"])["subjects"][0]["prompt"] == "a crate"
    assert result["maquette_job"] in backend.jobs
    assert bpy.context.scene.maquette.record == ""


def test_material_shows_the_packed_texture(addon: Addon, backend: SmallBackend) -> None:
    scenes.cube()
    bpy.ops.maquette.refine()
    result = bpy.data.objects["Crate refined"]
    (material,) = result.data.materials
    node = material.node_tree.nodes.active
    assert node.bl_idname == "ShaderNodeTexImage"
    link = material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].links[0]
    assert link.from_node.name == node.name
    assert node.image.packed_file is not None
    pixels = np.array(node.image.pixels).reshape(*texture().shape[:2], 4)
    np.testing.assert_array_equal(np.rint(pixels[..., :3] * 255).astype(np.uint8), texture())
    expected = ((ORANGE[0] / 255 + 0.055) / 1.055) ** 2.4
    assert material.diffuse_color[0] == pytest.approx(expected, rel=0.1)


def test_keep_topology_keeps_what_hangs_on_the_vertices(addon: Addon, backend: SmallBackend) -> None:
    crate = scenes.cube(prompt=None)
    scenes.add_target(crate, "a crate", mode="keep_topology")
    group = crate.vertex_groups.new(name="Lid")
    group.add([0, 3], 0.25, "REPLACE")
    uvs = np.array([tuple(item.uv) for item in crate.data.uv_layers.active.data])
    bpy.ops.maquette.refine()
    result = bpy.data.objects["Crate refined"]
    np.testing.assert_array_equal(positions(result), positions(crate) * GROWTH)
    faces = [tuple(face.vertices) for face in result.data.polygons]
    assert faces == [tuple(face.vertices) for face in crate.data.polygons]
    assert len(result.data.edges) == len(crate.data.edges)
    assert [layer.name for layer in result.data.uv_layers] == ["UVMap"]
    np.testing.assert_array_equal([tuple(item.uv) for item in result.data.uv_layers.active.data], uvs)
    assert result.vertex_groups["Lid"].weight(3) == 0.25
    assert result.data is not crate.data


def test_one_undo_step_restores_everything_and_redo_brings_it_back(addon: Addon, connected: SmallBackend) -> None:
    scenes.cube()
    scenes.cube("Other", location=(3, 0, 0), prompt=None)
    push()
    before = scenes.state()
    begin(addon)
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    after = scenes.state()
    undo()
    assert scenes.differences(before, scenes.state()) == {}
    redo()
    assert scenes.differences(after, scenes.state()) == {}


def test_nothing_but_the_target_changes(addon: Addon, backend: SmallBackend) -> None:
    scenes.cube()
    scenes.cube("Other", location=(3, 0, 0), prompt=None)
    bpy.context.view_layer.objects.active = bpy.data.objects["Crate"]
    before = scenes.state()
    bpy.ops.maquette.refine()
    found = scenes.differences(before, scenes.state())
    changed = {name: what for name, what in found.items() if what != "added"}
    crate = changed.pop("objects/Crate")
    assert set(crate) <= {"hide_viewport", "hide_render", "maquette", "hidden and selected", "is_visible"}
    # the collections that hold the target hold the result too, and that is all
    assert all(set(what) <= {"objects", "all_objects", "view_layers", "collection"} for what in changed.values()), (
        changed
    )
    added = {name for name, what in found.items() if what == "added"}
    assert added == {
        *(f"{kind}/Crate refined" for kind in ("objects", "meshes", "materials")),
        "images/Crate refined Base Colour",
    }


def test_previews_stand_in_and_cancel_restores_the_scene(addon: Addon, connected: SmallBackend) -> None:
    crate = scenes.cube()
    connected.script.hold_at = 2
    before = scenes.state()
    job = begin(addon)
    pump_until(addon, lambda: job.previews >= 1)
    preview = bpy.data.objects["Crate (Maquette preview)"]
    assert crate.hide_viewport
    assert not crate.hide_render
    assert preview.data.materials[0].node_tree.nodes.active.image.size[0] == texture().shape[1]
    bpy.ops.maquette.cancel()
    assert scenes.differences(before, scenes.state()) == {}
    pump_until(addon, lambda: connected.jobs[job.job_id].status is not None)
    assert connected.jobs[job.job_id].status.state == "cancelled"


def test_stop_and_keep_delivers(addon: Addon, connected: SmallBackend) -> None:
    scenes.cube()
    connected.script.hold_at = 1
    job = begin(addon)
    pump_until(addon, lambda: job.state == "running")
    assert bpy.ops.maquette.stop_and_keep() == {"FINISHED"}
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    assert "Crate refined" in bpy.data.objects


def test_a_failed_job_leaves_the_scene_as_it_was(addon: Addon, connected: SmallBackend) -> None:
    errors = addon("_protocol").errors
    scenes.cube()
    connected.script.fail_with = errors.MaquetteError(errors.ErrorCode.OUT_OF_MEMORY, "No memory.", "Lower the grid.")
    before = scenes.state()
    with pytest.raises(RuntimeError, match=r"No memory\. Lower the grid"):
        bpy.ops.maquette.refine()
    assert scenes.differences(before, scenes.state()) == {}
    assert addon("pump").runtime().last_error.code == "out_of_memory"


def test_a_renamed_target_is_found(addon: Addon, connected: SmallBackend) -> None:
    crate = scenes.cube()
    connected.script.hold_at = 2
    job = begin(addon)
    pump_until(addon, lambda: job.previews >= 1)
    crate.name = "Box"
    connected.script.hold_at = None
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    assert bpy.data.objects["Box"].maquette.result.name == "Box refined"
    assert not any("preview" in thing.name for thing in bpy.data.objects)


def test_a_deleted_target_costs_only_its_own_result_and_waits_for_it(addon: Addon, connected: SmallBackend) -> None:
    scenes.cube()
    scenes.cube("Barrel", location=(2, 0, 0), prompt="a barrel")
    push()
    connected.script.hold_at = 2
    job = begin(addon)
    pump_until(addon, lambda: job.previews >= 1)
    bpy.data.objects.remove(bpy.data.objects["Barrel"])
    connected.script.hold_at = None
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    assert "Crate refined" in bpy.data.objects
    assert "Barrel refined" not in bpy.data.objects
    assert addon("pump").runtime().last_error.code == "target_gone"
    assert bpy.context.scene.maquette.record != ""


def test_undo_during_a_job_loses_neither_job_nor_scene(addon: Addon, connected: SmallBackend) -> None:
    crate = scenes.cube()
    push()
    crate.location.x = 5
    push()
    connected.script.hold_at = 2
    job = begin(addon)
    pump_until(addon, lambda: job.previews >= 1)
    undo()
    assert bpy.data.objects["Crate"].location.x == 0
    assert bpy.context.scene.maquette.record != ""
    connected.script.hold_at = None
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    assert bpy.data.objects["Crate"].maquette.result is not None
    assert [thing.name for thing in bpy.data.objects if "preview" in thing.name] == []


def test_a_saved_and_reopened_file_finds_its_job(addon: Addon, connected: SmallBackend, tmp_path) -> None:
    scenes.cube()
    connected.script.hold_at = 2
    job = begin(addon)
    pump_until(addon, lambda: job.previews >= 1)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    addon("pump").runtime().disconnect()  # as when Blender ends
    addon("pump").runtime().job = None
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    connected.script.hold_at = None
    pump_until(addon, lambda: "Crate refined" in bpy.data.objects)
    assert bpy.data.objects["Crate"].hide_viewport
    assert not any("preview" in thing.name for thing in bpy.data.objects)


def test_refining_again_replaces_and_discard_steps_back(addon: Addon, backend: SmallBackend) -> None:
    crate = scenes.cube()
    before = scenes.state()
    bpy.ops.maquette.refine()
    first = crate.maquette.result
    bpy.ops.maquette.refine()
    second = crate.maquette.result
    assert first.hide_viewport
    assert not second.hide_viewport
    np.testing.assert_array_equal(positions(first), positions(second))
    bpy.ops.maquette.discard_result()
    assert crate.maquette.result is first
    assert not first.hide_viewport
    bpy.context.view_layer.objects.active = first
    bpy.ops.maquette.discard_result()
    bpy.context.view_layer.objects.active = crate
    assert scenes.differences(before, scenes.state()) == {}


def test_toggle_shows_one_of_the_two(addon: Addon, backend: SmallBackend) -> None:
    crate = scenes.cube()
    bpy.ops.maquette.refine()
    result = crate.maquette.result
    for shown in (crate, result, crate):
        bpy.ops.maquette.toggle_original()
        assert [thing.hide_viewport for thing in (crate, result)] == [thing is not shown for thing in (crate, result)]


def test_parent_and_constraints_are_followed(addon: Addon, backend: SmallBackend) -> None:
    stand = bpy.data.objects.new("Stand", None)
    bpy.context.collection.objects.link(stand)
    stand.location, stand.scale = (0, 0, 2), (1, 2, 3)
    crate = scenes.cube()
    crate.parent, crate.location = stand, (1, 0, 0)
    crate.delta_rotation_euler = (0, 0, 0.5)
    bpy.ops.maquette.refine()
    bpy.context.view_layer.update()
    result = crate.maquette.result
    assert result.parent is stand
    subject = next(iter(backend.jobs.values())).recipe.subjects[0]
    np.testing.assert_allclose(np.array(result.matrix_world).ravel(), subject.world_from_object, atol=1e-6)
