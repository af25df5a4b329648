"""Keep Topology in real Blender: only positions move, whatever hangs on the mesh, and Discard takes it all back."""

from __future__ import annotations

import math

import blender_scenes as scenes
import bpy
import mesh_fingerprint as fingerprint
import nasty_meshes
import numpy as np
import pytest
from carrying_scenes import bend, rigged, weights_of
from driving import Addon, begin, pump_until, push, redo, undo
from small_backend import GROWTH, SmallBackend, texture

pytestmark = pytest.mark.blender
DELIVERIES = ("NEW_OBJECT", "SHAPE_KEY")


def positions(mesh: bpy.types.Mesh, key: str = "") -> np.ndarray:
    """[V,3] of a mesh or of one of its shape keys."""
    out = np.zeros((len(mesh.vertices), 3), np.float32)
    if key:
        mesh.shape_keys.key_blocks[key].data.foreach_get("co", out.ravel())
    else:
        mesh.attributes["position"].data.foreach_get("vector", out.ravel())
    return out


def shown(thing: bpy.types.Object) -> np.ndarray:
    """Positions [W,3] with modifiers and shape keys, object space."""
    bpy.context.view_layer.update()
    mesh = thing.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
    return positions(mesh)


def target(index: int = 0):
    """A target's settings."""
    return bpy.context.scene.maquette.targets[index]


def refine(thing: bpy.types.Object, delivery: str, *, paint: bool = False) -> bpy.types.Object:
    """Refine one object; the object that carries the result."""
    target().delivery = delivery
    bpy.context.scene.maquette.appearance_steps = int(paint)
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    return thing if delivery == "SHAPE_KEY" else thing.maquette.result


def stripped(layers: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in layers.items() if name != "attribute position"}


@pytest.mark.parametrize("keys", [True, False])
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_only_positions_move(addon: Addon, connected: SmallBackend, delivery: str, keys: bool) -> None:
    table = nasty_meshes.rigged(keys=keys)
    start = positions(table.data, "Basis" if keys else "")
    layers, around = fingerprint.mesh_layers(table.data), fingerprint.around(table)
    before = fingerprint.shape_keys(table.data)
    result = refine(table, delivery)
    assert fingerprint.differing(around, fingerprint.around(result)) == []
    moved = fingerprint.mesh_layers(result.data)
    as_key = keys or delivery == "SHAPE_KEY"
    assert fingerprint.differing(layers, moved) == ([] if as_key else ["attribute position"])
    np.testing.assert_array_equal(positions(result.data, "Maquette" if as_key else ""), start * GROWTH)
    after = fingerprint.shape_keys(result.data)
    new = {"Maquette"} if keys else {"Maquette", "Basis", "drivers"} if as_key else set()
    assert set(after) - set(before) == new
    assert [name for name in before if before[name] != after[name]] == []
    if as_key:
        assert result.data.shape_keys.key_blocks["Maquette"].value == 1.0
        assert result.active_shape_key.name == "Maquette"
    assert not result.data.validate(verbose=True)


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_the_artists_shape_keys_act_as_before(addon: Addon, connected: SmallBackend, delivery: str) -> None:
    table = nasty_meshes.rigged()
    table.modifiers.clear()
    key = table.data.shape_keys.key_blocks["Smile"]
    key.vertex_group = ""
    key.value = 0.0
    rest = shown(table)
    key.value = 0.75
    by_smile = shown(table) - rest
    assert by_smile[:, 2].max() == pytest.approx(0.375)
    result = refine(table, delivery)
    table.hide_viewport = False
    key = result.data.shape_keys.key_blocks["Smile"]
    np.testing.assert_allclose(shown(result), rest * GROWTH + by_smile, atol=1e-6)
    key.value = 0.0
    np.testing.assert_allclose(shown(result), rest * GROWTH, atol=1e-6)


