"""A coarse piece and what became of it, side by side in clay. Needs Blender's Python."""

from __future__ import annotations

from pathlib import Path

import bpy  # isort: skip  # first: it brings the rest with it
from demo_renders import kept, quiet
from mathutils import Vector

SIZE = (880, 480)
SAMPLES = 48
QUALITY = 88
CLAY = (0.62, 0.55, 0.48, 1.0)


def picture(path: Path, start: bpy.types.Object, result: bpy.types.Object) -> None:
    """Render both into a JPEG by Cycles, in a scene of its own that is gone afterwards."""
    scene = bpy.data.scenes.new("Picture")
    shown = [thing.copy() for thing in (start, result)]
    try:
        clay = _clay()
        width = 1.25 * max(start.dimensions.x, start.dimensions.y)
        for thing, side in zip(shown, (-1, 1), strict=True):
            thing.data = thing.data.copy()
            thing.data.materials.clear()
            thing.data.materials.append(clay)
            thing.modifiers.clear()
            thing.parent = None
            thing.location = (side * width / 2, 0, 0)
            thing.hide_render = thing.hide_viewport = False
            scene.collection.objects.link(thing)
        _light(scene)
        _look(scene, shown)
        _render(scene, path)
    finally:
        bpy.data.scenes.remove(scene)
        for thing in shown:
            bpy.data.meshes.remove(thing.data)


def _clay() -> bpy.types.Material:
    clay = bpy.data.materials.get("Clay") or bpy.data.materials.new("Clay")
    clay.use_nodes = True
    inputs = clay.node_tree.nodes["Principled BSDF"].inputs
    inputs["Base Color"].default_value, inputs["Roughness"].default_value = CLAY, 0.7
    return clay


def _light(scene: bpy.types.Scene) -> None:
    """A floor, a low sun from the left that draws edges, and a bright sky."""
    floor = bpy.data.meshes.new("Floor")
    floor.from_pydata([(-20, -20, 0), (20, -20, 0), (20, 20, 0), (-20, 20, 0)], [], [(0, 1, 2, 3)])
    scene.collection.objects.link(bpy.data.objects.new("Floor", floor))
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.data.energy, sun.data.angle = 3.0, 0.1
    sun.rotation_euler = Vector((0.75, 0.55, -0.75)).to_track_quat("-Z", "Y").to_euler()
    scene.collection.objects.link(sun)
    scene.world = bpy.data.worlds.new("Sky")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.75, 0.8, 0.9, 1)
    scene.world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0.45


def _look(scene: bpy.types.Scene, things: list[bpy.types.Object]) -> None:
    """From the front right and a little above, both pieces in full."""
    scene.view_layers[0].update()
    corners = [thing.matrix_world @ Vector(corner) for thing in things for corner in thing.bound_box]
    camera = bpy.data.objects.new("Eye", bpy.data.cameras.new("Eye"))
    camera.rotation_euler = Vector((-0.35, 1.0, -0.38)).to_track_quat("-Z", "Y").to_euler()
    camera.data.lens = 70
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    scene.view_layers[0].update()
    place, _ = camera.camera_fit_coords(scene.view_layers[0].depsgraph, [part for corner in corners for part in corner])
    camera.location = place
    camera.location += camera.rotation_euler.to_matrix() @ Vector((0, 0, 0.12 * max(thing.dimensions.z for thing in things)))


def _render(scene: bpy.types.Scene, path: Path) -> None:
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.device = SAMPLES, True, "CPU"
    scene.view_settings.view_transform = "Standard"
    with kept(scene.render.image_settings, file_format="JPEG", quality=QUALITY), kept(scene.render, filepath=str(path)), quiet():
        bpy.ops.render.render(write_still=True, scene=scene.name)
