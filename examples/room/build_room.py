"""Builds room.blend beside this file: ``.venv-blender-4.5/bin/python examples/room/build_room.py``.

A small furnished room, metres, Z up. Three targets stand in it as an artist would block them out:
a few thick boxes each, front towards the object's own −Y; two are welded into one lumpy surface, the
armchair is left as the boxes it was blocked from. Everything is made
here from numbers; nothing is copied from anywhere.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import bpy  # isort: skip  # first: it brings the two below with it
import bmesh
from mathutils import Euler, Matrix, Vector

HERE = Path(__file__).resolve().parent
Box = tuple[tuple[float, float, float], tuple[float, float, float]]
"""(smallest corner, largest corner), metres."""

CHAIR: list[Box] = [
    ((-0.24, -0.24, 0.38), (0.24, 0.24, 0.50)),
    ((-0.24, 0.14, 0.48), (0.24, 0.25, 0.98)),
    ((-0.25, -0.25, 0.0), (-0.13, -0.13, 0.40)),
    ((0.13, -0.25, 0.0), (0.25, -0.13, 0.40)),
    ((-0.25, 0.13, 0.0), (-0.13, 0.25, 0.40)),
    ((0.13, 0.13, 0.0), (0.25, 0.25, 0.40)),
]
TABLE: list[Box] = [
    ((-0.62, -0.40, 0.60), (0.62, 0.40, 0.75)),
    ((-0.60, -0.38, 0.0), (-0.43, -0.21, 0.62)),
    ((0.43, -0.38, 0.0), (0.60, -0.21, 0.62)),
    ((-0.60, 0.21, 0.0), (-0.43, 0.38, 0.62)),
    ((0.43, 0.21, 0.0), (0.60, 0.38, 0.62)),
]
ARMCHAIR: list[Box] = [
    ((-0.36, -0.35, 0.10), (0.36, 0.31, 0.40)),
    ((-0.36, 0.13, 0.20), (0.36, 0.37, 0.92)),
    ((-0.43, -0.36, 0.10), (-0.23, 0.30, 0.60)),
    ((0.23, -0.36, 0.10), (0.43, 0.30, 0.60)),
    ((-0.37, -0.32, 0.0), (-0.22, -0.17, 0.14)),
    ((0.22, -0.32, 0.0), (0.37, -0.17, 0.14)),
    ((-0.37, 0.17, 0.0), (-0.22, 0.32, 0.14)),
    ((0.22, 0.17, 0.0), (0.37, 0.32, 0.14)),
]

CAMERAS: list[tuple[str, tuple[float, float, float], tuple[float, float, float], float]] = [
    # name, position, point looked at, focal length in millimetres
    ("Camera.Front", (0.0, -4.6, 1.5), (0.0, 0.0, 0.45), 32.0),
    ("Camera.Left", (-2.1, -2.9, 1.6), (0.05, 0.0, 0.45), 22.0),
    ("Camera.Right", (4.0, -1.9, 1.6), (0.0, 0.0, 0.45), 30.0),
    ("Camera.Top", (0.0, -2.6, 3.8), (0.0, 0.05, 0.4), 30.0),
    ("Camera.Beauty", (2.3, -4.0, 1.75), (0.1, 0.1, 0.55), 42.0),
]


def main() -> None:
    """Build the whole scene in an empty file and save it."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.unit_settings.system = "METRIC"
    build_shell(collection("Room"))
    build_context(collection("Context"))
    build_targets(collection("Targets"))
    build_cameras(collection("Cameras"))
    build_lights(collection("Lights"))
    scene = bpy.context.scene
    scene.camera = bpy.data.objects["Camera.Beauty"]
    scene.render.resolution_x = scene.render.resolution_y = 640
    bpy.context.preferences.filepaths.save_version = 0
    bpy.ops.wm.save_as_mainfile(filepath=str(HERE / "room.blend"), compress=True)