@pytest.mark.parametrize("paint", [False, True])
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_discard_restores_every_bit(addon: Addon, connected: SmallBackend, delivery: str, paint: bool) -> None:
    table = nasty_meshes.rigged(keys=paint)
    target().delivery = delivery
    bpy.context.scene.maquette.appearance_steps = int(paint)
    state, layers = scenes.state(), fingerprint.mesh_layers(table.data)
    keys, around = fingerprint.shape_keys(table.data), fingerprint.around(table)
    for _ in range(2):  # a second result replaces the first; each is taken back by itself
        result = refine(table, delivery, paint=paint)
    assert fingerprint.around(result)["modifiers"] == around["modifiers"]
    bpy.ops.maquette.toggle_original()
    bpy.ops.maquette.toggle_original()
    for _ in range(2):
        bpy.ops.maquette.discard_result()
    assert fingerprint.differing(layers, fingerprint.mesh_layers(table.data)) == []
    assert fingerprint.differing(keys, fingerprint.shape_keys(table.data)) == []
    assert fingerprint.differing(around, fingerprint.around(table)) == []
    assert scenes.differences(state, scenes.state()) == {}


def test_a_second_key_replaces_the_first_and_does_not_add_to_it(addon: Addon, connected: SmallBackend) -> None:
    table = nasty_meshes.rigged(keys=False)
    table.modifiers.clear()
    start = positions(table.data)
    for _ in range(2):
        refine(table, "SHAPE_KEY")
    np.testing.assert_allclose(shown(table), start * GROWTH, atol=1e-6)
    bpy.ops.maquette.toggle_original()
    np.testing.assert_allclose(shown(table), start, atol=1e-6)
    bpy.ops.maquette.discard_result()
    np.testing.assert_allclose(shown(table), start * GROWTH, atol=1e-6)


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_it_is_one_undo_step(addon: Addon, connected: SmallBackend, delivery: str) -> None:
    nasty_meshes.rigged()
    target().delivery = delivery
    push()
    before = scenes.state()
    begin(addon)
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    after = scenes.state()
    assert after != before
    undo()
    assert scenes.differences(before, scenes.state()) == {}
    redo()
    assert scenes.differences(after, scenes.state()) == {}


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_a_texture_uses_new_uvs_and_leaves_the_artists_layers(
    addon: Addon, connected: SmallBackend, delivery: str
) -> None:
    table = nasty_meshes.rigged()
    table.data.uv_layers.active = table.data.uv_layers["Lightmap"]
    layers = fingerprint.mesh_layers(table.data)
    result = refine(table, delivery, paint=True)
    assert [layer.name for layer in result.data.uv_layers] == ["UVMap", "Lightmap"]  # the active one is what was sent
    assert result.data.uv_layers["Lightmap"].active_render
    for name in ("attribute UVMap", "attribute Lightmap", "attribute Dirt", "polygons", "weights"):
        assert fingerprint.mesh_layers(result.data)[name] == layers[name]
    (material,) = {slot.material for slot in result.material_slots}
    assert material.name.startswith("Table refined")
    assert material.node_tree.nodes.active.image.size[0] == texture().shape[1]
    assert [slot.link for slot in result.material_slots] == ["DATA", "OBJECT"]


@pytest.mark.parametrize("name", nasty_meshes.NASTY)
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_nasty_meshes_work(addon: Addon, connected: SmallBackend, name: str, delivery: str) -> None:
    thing = nasty_meshes.NASTY[name]()
    scenes.add_target(thing, "a thing", mode="keep_topology")
    layers, start = fingerprint.mesh_layers(thing.data), positions(thing.data)
    result = refine(thing, delivery)
    assert stripped(fingerprint.mesh_layers(result.data)) == stripped(layers)
    np.testing.assert_array_equal(positions(result.data, "Maquette" if delivery == "SHAPE_KEY" else ""), start * GROWTH)


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_mirror_and_subdivision_stay_and_the_seam_stays_closed(
    addon: Addon, connected: SmallBackend, delivery: str
) -> None:
    half = scenes.mesh_object(
        "Half",
        [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 2), (1, 0, 1), (1, 1, 1), (0, 1, 2)],
        [(0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6)],
    )
    scenes.add_target(half, "a hut", mode="keep_topology")
    half.modifiers.new("Mirror", "MIRROR")
    half.modifiers.new("Subdivision", "SUBSURF").levels = 1
    count, start = len(shown(half)), positions(half.data)
    target().mask_source = "GROUP"
    target().mask_group = half.vertex_groups.new(name="All").name
    half.vertex_groups["All"].add(range(8), 1.0, "REPLACE")
    half.data.edges[0].use_edge_sharp = True
    result = refine(half, delivery)
    subject = next(iter(connected.jobs.values())).recipe.subjects[0]
    sent = np.frombuffer(connected.blobs[subject.mesh.positions.sha256], "<f4").reshape(-1, 3)
    # both halves are judged: the modelled one first and as it is, then the image of what is not on the plane
    np.testing.assert_array_equal(sent[:8], start)
    np.testing.assert_array_equal(sent[8:], start[[1, 2, 5, 6]] * (-1, 1, 1))
    assert subject.mesh.triangles.shape == (20, 3)
    assert subject.mask.shape == (12,)
    assert subject.locks.symmetry_x
    assert _is_closed_and_oriented(np.frombuffer(connected.blobs[subject.mesh.triangles.sha256], "<i4").reshape(-1, 3))
    assert [modifier.type for modifier in result.modifiers] == ["MIRROR", "SUBSURF"]
    np.testing.assert_array_equal(positions(result.data, "Maquette" if delivery == "SHAPE_KEY" else ""), start * GROWTH)
    assert len(shown(result)) == count
    half.hide_viewport = False


