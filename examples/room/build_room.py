"""Builds room.blend beside this file: ``.venv-blender-4.5/bin/python examples/room/build_room.py [FILE]``.

A small furnished room, metres, Z up, in which the coarse pieces of ``pieces.py`` stand. Everything is made here from
numbers; nothing is copied from anywhere.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import bpy  # isort: skip  # first: it brings the two below with it
import bmesh
from mathutils import Matrix, Vector
from pieces import Box, Drum, Part, build_pieces, parts_mesh

HERE = Path(__file__).resolve().parent
PICTURE_SIZE = (960, 520)
"""Width and height of the picture of the room, pixels."""
LEFT, RIGHT, FRONT, BACK, HEIGHT = -3.0, 4.2, -5.6, 1.9, 2.5
"""The room's inner faces, metres. It has no ceiling, as a stage has none."""
WINDOW = (-2.65, -1.75, 1.2, 1.95)
"""Left, right, lower and upper edge of the opening in the back wall, metres."""
CAMERAS: list[tuple[str, tuple[float, float, float], tuple[float, float, float], float]] = [
    # name, position, point looked at, focal length in millimetres
    ("Camera.Front", (0.3, -5.4, 1.5), (0.3, 0.0, 0.5), 28.0),
    ("Camera.Left", (-2.7, -4.4, 1.6), (0.3, 0.4, 0.5), 25.0),
    ("Camera.Right", (3.7, -4.2, 1.6), (0.2, 0.4, 0.5), 25.0),
    ("Camera.Top", (0.3, -3.4, 4.4), (0.3, 0.3, 0.4), 26.0),
    ("Camera.Beauty", (0.75, -5.5, 1.9), (0.48, 0.0, 0.75), 36.0),
]