def build_targets(into: bpy.types.Collection) -> None:
    """The three coarse pieces, each with a transform of its own."""
    grey = material("Clay", (0.5, 0.5, 0.5))
    placed = [
        ("Chair", CHAIR, True, (-1.25, -0.15, 0.0), 24.0),
        ("Table", TABLE, True, (0.05, 0.35, 0.0), -6.0),
        ("Armchair", ARMCHAIR, False, (1.35, -0.25, 0.0), -28.0),
    ]
    for seed, (name, boxes, weld, position, turn) in enumerate(placed):
        if weld:
            piece = welded(name, boxes, into, grey)
            lump(piece.data, seed)
        else:
            piece = add_mesh(name, box_mesh(name, boxes), into, grey)
        piece.location = position
        piece.rotation_euler = (0.0, 0.0, math.radians(turn))


def welded(name: str, boxes: Sequence[Box], into: bpy.types.Collection, look: bpy.types.Material) -> bpy.types.Object:
    """Boxes joined into one closed surface, as coarse as a voxel of 7 cm leaves it."""
    piece = add_mesh(name, box_mesh(name, boxes), into, look)
    weld = piece.modifiers.new("Weld", "REMESH")
    weld.mode = "VOXEL"
    weld.voxel_size = 0.07
    bpy.context.view_layer.update()
    solid = bpy.data.meshes.new_from_object(piece.evaluated_get(bpy.context.evaluated_depsgraph_get()))
    piece.modifiers.clear()
    boxy = piece.data
    piece.data = solid
    bpy.data.meshes.remove(boxy)
    solid.name = name
    return piece


def lump(mesh: bpy.types.Mesh, seed: int) -> None:
    """Push vertices about by two centimetres in slow waves: a block-out is never exact."""
    for vertex in mesh.vertices:
        x, y, z = vertex.co * 9.0
        wave = Vector((math.sin(y + 2 * z + seed), math.sin(z + 2 * x + seed), 0.6 * math.sin(x + 2 * y + seed)))
        vertex.co += 0.016 * wave
    lowest = min(vertex.co.z for vertex in mesh.vertices)
    for vertex in mesh.vertices:
        vertex.co.z -= lowest


def build_shell(into: bpy.types.Collection) -> None:
    """Floor, two walls and a window opening in the left one."""
    wood = material("Floor", (0.36, 0.22, 0.12), roughness=0.45)
    plaster = material("Wall", (0.78, 0.75, 0.69), roughness=0.9)
    white = material("Skirting", (0.85, 0.84, 0.82), roughness=0.5)
    boards = [((-2.4 + 0.3 * i, -4.2, -0.05), (-2.4 + 0.3 * i + 0.294, 1.9, 0.0)) for i in range(20)]
    add_boxes("Floor", boards, into, wood)
    add_boxes("Wall.Back", [((-2.4, 1.9, -0.05), (3.6, 2.0, 3.2))], into, plaster)
    around_window: list[Box] = [
        ((-2.5, -4.2, -0.05), (-2.4, -0.5, 3.2)),
        ((-2.5, 0.9, -0.05), (-2.4, 2.0, 3.2)),
        ((-2.5, -0.5, -0.05), (-2.4, 0.9, 0.9)),
        ((-2.5, -0.5, 2.15), (-2.4, 0.9, 3.2)),
    ]
    add_boxes("Wall.Left", around_window, into, plaster)
    frame: list[Box] = [
        ((-2.48, 0.17, 0.9), (-2.42, 0.23, 2.15)),
        ((-2.48, -0.5, 1.5), (-2.42, 0.9, 1.55)),
        ((-2.5, -0.55, 0.86), (-2.3, 0.95, 0.9)),
    ]
    add_boxes("Window", frame, into, white)
    add_boxes("Skirting", [((-2.4, 1.88, 0), (3.6, 1.9, 0.09)), ((-2.4, -4.2, 0), (-2.38, 1.9, 0.09))], into, white)


def build_context(into: bpy.types.Collection) -> None:
    """What stands about and must never change: rug, picture, lamp, plant."""
    add_disc("Rug", 1.0, 0.012, (0.05, -0.25, 0.0), into, material("Rug", (0.47, 0.16, 0.13), roughness=1.0), 1.75)
    dark = material("Frame", (0.06, 0.05, 0.045), roughness=0.4)
    add_boxes("Picture.Frame", [((-0.45, 1.86, 1.25), (0.45, 1.9, 1.9))], into, dark)
    picture = [
        ("Picture.Sky", ((-0.39, 1.85, 1.56), (0.39, 1.862, 1.84)), (0.65, 0.75, 0.82)),
        ("Picture.Land", ((-0.39, 1.85, 1.31), (0.39, 1.862, 1.56)), (0.55, 0.42, 0.18)),
    ]
    for name, box, color in picture:
        add_boxes(name, [box], into, material(name, color, roughness=0.7))
    build_lamp(into, dark)
    build_plant(into)