def _is_closed_and_oriented(triangles: np.ndarray) -> bool:
    edges = [tuple(triangle[[i, (i + 1) % 3]].tolist()) for triangle in triangles for i in range(3)]
    return len(set(edges)) == len(edges) and all((b, a) in set(edges) for a, b in edges)


def test_evaluated_can_be_asked_for(addon: Addon, connected: SmallBackend) -> None:
    crate = scenes.cube(prompt=None)
    scenes.add_target(crate, "a crate", mode="keep_topology")
    crate.modifiers.new("Subdivision", "SUBSURF").levels = 1
    target().read_from = "EVALUATED"
    expected = shown(crate) * GROWTH
    result = refine(crate, "NEW_OBJECT")
    np.testing.assert_array_equal(positions(result.data), expected)
    assert not len(result.modifiers)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_any_transform_and_size(addon: Addon, connected: SmallBackend, delivery: str, size: float) -> None:
    bpy.context.scene.unit_settings.scale_length = 0.01
    stand = bpy.data.objects.new("Stand", None)
    bpy.context.collection.objects.link(stand)
    stand.rotation_euler, stand.scale, stand.location = (0.3, 0.2, 0.1), (1, 2, 0.5), (5, 6, 7)
    crate = scenes.cube(prompt=None)
    crate.parent, crate.rotation_euler, crate.scale = stand, (1, 2, 3), (-1, 2, 0.25)
    crate.delta_location = (1, 0, 0)
    crate.data.attributes["position"].data.foreach_set("vector", positions(crate.data).ravel() * np.float32(size))
    scenes.add_target(crate, "a crate", mode="keep_topology")
    around, start = fingerprint.around(crate), positions(crate.data)
    result = refine(crate, delivery)
    assert fingerprint.differing(around, fingerprint.around(result)) == []
    np.testing.assert_array_equal(positions(result.data, "Maquette" if delivery == "SHAPE_KEY" else ""), start * GROWTH)
    subject = next(iter(connected.jobs.values())).recipe.subjects[0]
    np.testing.assert_allclose(subject.world_from_object, np.array(crate.matrix_world).ravel(), rtol=1e-6)
    assert math.copysign(1, np.linalg.det(np.reshape(subject.world_from_object, (4, 4)))) == -1


