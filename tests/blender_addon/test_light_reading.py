"""The scene's light as it is told to the backend; an environment image lies as Cycles shows it."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
from driving import Addon

pytestmark = pytest.mark.blender


def world() -> bpy.types.World:
    made = bpy.data.worlds.new("Sky")
    made.use_nodes = True
    bpy.context.scene.world = made
    return made


def test_a_plain_world_and_lamps_are_told(addon: Addon) -> None:
    light = addon("light_reading")
    with pytest.raises(addon("_protocol").errors.MaquetteError, match="neither a world"):
        light.read_light(bpy.context.scene)
    background = world().node_tree.nodes["Background"]
    background.inputs["Color"].default_value, background.inputs["Strength"].default_value = (0.5, 0.25, 0.125, 1), 2.0
    for kind, energy in (("SUN", 3.0), ("POINT", 40.0), ("AREA", 10.0)):
        lamp = bpy.data.lights.new(kind, kind)
        lamp.energy, lamp.color = energy, (1.0, 0.5, 0.25)
        thing = bpy.data.objects.new(kind, lamp)
        thing.location, thing.scale = (1, 2, 3), (5, 5, 5)
        bpy.context.collection.objects.link(thing)
    bpy.context.view_layer.update()
    found = light.read_light(bpy.context.scene)
    assert np.allclose(found.environment, (1.0, 0.5, 0.25))
    assert sorted((lamp.kind, lamp.strength) for lamp in found.lamps) == [("point", 40.0), ("sun", 3.0)]
    assert all(lamp.world_from_lamp == (1, 0, 0, 1, 0, 1, 0, 2, 0, 0, 1, 3, 0, 0, 0, 1) for lamp in found.lamps)
    assert found.lamps[0].color == (1.0, 0.5, 0.25)
    assert found.left_out == ("AREA",)


def test_an_environment_image_lies_as_cycles_shows_it(addon: Addon) -> None:
    """A camera that looks at the sky sees in each direction the colour that was read there; turned by a quarter."""
    tree = world().node_tree
    sky = bpy.data.images.new("Sky", 8, 4, float_buffer=True)
    colors = np.zeros((4, 8, 4), np.float32)
    colors[:, :2], colors[:, 2:4], colors[:, 4:6], colors[:, 6:] = (1, 0, 0, 1), (0, 1, 0, 1), (0, 0, 1, 1), (1, 1, 0, 1)
    sky.pixels.foreach_set(colors.ravel())
    sky.pack()
    node = tree.nodes.new("ShaderNodeTexEnvironment")
    node.image, node.interpolation = sky, "Closest"
    tree.links.new(node.outputs["Color"], tree.nodes["Background"].inputs["Color"])
    coordinates, mapping = tree.nodes.new("ShaderNodeTexCoord"), tree.nodes.new("ShaderNodeMapping")
    tree.links.new(coordinates.outputs["Generated"], mapping.inputs["Vector"])
    tree.links.new(mapping.outputs["Vector"], node.inputs["Vector"])
    mapping.inputs["Rotation"].default_value[2] = np.radians(90)
    environment = addon("light_reading").read_light(bpy.context.scene).environment
    assert environment is not None
    for azimuth in (-0.8, 0.8):
        u = (0.5 - azimuth / (2 * np.pi)) % 1.0
        read_there = environment[environment.shape[0] // 2, int(u * environment.shape[1])]
        np.testing.assert_allclose(_rendered_sky(azimuth), read_there, atol=0.05)


def _rendered_sky(azimuth: float) -> np.ndarray:
    """Linear colour [3] that Cycles shows in a horizontal direction."""
    from mathutils import Vector

    scene = bpy.context.scene
    camera = bpy.data.objects.new("Eye", bpy.data.cameras.new("Eye"))
    camera.data.lens = 200
    camera.rotation_euler = Vector((np.cos(azimuth), np.sin(azimuth), 0)).to_track_quat("-Z", "Y").to_euler()
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    scene.render.resolution_x = scene.render.resolution_y = 8
    scene.render.image_settings.file_format = "OPEN_EXR"
    path = Path(bpy.app.tempdir) / "sky.exr"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    shown = bpy.data.images.load(str(path), check_existing=False)
    pixels = np.array(shown.pixels).reshape(8, 8, 4)[4, 4, :3]
    bpy.data.images.remove(shown)
    bpy.data.objects.remove(camera)
    return pixels
