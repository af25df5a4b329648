"""Check UVs, Select Bad Faces, New UV Map; Check Views and Add Cameras: in real Blender, on known faults."""

from __future__ import annotations

import blender_scenes as scenes
import bpy
import numpy as np
import pytest
from driving import Addon, pump_until

pytestmark = pytest.mark.blender


def paint():
    return bpy.context.scene.maquette.targets[0].paint


def uvs_of(mesh: bpy.types.Mesh, layer: str) -> np.ndarray:
    values = np.zeros((len(mesh.loops), 2), np.float32)
    mesh.uv_layers[layer].uv.foreach_get("vector", values.ravel())
    return values


def stacked_crate() -> bpy.types.Object:
    """A cube whose first two faces have the same place in the UV map."""
    crate = scenes.cube(prompt=None)
    scenes.add_target(crate, "a crate", mode="texture_only")
    layer = crate.data.uv_layers.active
    for one, other in zip(crate.data.polygons[0].loop_indices, crate.data.polygons[1].loop_indices, strict=True):
        layer.uv[other].vector = layer.uv[one].vector
    return crate


def test_a_sound_map_is_said_to_be(addon: Addon) -> None:
    scenes.cube()
    assert bpy.ops.maquette.check_uvs() == {"FINISHED"}
    assert paint().uv_report.startswith("The UV map “UVMap” of Crate is sound.")
    assert not paint().has_bad_faces
    assert bpy.ops.maquette.select_bad_faces() == {"CANCELLED"}
    assert bpy.context.mode == "OBJECT"


def test_bad_faces_are_selected_in_edit_mode(addon: Addon) -> None:
    crate = stacked_crate()
    bpy.ops.maquette.check_uvs()
    assert paint().has_bad_faces
    assert "2 faces lie on other faces" in paint().uv_report
    assert bpy.ops.maquette.select_bad_faces() == {"FINISHED"}
    assert bpy.context.mode == "EDIT_MESH"
    bpy.ops.object.mode_set(mode="OBJECT")
    assert [face.index for face in crate.data.polygons if face.select] == [0, 1]


def test_a_mesh_that_a_script_made_shows_its_faces_too(addon: Addon) -> None:
    thing = scenes.mesh_object("Sheet", [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (2, 0, 0)], [(0, 1, 2, 3), (1, 4, 2)])
    scenes.add_target(thing, "a sheet", mode="texture_only")
    layer = thing.data.uv_layers.new(name="UVMap", do_init=False)
    for loop, place in zip(range(4), ((0, 0), (1, 0), (1, 1), (0, 1)), strict=True):
        layer.uv[loop].vector = place
    thing.data.polygons[1].hide = True
    assert bpy.ops.maquette.select_bad_faces() == {"FINISHED"}
    bpy.ops.object.mode_set(mode="OBJECT")
    assert [face.select for face in thing.data.polygons] == [False, True]
    assert not thing.data.polygons[1].hide


def test_a_new_map_is_sound_and_the_artists_own_stay_to_the_last_bit(addon: Addon) -> None:
    crate = stacked_crate()
    crate.data.uv_layers.new(name="Lightmap")
    crate.data.uv_layers["UVMap"].active_render = True
    crate.data.polygons[2].hide = True
    before = scenes.state()
    kept = {layer.name: uvs_of(crate.data, layer.name) for layer in crate.data.uv_layers}
    assert bpy.ops.maquette.make_uvs() == {"FINISHED"}
    assert crate.data.uv_layers.active.name == "Maquette UV"
    assert crate.data.uv_layers["UVMap"].active_render
    for name, values in kept.items():
        np.testing.assert_array_equal(uvs_of(crate.data, name), values)
    assert not paint().has_bad_faces
    assert "“Maquette UV” of Crate is sound" in paint().uv_report
    found = scenes.differences(before, scenes.state())
    assert set(found) == {"meshes/Crate", "scenes/Scene"}, found  # the new map; the report
    assert set(found["meshes/Crate"]) <= {
        "uv_layers", "uv_layer_stencil", "attributes", "uv_layer_clone", "polygons", "loops", "uv_layer_clone_index", "uv_layer_stencil_index",
    }
    assert crate.data.polygons[2].hide


