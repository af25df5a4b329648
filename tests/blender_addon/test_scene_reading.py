"""Objects and cameras → the recipe: checked against closed forms and Blender's own projection."""

from __future__ import annotations

import math
from dataclasses import replace

import blender_scenes as scenes
import bpy
import numpy as np
import pytest
from driving import Addon
from mathutils import Matrix

pytestmark = pytest.mark.blender


def test_cube_is_read_as_it_is(addon: Addon) -> None:
    crate = scenes.cube()
    found = addon("mesh_reading").read_mesh(bpy.context, crate)
    np.testing.assert_array_equal(found.positions, [tuple(v.co) for v in crate.data.vertices])
    assert found.triangles.shape == (12, 3)
    corners = found.positions[found.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((normals * corners.mean(axis=1)).sum(axis=1) > 0).all()  # counter-clockwise seen from outside
    # signed volume by the divergence theorem: exactly that of a unit cube
    assert np.einsum("ij,ij->", np.cross(corners[:, 0], corners[:, 1]), corners[:, 2]) / 6 == pytest.approx(1)


def test_uvs_are_those_of_the_active_layer_corner_by_corner(addon: Addon) -> None:
    crate = scenes.cube()
    other = crate.data.uv_layers.new(name="Other")
    for index, item in enumerate(other.data):
        item.uv = (index, -index)
    crate.data.uv_layers.active = crate.data.uv_layers["Other"]
    found = addon("mesh_reading").read_mesh(bpy.context, crate)
    crate.data.calc_loop_triangles()
    expected = [[(loop, -loop) for loop in triangle.loops] for triangle in crate.data.loop_triangles]
    np.testing.assert_array_equal(found.corner_uvs, expected)


def test_without_uvs_there_are_none(addon: Addon) -> None:
    thing = scenes.mesh_object("Plane", [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], [(0, 1, 2, 3)])
    assert addon("mesh_reading").read_mesh(bpy.context, thing).corner_uvs is None


@pytest.mark.parametrize("hidden", [False, True])
def test_modifiers_parents_and_negative_scale_are_evaluated(addon: Addon, hidden: bool) -> None:
    stand = bpy.data.objects.new("Stand", None)
    bpy.context.collection.objects.link(stand)
    stand.location, stand.rotation_euler = (1, 2, 3), (0, 0, math.pi / 2)
    crate = scenes.cube()
    crate.parent, crate.location, crate.scale = stand, (1, 0, 0), (-1, 2, 3)
    crate.modifiers.new("Array", "ARRAY").count = 3
    crate.hide_viewport = hidden
    before = scenes.state()
    found = addon("mesh_reading").read_mesh(bpy.context, crate)
    assert found.positions.shape == (24, 3)
    expected = Matrix.Translation((1, 2, 3)) @ Matrix.Rotation(math.pi / 2, 4, "Z")
    expected = expected @ Matrix.Translation((1, 0, 0)) @ Matrix.Diagonal((-1, 2, 3, 1))
    np.testing.assert_allclose(np.reshape(found.world_from_object, (4, 4)), expected, atol=1e-6)
    assert scenes.differences(before, scenes.state()) == {}


@pytest.mark.parametrize("fit", ["AUTO", "HORIZONTAL", "VERTICAL"])
@pytest.mark.parametrize("size", [(1920, 1080, 1.0, 1.0), (600, 900, 1.0, 1.0), (800, 800, 1.0, 1.5)])
def test_field_of_view_is_that_of_blenders_projection(
    addon: Addon, fit: str, size: tuple[int, int, float, float]
) -> None:
    bpy.ops.object.camera_add(location=(1, 2, 3), rotation=(0.3, 0.2, 0.1))
    thing, render = bpy.context.object, bpy.context.scene.render
    thing.scale = (2, 2, 2)
    thing.data.sensor_fit, thing.data.lens = fit, 35
    thing.data.sensor_width, thing.data.sensor_height = 32, 18
    render.resolution_x, render.resolution_y, render.pixel_aspect_x, render.pixel_aspect_y = size
    bpy.context.view_layer.update()
    found = addon("camera_reading").read_camera(bpy.context.scene, thing)
    projection = thing.calc_matrix_camera(
        bpy.context.evaluated_depsgraph_get(), x=size[0], y=size[1], scale_x=size[2], scale_y=size[3]
    )
    assert 1 / math.tan(found.fov_y / 2) == pytest.approx(projection[1][1], rel=1e-5)
    assert projection[1][1] / found.aspect == pytest.approx(projection[0][0], rel=1e-5)
    expected = Matrix.Translation(thing.location) @ thing.rotation_euler.to_matrix().to_4x4()
    np.testing.assert_allclose(np.reshape(found.world_from_camera, (4, 4)), expected, atol=1e-6)


def test_recipe_holds_the_settings_and_repeats(addon: Addon) -> None:
    scenes.cube()
    settings = bpy.context.scene.maquette
    settings.seed, settings.geometry_steps, settings.texture_size, settings.geometry_scale = 7, 11, "512", 12.5
    first, second = (addon("scene_reading").read_scene(bpy.context) for _ in range(2))
    assert first.recipe == second.recipe
    assert (first.recipe.seed, first.recipe.stages.geometry_steps) == (7, 11)
    assert first.recipe.subjects[0].texture_size == 512
    assert first.recipe.guidance.geometry_scale == 12.5
    assert first.recipe.guidance.appearance_scale is None
    text = addon("_protocol").recipe_text
    assert text.recipe_from_json(text.recipe_to_json(first.recipe)) == first.recipe


def test_a_chosen_preset_arrives_in_the_recipe(addon: Addon) -> None:
    """Of a model of the artist's own with all its figures; a built-in prior keeps its own scales, times and lengths."""
    scenes.cube()
    presets, settings = addon("_protocol").presets, bpy.context.scene.maquette
    read = addon("scene_reading").read_scene
    settings.geometry_steps = 11
    settings.preset = "xdreamer"
    starters = read(bpy.context).recipe
    assert starters.guidance == presets.guidance_of("xdreamer", "starter")
    assert (starters.guidance.cg_lora, starters.guidance.ama, starters.guidance.geometry_scale) == (True, 0.1, None)
    assert starters.stages.geometry_steps == 11
    settings.prior = "sd15"
    for name in presets.preset_names():
        settings.preset = name
        made, own = read(bpy.context).recipe, presets.PRESETS[name]
        assert made.guidance == own.guidance
        assert made.stages == own.stages
    settings.preset, settings.appearance_scale, settings.appearance_steps = "prolificdreamer", 12.5, 40
    made = read(bpy.context).recipe
    assert (made.guidance.method, made.guidance.geometry_scale, made.guidance.appearance_scale) == ("vsd", 100.0, 12.5)
    assert (made.stages.geometry_steps, made.stages.appearance_steps) == (15_000, 40)


def test_priors_control_nets_and_moving_scales_arrive_in_the_recipe(addon: Addon) -> None:
    scenes.cube()
    read, priors = addon("scene_reading").read_scene, bpy.context.scene.maquette_priors
    plain = read(bpy.context).recipe
    priors.further.add()  # a line in which nothing is chosen yet
    priors.controls.add()
    assert read(bpy.context).recipe == plain
    bpy.context.scene.maquette.geometry_scale, priors.geometry_scale_end = 100, 20
    priors.prior_weight, priors.further[0].model, priors.further[0].weight = 0.5, "mv", 40
    priors.controls[0].model, priors.controls[0].weight = "depths", 0.75
    made, parts = read(bpy.context).recipe, addon("_protocol").recipe
    assert made.guidance == replace(plain.guidance, geometry_scale=100.0, geometry_scale_end=20.0)
    assert (made.prior_weight, made.further_priors) == (0.5, (parts.FurtherPrior("mv", 40.0),))
    assert made.controls == (parts.Control("depths", 0.75),)


@pytest.mark.parametrize(("kind", "what"), [("further", "prior"), ("controls", "ControlNet")])
def test_a_model_that_the_backend_has_not_is_named_before_anything_is_sent(addon: Addon, kind: str, what: str) -> None:
    scenes.cube()
    getattr(bpy.context.scene.maquette_priors, kind).add().model = "gone"
    with pytest.raises(addon("_protocol").errors.MaquetteError, match=f"no {what} “gone”"):
        addon("scene_reading").read_scene(bpy.context, ("starter",), ())


def test_surroundings_are_visible_meshes_that_are_no_targets(addon: Addon) -> None:
    scenes.cube()
    scenes.cube("Wall", location=(3, 0, 0), prompt=None)
    scenes.cube("Hidden", location=(6, 0, 0), prompt=None).hide_viewport = True
    bpy.context.scene.maquette.include_context = True
    reading = addon("scene_reading").read_scene(bpy.context)
    assert [context.name for context in reading.recipe.context] == ["Wall"]
    assert reading.recipe.context[0].mesh == reading.recipe.subjects[0].mesh  # equal arrays are sent once
    assert len(reading.blobs) == 3