def main() -> None:
    """Build the whole scene in an empty file and save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=HERE / "room.blend")
    chosen = parser.parse_args()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.unit_settings.system = "METRIC"
    build_shell(collection("Room"))
    build_context(collection("Context"))
    build_pieces(collection("Targets"), material("Clay", (0.5, 0.5, 0.5)))
    build_cameras(collection("Cameras"))
    build_lights(collection("Lights"))
    scene = bpy.context.scene
    scene.camera = bpy.data.objects["Camera.Beauty"]
    scene.view_settings.look = "AgX - Medium High Contrast"
    scene.render.resolution_x, scene.render.resolution_y = PICTURE_SIZE
    bpy.context.preferences.filepaths.save_version = 0
    bpy.ops.wm.save_as_mainfile(filepath=str(chosen.file), compress=True)


def build_shell(into: bpy.types.Collection) -> None:
    """Floor, two walls and a window opening in the back one."""
    wood = material("Floor", (0.36, 0.22, 0.12), roughness=0.45)
    plaster = material("Wall", (0.36, 0.43, 0.48), roughness=0.9)
    white = material("Skirting", (0.85, 0.84, 0.82), roughness=0.5)
    count = math.ceil((RIGHT - LEFT) / 0.3)
    lefts = [LEFT + 0.3 * index for index in range(count)]
    boards = [Box((left, FRONT, -0.05), (left + 0.294, BACK, 0.0)) for left in lefts]
    add_parts("Floor", boards, into, wood)
    add_parts("Wall.Left", [Box((LEFT - 0.1, FRONT, -0.05), (LEFT, BACK + 0.1, HEIGHT))], into, plaster)
    left, right, low, high = WINDOW
    outer = BACK + 0.1
    around_window = [
        Box((LEFT, BACK, -0.05), (left, outer, HEIGHT)),
        Box((right, BACK, -0.05), (RIGHT, outer, HEIGHT)),
        Box((left, BACK, -0.05), (right, outer, low)),
        Box((left, BACK, high), (right, outer, HEIGHT)),
    ]
    add_parts("Wall.Back", around_window, into, plaster)
    sky = material("Sky", (0.75, 0.87, 1.0), glow=1.0)
    add_parts("Sky", [Box((left - 0.2, outer, low - 0.2), (right + 0.2, outer + 0.02, high + 0.2))], into, sky)
    middle, half_way = (left + right) / 2, (low + high) / 2
    frame = [
        Box((middle - 0.02, BACK + 0.03, low), (middle + 0.02, BACK + 0.07, high)),
        Box((left, BACK + 0.035, half_way - 0.02), (right, BACK + 0.065, half_way + 0.02)),
        Box((left - 0.05, BACK - 0.08, low - 0.04), (right + 0.05, outer, low)),
    ]
    add_parts("Window", frame, into, white)
    skirting = [
        Box((LEFT, BACK - 0.02, 0), (RIGHT, BACK, 0.09)),
        Box((LEFT, FRONT, 0), (LEFT + 0.02, BACK, 0.09)),
    ]
    add_parts("Skirting", skirting, into, white)


def build_context(into: bpy.types.Collection) -> None:
    """What stands about and must never change: rug, picture, plant."""
    rug = material("Rug", (0.15, 0.145, 0.15), roughness=1.0)
    made = add_parts("Rug", [Drum((0.0, 0.0, 0.0), 0.004, 1.0, 1.0, segments=64)], into, rug)
    made.location, made.scale = (0.35, -0.05, 0.0), (2.0, 1.15, 1.0)
    dark = material("Frame", (0.06, 0.05, 0.045), roughness=0.4)
    add_parts("Picture.Frame", [Box((-0.35, BACK - 0.04, 1.2), (0.55, BACK, 1.78))], into, dark)
    picture = [
        ("Picture.Sky", Box((-0.29, BACK - 0.05, 1.48), (0.49, BACK - 0.038, 1.72)), (0.65, 0.75, 0.82)),
        ("Picture.Land", Box((-0.29, BACK - 0.05, 1.26), (0.49, BACK - 0.038, 1.48)), (0.55, 0.42, 0.18)),
    ]
    for name, box, color in picture:
        add_parts(name, [box], into, material(name, color, roughness=0.7))
    build_plant(into)


def build_plant(into: bpy.types.Collection) -> None:
    """A pot with bent leaves in the right-hand corner."""
    corner = Vector((3.45, 1.45, 0.0))
    clay = material("Pot", (0.62, 0.28, 0.16), roughness=0.8)
    add_parts("Plant.Pot", [Drum((0.0, 0.0, 0.0), 0.32, 0.17, 0.21, segments=40)], into, clay).location = corner
    shape = bmesh.new()
    for index in range(15):
        add_leaf(shape, turn=index * 2.4, lean=0.25 + 0.075 * index, length=0.95 - 0.025 * index)
    mesh = bpy.data.meshes.new("Plant.Leaves")
    shape.to_mesh(mesh)
    shape.free()
    leaves = add_mesh("Plant.Leaves", mesh, into, material("Leaf", (0.08, 0.27, 0.07), roughness=0.5))
    leaves.location = corner + Vector((0, 0, 0.3))


def add_leaf(shape: bmesh.types.BMesh, turn: float, lean: float, length: float) -> None:
    """One bent blade of eight segments, widest in the middle."""
    rows = []
    for step in range(9):
        along = step / 8
        angle = lean + 0.9 * along * along
        middle = Vector((math.sin(angle) * along * length, 0.0, math.cos(angle) * along * length))
        width = 0.055 * math.sin(math.pi * min(1.0, 0.12 + 0.88 * along)) + 0.002
        spin = Matrix.Rotation(turn, 3, "Z")
        rows.append([shape.verts.new(spin @ (middle + Vector((0.0, side * width, 0.0)))) for side in (-1, 1)])
    for (a, b), (c, d) in itertools.pairwise(rows):
        shape.faces.new((a, b, d, c))


def build_cameras(into: bpy.types.Collection) -> None:
    """Four cameras that all see every target, and one for the picture of the room."""
    for name, position, aim, focal_mm in CAMERAS:
        camera = bpy.data.objects.new(name, bpy.data.cameras.new(name))
        camera.data.lens = focal_mm
        camera.location = position
        camera.rotation_euler = (Vector(aim) - Vector(position)).to_track_quat("-Z", "Y").to_euler()
        into.objects.link(camera)


def build_lights(into: bpy.types.Collection) -> None:
    """Sun over the artist's left shoulder, a large soft light from the right, a dim sky."""
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.data.energy, sun.data.angle, sun.data.color = 2.3, math.radians(5), (1.0, 0.94, 0.85)
    sun.rotation_euler = Vector((0.5, 0.7, -1.4)).to_track_quat("-Z", "Y").to_euler()
    into.objects.link(sun)
    soft = bpy.data.objects.new("Softbox", bpy.data.lights.new("Softbox", "AREA"))
    soft.data.energy, soft.data.size = 80.0, 2.5
    soft.location = (2.6, -4.0, 3.4)
    soft.rotation_euler = (Vector((0.5, 0, 0.4)) - soft.location).to_track_quat("-Z", "Y").to_euler()
    into.objects.link(soft)
    world = bpy.data.worlds.new("World")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.75, 0.85, 1.0, 1.0)
    world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0.45
    bpy.context.scene.world = world


def collection(name: str) -> bpy.types.Collection:
    """A new collection in the scene."""
    made = bpy.data.collections.new(name)
    bpy.context.scene.collection.children.link(made)
    return made


def material(
    name: str, color: tuple[float, float, float], roughness: float = 0.8, glow: float = 0.0
) -> bpy.types.Material:
    """A plain material, linear colour; ``glow`` is emission strength."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    made.diffuse_color = (*color, 1.0)
    inputs = made.node_tree.nodes["Principled BSDF"].inputs
    inputs["Base Color"].default_value = (*color, 1.0)
    inputs["Roughness"].default_value = roughness
    inputs["Emission Color"].default_value = (*color, 1.0)
    inputs["Emission Strength"].default_value = glow
    return made


def add_mesh(name: str, mesh: bpy.types.Mesh, into: bpy.types.Collection, look: bpy.types.Material) -> bpy.types.Object:
    """A mesh as an object with one material."""
    made = bpy.data.objects.new(name, mesh)
    mesh.materials.append(look)
    into.objects.link(made)
    return made


def add_parts(
    name: str, parts: Sequence[Part], into: bpy.types.Collection, look: bpy.types.Material
) -> bpy.types.Object:
    """One object made of boxes and cylinders."""
    return add_mesh(name, parts_mesh(name, parts), into, look)


if __name__ == "__main__":
    main()