def test_without_a_map_the_check_says_what_to_do(addon: Addon) -> None:
    thing = scenes.mesh_object("Sheet", [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], [(0, 1, 2, 3)])
    scenes.add_target(thing, "a sheet")
    bpy.ops.maquette.check_uvs()
    assert "Sheet has no UV map." in paint().uv_report
    bpy.context.view_layer.objects.active = thing
    assert bpy.ops.maquette.make_uvs() == {"FINISHED"}
    assert thing.data.uv_layers.active.name == "Maquette UV"


def test_a_thin_rim_does_not_fold_over_itself(addon: Addon) -> None:
    """A vase's neck, whose narrow rim joins its inside to its outside: at the usual angle limit its islands overlap."""
    outside = [(0.102, 0.219), (0.093, 0.238), (0.083, 0.256), (0.072, 0.274), (0.063, 0.289), (0.056, 0.303), (0.051, 0.315),
               (0.049, 0.325), (0.048, 0.336), (0.05, 0.347), (0.054, 0.359), (0.061, 0.371), (0.065, 0.381), (0.067, 0.387)]
    inside = [(0.066, 0.39), (0.064, 0.39), (0.06, 0.387), (0.056, 0.381), (0.051, 0.371), (0.044, 0.359), (0.037, 0.347),
              (0.03, 0.336), (0.022, 0.325)]  # fmt: skip
    around, profile = np.linspace(0, 2 * np.pi, 48, endpoint=False), outside + inside
    vertices = [(r * np.cos(a), r * np.sin(a), z) for r, z in profile for a in around]
    faces = [
        (48 * ring + at, 48 * ring + (at + 1) % 48, 48 * (ring + 1) + (at + 1) % 48, 48 * (ring + 1) + at)
        for ring in range(len(profile) - 1)
        for at in range(48)
    ]
    thing = scenes.mesh_object("Rim", vertices, faces)
    scenes.add_target(thing, "a vase", mode="texture_only")
    assert bpy.ops.maquette.make_uvs() == {"FINISHED"}
    assert not paint().has_bad_faces, paint().uv_report


def test_eight_maps_are_all_that_fit(addon: Addon) -> None:
    crate = scenes.cube()
    while len(crate.data.uv_layers) < 8:
        crate.data.uv_layers.new()
    with pytest.raises(RuntimeError, match="8 UV maps already"):
        bpy.ops.maquette.make_uvs()


# ---- what the views see ---------------------------------------------------------------------------
def test_the_orbit_sees_all_of_a_cube_but_its_floor(addon: Addon) -> None:
    crate = scenes.cube()
    coverage = addon("coverage")
    shape = coverage.shape_of(bpy.context, crate)
    rig = addon("_protocol").recipe.CameraRig()
    found = coverage.look(shape, coverage.directions_of(rig, shape))
    down = [face.index for face in crate.data.polygons if face.normal.z < -0.9]
    assert np.flatnonzero(found.unseen).tolist() == down
    assert found.share == pytest.approx(5 / 6)
    bpy.ops.maquette.check_views()
    assert paint().unseen_report == "1 faces, 17% of the surface, are seen by no view."
    assert bpy.ops.maquette.select_unseen() == {"FINISHED"}
    bpy.ops.object.mode_set(mode="OBJECT")
    assert [face.index for face in crate.data.polygons if face.select] == down


def test_a_wall_hides_what_is_behind_it(addon: Addon) -> None:
    """Two sheets face to face: each hides the other's inside from a view along their normal."""
    front = [(-1, 0, -1), (1, 0, -1), (1, 0, 1), (-1, 0, 1)]
    back = [(x, 0.2, z) for x, _, z in front]
    thing = scenes.mesh_object("Walls", front + back, [(0, 1, 2, 3), (4, 5, 6, 7)])  # both face −Y
    coverage = addon("coverage")
    shape = coverage.shape_of(bpy.context, thing)
    assert coverage.look(shape, np.array([[0.0, -1.0, 0.0]])).seen.tolist() == [True, False]
    assert coverage.look(shape, np.array([[0.0, 1.0, 0.0]])).seen.tolist() == [False, False]


