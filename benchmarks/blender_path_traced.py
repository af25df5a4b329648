"""Path-traces spheres of the Principled BSDF with Cycles, for the lighting benchmark. Runs inside Blender.

Call: blender_path_traced.py FOLDER. Reads scene.json and light.npy [h,w,3] there (linear, row 0 straight down; left out:
black), writes image.npy float32 [H,W,4], row 0 at the bottom.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix


def main(folder: Path) -> None:
    """Render the scene that lies in ``folder``."""
    plan = json.loads((folder / "scene.json").read_text())
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    _settings(scene, plan)
    _light(scene, folder / "light.npy")
    for lamp in plan["lamps"]:
        _lamp(scene, lamp)
    for k, sphere in enumerate(plan["spheres"]):
        _sphere(scene, sphere, k % plan["columns"], k // plan["columns"])
    scene.render.filepath = str(folder / "image.exr")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    image.colorspace_settings.name = "Non-Color"
    pixels = np.zeros(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    np.save(folder / "image.npy", pixels.reshape(image.size[1], image.size[0], 4))


def _settings(scene: Any, plan: dict[str, Any]) -> None:
    columns, rows, side = plan["columns"], plan["rows"], plan["side_px"]
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = plan["samples"]
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = False
    scene.cycles.pixel_filter_type = "BOX"
    scene.cycles.filter_width = 1.0
    scene.cycles.blur_glossy = 0.0
    scene.cycles.sample_clamp_indirect = 0.0
    scene.render.threads_mode = "FIXED"
    scene.render.threads = 2
    scene.render.film_transparent = True
    scene.render.resolution_x, scene.render.resolution_y = columns * side, rows * side
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    camera = bpy.data.cameras.new("camera")
    camera.type = "ORTHO"
    camera.ortho_scale = 2.0 * max(columns, rows)
    holder = bpy.data.objects.new("camera", camera)
    holder.location = (columns - 1.0, -10.0, rows - 1.0)
    holder.rotation_euler = (np.pi / 2, 0.0, 0.0)
    scene.collection.objects.link(holder)
    scene.camera = holder


def _light(scene: Any, picture: Path) -> None:
    world = bpy.data.worlds.new("world")
    scene.world = world
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    nodes["Background"].inputs["Color"].default_value = (0, 0, 0, 1)
    if not picture.exists():
        return
    light = np.load(picture)
    height, width, _ = light.shape
    image = bpy.data.images.new("light", width, height, float_buffer=True)
    image.colorspace_settings.name = "Non-Color"
    texels = np.concatenate([light, np.ones_like(light[..., :1])], -1)
    image.pixels.foreach_set(np.ascontiguousarray(texels, np.float32).ravel())
    image.update()
    image.pack()
    node = nodes.new("ShaderNodeTexEnvironment")
    node.image = image
    links.new(node.outputs["Color"], nodes["Background"].inputs["Color"])


def _lamp(scene: Any, plan: dict[str, Any]) -> None:
    data = bpy.data.lights.new("lamp", plan["kind"].upper())
    data.energy, data.color = plan["strength"], plan["color"]
    if plan["kind"] == "sun":
        data.angle = 0.0
    else:
        data.shadow_soft_size = 0.0
    holder = bpy.data.objects.new("lamp", data)
    scene.collection.objects.link(holder)
    holder.matrix_world = Matrix(plan["world_from_lamp"])


def _sphere(scene: Any, plan: dict[str, Any], column: int, row: int) -> None:
    """A ball of radius 0.9 in its cell of 2 × 2, seen by the camera only: no sphere lights another."""
    bpy.ops.mesh.primitive_uv_sphere_add(
        segments=192, ring_count=96, radius=0.9, location=(2.0 * column, 0.0, 2.0 * row)
    )
    ball = bpy.context.object
    bpy.ops.object.shade_smooth()
    ball.visible_diffuse = ball.visible_glossy = ball.visible_shadow = ball.visible_transmission = False
    material = bpy.data.materials.new("ball")
    material.use_nodes = True
    surface = material.node_tree.nodes["Principled BSDF"]
    surface.distribution = plan["distribution"]
    surface.inputs["Base Color"].default_value = (*plan["albedo"], 1)
    surface.inputs["Roughness"].default_value = plan["roughness"]
    surface.inputs["Metallic"].default_value = plan["metallic"]
    surface.inputs["IOR"].default_value = 1.5
    ball.data.materials.append(material)


if __name__ == "__main__":
    main(Path(sys.argv[-1]))