def test_a_mesh_that_is_edited_meanwhile_gets_a_new_object_and_says_why(addon: Addon, connected: SmallBackend) -> None:
    crate = scenes.cube(prompt=None)
    scenes.add_target(crate, "a crate", mode="keep_topology")
    target().delivery = "SHAPE_KEY"
    connected.script.hold_at = 2
    job = begin(addon)
    pump_until(addon, lambda: job.previews >= 1)
    crate.data.clear_geometry()
    crate.data.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    connected.script.hold_at = None
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    assert crate.data.shape_keys is None
    assert len(crate.maquette.result.data.vertices) == 8
    assert "edited" in crate.maquette.result["maquette_prompt_reading"]
    assert "nearest points" in crate.maquette.result["maquette_prompt_reading"]


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_what_is_edited_meanwhile_takes_its_rig_and_materials_along(
    addon: Addon, connected: SmallBackend, delivery: str
) -> None:
    """Loop cuts, painted weights and a new pose while the job ran: the surface that was sent comes back, with all that."""
    column, rig = rigged(addon)
    bpy.context.view_layer.objects.active = column
    for vertex in column.data.vertices:
        vertex.co.y += 0.3
    column.modifiers.new("Mirror", "MIRROR").use_axis = (False, True, False)
    column.modifiers.move(1, 0)
    scenes.add_target(column, "a column", mode="keep_topology")
    target().delivery = delivery
    bpy.context.scene.maquette.appearance_steps = 0
    connected.script.hold_at = 2
    job = begin(addon)
    pump_until(addon, lambda: job.previews >= 1)
    column.data.materials.append(bpy.data.materials.new("Oak"))
    column.hide_viewport = False
    bpy.context.view_layer.objects.active = column
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.subdivide(number_cuts=1)
    bpy.ops.object.mode_set(mode="OBJECT")
    bend(rig, 0.4)
    connected.script.hold_at = None
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    result = column.maquette.result
    heights = positions(result.data)[:, 2] / GROWTH
    assert [group.name for group in result.vertex_groups] == ["Low", "High"]
    # nearest to the posed surface of now, so no better than the pose is far
    np.testing.assert_allclose(weights_of(result)[:, 1], (heights + 1) / 2, atol=0.2)
    np.testing.assert_allclose(weights_of(result).sum(axis=1), 1.0, atol=1e-5)
    # the rest shape was sent, with both halves: it follows the armature, and is not mirrored once more
    assert [(one.type, one.show_viewport) for one in result.modifiers] == [("ARMATURE", True)]
    assert result.parent is rig
    assert [material.name for material in result.data.materials] == ["Oak"]
    assert "nearest points" in result["maquette_prompt_reading"]
    assert "maquette_rig_off" not in result


def test_of_a_mesh_that_was_emptied_meanwhile_nothing_is_carried_and_that_is_said(
    addon: Addon, connected: SmallBackend
) -> None:
    crate = scenes.cube(prompt=None)
    scenes.add_target(crate, "a crate", mode="keep_topology")
    connected.script.hold_at = 2
    job = begin(addon)
    pump_until(addon, lambda: job.previews >= 1)
    crate.data.clear_geometry()
    connected.script.hold_at = None
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    assert len(crate.maquette.result.data.vertices) == 8
    assert "nothing of it could be carried" in crate.maquette.result["maquette_prompt_reading"]


def test_a_job_found_after_a_restart_delivers_as_it_was_asked_to(
    addon: Addon, connected: SmallBackend, tmp_path
) -> None:
    crate = scenes.cube(prompt=None)
    scenes.add_target(crate, "a crate", mode="keep_topology")
    target().delivery = "SHAPE_KEY"
    connected.script.hold_at = 2
    job = begin(addon)
    pump_until(addon, lambda: job.previews >= 1)
    target().delivery = "NEW_OBJECT"  # too late for this job
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    addon("pump").runtime().disconnect()
    addon("pump").runtime().job = None
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    connected.script.hold_at = None
    pump_until(addon, lambda: bpy.data.meshes["Crate"].shape_keys is not None)
    assert "Maquette" in bpy.data.meshes["Crate"].shape_keys.key_blocks
    assert "Crate refined" not in bpy.data.objects


def test_previews_have_the_modifiers_and_leave_the_original_alone(addon: Addon, connected: SmallBackend) -> None:
    table = nasty_meshes.rigged()
    table.constraints.clear()
    materials = [fingerprint._properties(material, 3) for material in bpy.data.materials]
    before, count = scenes.state(), len(shown(table))
    connected.script.hold_at = 2
    job = begin(addon)
    pump_until(addon, lambda: job.previews >= 1)
    (preview,) = addon("scene_writing").previews()
    assert len(shown(preview)) == count
    assert [modifier.type for modifier in preview.modifiers] == ["ARMATURE", "SUBSURF"]
    assert len(preview.data.polygons) == len(table.data.polygons)
    start = positions(table.data, "Basis")
    moved = positions(preview.data, "Maquette")[1] / start[1]
    assert 1 < moved[0] < GROWTH
    assert preview.data.materials[0].name.startswith("Table (Maquette preview)")
    assert [fingerprint._properties(bpy.data.materials[name["name"]], 3) for name in materials] == materials
    bpy.ops.maquette.cancel()
    assert scenes.differences(before, scenes.state()) == {}