def test_cameras_are_added_only_when_asked_and_see_what_was_unseen(addon: Addon) -> None:
    crate = scenes.cube()
    camera = bpy.data.objects.new("Mine", bpy.data.cameras.new("Mine"))
    camera.matrix_world.translation = (0, -3, 0.2)
    camera.rotation_euler = (1.5, 0, 0)
    bpy.context.collection.objects.link(camera)
    settings = bpy.context.scene.maquette
    settings.cameras = "SCENE"
    bpy.ops.maquette.check_views()
    assert "5 faces, 83% of the surface" in paint().unseen_report or "4 faces" in paint().unseen_report
    assert len([thing for thing in bpy.data.objects if thing.type == "CAMERA"]) == 1
    assert bpy.ops.maquette.add_cameras() == {"FINISHED"}
    added = bpy.data.collections["Maquette Cameras"].objects
    assert 1 <= len(added) <= 6
    assert paint().unseen_report.startswith("1 faces, 17%"), "only the floor is left"
    bpy.context.view_layer.update()
    read = addon("camera_reading").read_cameras(bpy.context.scene)
    corners = [crate.matrix_world @ vertex.co for vertex in crate.data.vertices]
    seen = addon("_protocol").recipe  # the cameras are ordinary ones, which the recipe takes
    assert all(isinstance(one, seen.Camera) for one in read)
    for one in read:
        if one.name == "Mine":
            continue
        inverse = np.linalg.inv(np.reshape(one.world_from_camera, (4, 4)))
        local = np.array([[*corner, 1] for corner in corners]) @ inverse.T
        reach = np.abs(local[:, :2]) / -local[:, 2:3]
        assert (local[:, 2] < 0).all()
        assert (reach[:, 1] < np.tan(one.fov_y / 2)).all()


def test_what_stands_before_the_only_camera_hides_and_an_added_one_stands_free(addon: Addon) -> None:
    """A screen before the artist's camera counts if it is sent, or is a target too; the orbit is never hidden."""
    scenes.cube()
    camera = bpy.data.objects.new("Mine", bpy.data.cameras.new("Mine"))
    camera.matrix_world.translation = (0, -8, 0)
    camera.rotation_euler = (1.5708, 0, 0)
    bpy.context.collection.objects.link(camera)
    scenes.mesh_object("Screen", [(-6, -5, -6), (6, -5, -6), (6, -5, 6), (-6, -5, 6)], [(0, 1, 2, 3)])
    settings = bpy.context.scene.maquette
    settings.active_target = 0
    settings.cameras, settings.include_context = "SCENE", False
    bpy.ops.maquette.check_views()
    assert paint().unseen_report.startswith("5 faces, 83%")
    settings.include_context = True
    bpy.ops.maquette.check_views()
    assert paint().unseen_report.startswith("6 faces, 100%")
    settings.cameras = "BOTH"
    bpy.ops.maquette.check_views()
    assert paint().unseen_report.startswith("1 faces, 17%")
    settings.cameras = "SCENE"
    assert bpy.ops.maquette.add_cameras() == {"FINISHED"}
    assert paint().unseen_report.startswith("1 faces, 17%")


def test_a_large_mesh_is_looked_at_in_bounded_time(addon: Addon) -> None:
    import time

    bpy.ops.mesh.primitive_uv_sphere_add(segments=200, ring_count=150)
    thing = bpy.context.object
    coverage = addon("coverage")
    shape = coverage.shape_of(bpy.context, thing)
    rig = addon("_protocol").recipe.CameraRig()
    began = time.thread_time()
    found = coverage.look(shape, coverage.directions_of(rig, shape), budget_secs=0.5)
    assert time.thread_time() - began < 2.0  # its own work, however busy the machine is
    assert found.looked_at.any()
    # the orbit looks down from 5° at the least: what faces down steeply is not seen
    steep = shape.normals[:, 2] < -0.97
    assert not (found.seen & steep).any()
    assert (found.seen | ~found.looked_at)[shape.normals[:, 2] > 0.2].all()