def build_lamp(into: bpy.types.Collection, dark: bpy.types.Material) -> None:
    """A standing lamp in the right-hand corner, with a real light in its shade."""
    corner = (2.0, 1.45)
    add_disc("Lamp.Foot", 0.16, 0.03, (*corner, 0.0), into, dark)
    add_disc("Lamp.Pole", 0.014, 1.45, (*corner, 0.0), into, dark)
    add_disc("Lamp.Shade", 0.22, 0.28, (*corner, 1.4), into, material("Shade", (0.95, 0.85, 0.65), glow=1.6), 1.0, 0.7)
    bulb = bpy.data.objects.new("Lamp.Light", bpy.data.lights.new("Lamp.Light", "POINT"))
    bulb.data.energy, bulb.data.color, bulb.data.shadow_soft_size = 12.0, (1.0, 0.8, 0.55), 0.15
    bulb.location = (*corner, 1.78)
    into.objects.link(bulb)


def build_plant(into: bpy.types.Collection) -> None:
    """A pot with bent leaves in the left-hand corner."""
    corner = Vector((-1.95, 1.4, 0.0))
    add_disc("Plant.Pot", 0.17, 0.32, tuple(corner), into, material("Pot", (0.62, 0.28, 0.16), roughness=0.8), 1.0, 1.25)
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
    """Sun through the window, a large soft light from the artist's side, a dim sky."""
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.data.energy, sun.data.angle, sun.data.color = 3.0, math.radians(3), (1.0, 0.93, 0.82)
    sun.rotation_euler = Euler((math.radians(20), math.radians(-58), 0.0))
    into.objects.link(sun)
    soft = bpy.data.objects.new("Softbox", bpy.data.lights.new("Softbox", "AREA"))
    soft.data.energy, soft.data.size = 110.0, 2.5
    soft.location = (1.2, -3.4, 3.4)
    soft.rotation_euler = (Vector((0, 0, 0.4)) - soft.location).to_track_quat("-Z", "Y").to_euler()
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


def box_mesh(name: str, boxes: Sequence[Box]) -> bpy.types.Mesh:
    """Separate closed boxes in one mesh."""
    shape = bmesh.new()
    for low, high in boxes:
        middle = (Vector(low) + Vector(high)) / 2
        size = Matrix.Diagonal((*(Vector(high) - Vector(low)), 1.0))
        bmesh.ops.create_cube(shape, size=1.0, matrix=Matrix.Translation(middle) @ size)
    mesh = bpy.data.meshes.new(name)
    shape.to_mesh(mesh)
    shape.free()
    return mesh


def add_mesh(
    name: str, mesh: bpy.types.Mesh, into: bpy.types.Collection, look: bpy.types.Material
) -> bpy.types.Object:
    """A mesh as an object with one material."""
    made = bpy.data.objects.new(name, mesh)
    mesh.materials.append(look)
    into.objects.link(made)
    return made


def add_boxes(name: str, boxes: Sequence[Box], into: bpy.types.Collection, look: bpy.types.Material) -> None:
    """One object made of boxes."""
    add_mesh(name, box_mesh(name, boxes), into, look)


def add_disc(
    name: str,
    radius: float,
    height: float,
    foot: tuple[float, ...],
    into: bpy.types.Collection,
    look: bpy.types.Material,
    stretch_x: float = 1.0,
    taper: float = 1.0,
) -> None:
    """A cylinder standing on ``foot``; ``taper`` is the top's radius over the bottom's."""
    shape = bmesh.new()
    bmesh.ops.create_cone(
        shape, cap_ends=True, segments=40, radius1=radius, radius2=radius * taper, depth=height,
        matrix=Matrix.Diagonal((stretch_x, 1, 1, 1)) @ Matrix.Translation((0, 0, height / 2)),
    )  # fmt: skip
    mesh = bpy.data.meshes.new(name)
    shape.to_mesh(mesh)
    shape.free()
    add_mesh(name, mesh, into, look).location = foot


if __name__ == "__main__":
    main()