def test_a_check_of_a_large_mesh_is_spread_over_many_steps(addon: Addon) -> None:
    """100,000 quads: no step is a fourth of the work. `make bench ONLY=blender` holds the longest to 100 ms."""
    import time

    bpy.ops.mesh.primitive_grid_add(x_subdivisions=316, y_subdivisions=316)
    looked_at, coverage = addon("looked_at"), addon("coverage")
    spent = [time.thread_time()]
    mesh = looked_at.read(bpy.context, bpy.context.object)
    spent.append(time.thread_time())
    making = looked_at.shaping(mesh)
    while True:
        try:
            next(making)
            spent.append(time.thread_time())
        except StopIteration as end:
            spent.append(time.thread_time())
            shape = end.value
            break
    assert max(np.diff(spent)) < 0.25 * (spent[-1] - spent[0])
    assert len(spent) > 10
    assert len(shape.trees) > 5
    assert len(shape.areas) == len(bpy.context.object.data.polygons) > 99_000
    assert coverage.look(shape, np.array([[0.0, 0.0, 1.0]]), np.arange(len(shape.areas)) < 100).seen[:100].all()


def test_a_bent_face_is_looked_at_on_its_surface_not_below_it(addon: Addon) -> None:
    """The mean of the corners lies off both triangles, above or below, however the face is split."""
    coverage = addon("coverage")
    for heights in ((0.0, 0.3, 0.0, 0.3), (0.3, 0.0, 0.3, 0.0)):
        corners = [(x, y, z) for (x, y), z in zip(((0, 0), (1, 0), (1, 1), (0, 1)), heights, strict=True)]
        thing = scenes.mesh_object("Bent", corners, [(0, 1, 2, 3)])
        shape = coverage.shape_of(bpy.context, thing)
        above = np.array([[0.0, 0.0, 1.0]])
        assert all(coverage._sees(shape, place, shape.middle + above[0] * 3) for place in range(len(shape.places)))
        assert coverage.look(shape, above).seen.all()
        thing.scale.x = -1
        bpy.context.view_layer.update()
        mirrored = coverage.shape_of(bpy.context, thing)
        np.testing.assert_allclose(mirrored.normals, shape.normals * (-1, 1, 1), atol=1e-6)


def test_a_face_of_many_corners_is_looked_at_in_few_places_all_over_it(addon: Addon) -> None:
    bpy.ops.mesh.primitive_circle_add(vertices=300, radius=1.0, fill_type="NGON")
    shape = addon("coverage").shape_of(bpy.context, bpy.context.object)
    assert 8 <= len(shape.places) <= 16
    assert shape.areas == pytest.approx([np.pi], rel=1e-3)
    assert shape.places[:, :2].std(axis=0).min() > 0.3


def test_a_button_checks_bit_by_bit_and_blender_answers_meanwhile(addon: Addon) -> None:
    bpy.ops.mesh.primitive_uv_sphere_add(segments=64, ring_count=48)
    thing = bpy.context.object
    scenes.add_target(thing, "a ball", mode="texture_only")
    now = addon("pump").runtime()
    now.view_check = check = addon("view_check").ViewCheck(bpy.context, thing, "add")
    assert not bpy.ops.maquette.check_views.poll()
    seen = []
    pump_until(addon, lambda: seen.append(check.progress) or now.view_check is None, timeout_secs=60)
    assert len(set(seen)) > 4, "in several ticks"
    assert seen == sorted(seen)
    assert bpy.ops.maquette.check_views.poll()
    assert "are seen by no view" in paint().unseen_report
    # what a script does at once says the same
    said = paint().unseen_report
    cameras = [one for one in bpy.data.objects if one.type == "CAMERA"]
    assert check.said.startswith(f"{len(cameras)} cameras were added." if cameras else "No camera would see more")
    assert bpy.ops.maquette.check_views() == {"FINISHED"}
    assert paint().unseen_report == said


def test_a_target_that_goes_while_it_is_checked_is_forgotten(addon: Addon) -> None:
    bpy.ops.mesh.primitive_uv_sphere_add(segments=64, ring_count=48)
    thing = bpy.context.object
    scenes.add_target(thing, "a ball", mode="texture_only")
    now = addon("pump").runtime()
    now.view_check = addon("view_check").ViewCheck(bpy.context, thing, "check")
    now.tick(bpy.context)
    bpy.data.objects.remove(thing)
    pump_until(addon, lambda: now.view_check is None, timeout_secs=60)
    assert paint().unseen_report == ""
