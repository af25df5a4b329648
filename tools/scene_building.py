"""The room of ``make scene-examples``: six plain pieces to paint, what stands around them, cameras, and two lightings.

Metres, Z up, front towards −Y. Everything is made here from numbers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import bpy  # isort: skip  # first: it brings the rest with it
import bmesh
from mathutils import Matrix, Vector
from pieces import Box, Drum, Part, parts_mesh

SIZE = (640, 376)
"""Width and height of a picture, pixels."""
SHARP = math.radians(30)
"""Edges that turn by more than this are shown as edges."""
Color = tuple[float, float, float]
Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Piece:
    """An object that is painted."""

    name: str
    prompt: str
    place: tuple[float, float, float]
    turn_deg: float
    parts: tuple[Part, ...] = ()
    profile: Curve = ()
    """Radius and height from the foot up, turned about Z; in place of parts."""
    round: float = 0.0
    """Width of the rounding of the parts' edges, metres."""


def _legs(x: float, y: float, thick: float, height: float) -> tuple[Box, ...]:
    """Four square legs, their outer edges at ±x and ±y."""
    corners = [(left, front) for left in (-x, x - thick) for front in (-y, y - thick)]
    return tuple(Box((left, front, 0.0), (left + thick, front + thick, height)) for left, front in corners)


PIECES = (
    Piece(
        "Sofa", "a red sofa", (-0.95, 0.95, 0.0), 0.0,
        (
            Box((-0.95, -0.40, 0.12), (0.95, 0.40, 0.32)),
            Box((-0.94, 0.20, 0.30), (0.94, 0.42, 0.84)),
            Box((-1.10, -0.42, 0.12), (-0.90, 0.42, 0.62)),
            Box((0.90, -0.42, 0.12), (1.10, 0.42, 0.62)),
            Box((-0.90, -0.40, 0.31), (-0.005, 0.24, 0.46)),
            Box((0.005, -0.40, 0.31), (0.90, 0.24, 0.46)),
            *_legs(1.04, 0.36, 0.07, 0.14),
        ),
        round=0.04,
    ),
    Piece(
        "Table", "a wooden coffee table", (-0.75, -0.55, 0.0), 8.0,
        (Box((-0.60, -0.34, 0.36), (0.60, 0.34, 0.41)), Box((-0.54, -0.28, 0.30), (0.54, 0.28, 0.37)),
         *_legs(0.57, 0.31, 0.07, 0.37)),
        round=0.012,
    ),
    Piece(
        "Vase", "a blue vase", (-0.62, -0.52, 0.41), 0.0,
        profile=((0.0, 0.0), (0.075, 0.0), (0.115, 0.08), (0.125, 0.15), (0.10, 0.23), (0.055, 0.30), (0.045, 0.34),
                 (0.07, 0.39), (0.06, 0.39), (0.035, 0.34), (0.0, 0.30)),
    ),
    Piece(
        "Chair", "a brown wooden chair", (1.05, -0.65, 0.0), 42.0,
        (
            Box((-0.23, -0.23, 0.42), (0.23, 0.23, 0.47)),
            Box((-0.23, 0.19, 0.62), (0.23, 0.225, 0.96)),
            Box((-0.23, 0.185, 0.0), (-0.185, 0.23, 0.95)),
            Box((0.185, 0.185, 0.0), (0.23, 0.23, 0.95)),
            Box((-0.22, -0.22, 0.0), (-0.175, -0.175, 0.43)),
            Box((0.175, -0.22, 0.0), (0.22, -0.175, 0.43)),
        ),
        round=0.01,
    ),
    Piece(
        "Cabinet", "a green wooden cabinet with drawers", (1.75, 1.15, 0.0), -6.0,
        (
            Box((-0.55, -0.22, 0.10), (0.55, 0.22, 0.86)),
            Box((-0.58, -0.25, 0.85), (0.58, 0.23, 0.90)),
            *(Box((-0.51, -0.25, low), (0.51, -0.21, low + 0.22)) for low in (0.13, 0.37, 0.61)),
            *_legs(0.53, 0.20, 0.07, 0.12),
        ),
        round=0.012,
    ),
    Piece(
        "Lamp", "a yellow floor lamp", (0.62, 1.30, 0.0), 0.0,
        (
            Drum((0.0, 0.0, 0.0), 0.04, 0.17, 0.15, segments=48),
            Drum((0.0, 0.0, 0.03), 1.25, 0.018, 0.018, segments=24),
            Drum((0.0, 0.0, 1.22), 0.36, 0.25, 0.16, segments=48),
        ),
        round=0.008,
    ),
)  # fmt: skip
CAMERAS = (
    ("Camera.Front", (0.2, -4.6, 1.5), 30.0),
    ("Camera.Left", (-3.6, -3.2, 1.7), 30.0),
    ("Camera.Right", (3.8, -3.2, 1.7), 30.0),
    ("Camera.High", (0.3, -3.4, 3.4), 28.0),
)
"""Name, position, focal length in millimetres; all look at the middle of the room."""
_AIM = Vector((0.25, 0.45, 0.5))
_PICTURE = ("Camera.Picture", (0.55, -4.9, 1.75), 37.0)


def build() -> list[bpy.types.Object]:
    """An empty scene becomes the room; the pieces, in the order of ``PIECES``."""
    scene = bpy.context.scene
    _build_shell()
    clay = material("Clay", (0.5, 0.5, 0.5))
    built = [_piece(one, clay) for one in PIECES]
    cameras = [_camera(*one) for one in (*CAMERAS, _PICTURE)]
    scene.camera = cameras[-1]
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    scene.view_settings.look = "AgX - Medium High Contrast"
    sky()
    return built


def sky() -> None:
    """Soft light of a pale sky from everywhere, and more of it from above the left."""
    _world((0.78, 0.86, 1.0), 0.75)
    _light("AREA", (-2.8, -3.0, 4.0), (0.92, 0.96, 1.0), 260.0, size=4.0)


def evening() -> None:
    """A low, warm sun from the right, and little else."""
    _world((0.32, 0.38, 0.6), 0.28)
    _light("SUN", (4.0, -4.6, 2.5), (1.0, 0.62, 0.32), 5.0, size=math.radians(1.5))


def material(name: str, color: Color, roughness: float = 0.8) -> bpy.types.Material:
    """A plain material, linear colour."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    inputs = made.node_tree.nodes["Principled BSDF"].inputs
    inputs["Base Color"].default_value, inputs["Roughness"].default_value = (*color, 1.0), roughness
    return made


def _build_shell() -> None:
    """Boards, two walls, a skirting, a rug: they stay as they are."""
    floor = material("Floor", (0.42, 0.36, 0.30), 0.5)
    boards = [Box((-3.2 + 0.25 * at, -6.0, -0.05), (-2.956 + 0.25 * at, 1.9, 0.0)) for at in range(27)]
    boards.append(Box((-3.2, -6.0, -0.08), (3.6, 1.9, -0.05)))  # below them: no light from under the gaps
    _add("Floor", parts_mesh("Floor", boards), floor)
    wall = material("Wall", (0.62, 0.60, 0.56), 0.95)
    _add("Wall.Back", parts_mesh("Wall", [Box((-3.3, 1.9, -0.05), (3.5, 2.0, 2.8))]), wall)
    _add("Wall.Left", parts_mesh("Wall", [Box((-3.3, -6.0, -0.05), (-3.2, 2.0, 2.8))]), wall)
    edge = parts_mesh("Skirting", [Box((-3.2, 1.88, 0.0), (3.5, 1.9, 0.09)), Box((-3.2, -6.0, 0.0), (-3.18, 1.9, 0.09))])
    _add("Skirting", edge, material("Skirting", (0.8, 0.79, 0.76), 0.5))
    rug = _add("Rug", parts_mesh("Rug", [Drum((0, 0, 0), 0.012, 1.0, 0.99, segments=64)]), material("Rug", (0.5, 0.48, 0.44), 1.0))
    rug.location, rug.scale = (-0.6, -0.25, 0.0), (1.75, 1.1, 1.0)


def _piece(piece: Piece, look: bpy.types.Material) -> bpy.types.Object:
    mesh = _turned(piece.name, piece.profile) if piece.profile else parts_mesh(piece.name, piece.parts)
    if piece.round:
        _round(mesh, piece.round)
    mesh.shade_smooth()
    mesh.set_sharp_from_angle(angle=SHARP)
    made = _add(piece.name, mesh, look)
    made.location, made.rotation_euler = piece.place, (0.0, 0.0, math.radians(piece.turn_deg))
    return made


def _round(mesh: bpy.types.Mesh, width: float) -> None:
    """Bevel every edge that is one."""
    shape = bmesh.new()
    shape.from_mesh(mesh)
    edges = [edge for edge in shape.edges if edge.calc_face_angle(0.0) > SHARP]
    bmesh.ops.bevel(shape, geom=edges, offset=width, segments=3, profile=0.5, affect="EDGES", clamp_overlap=True)
    bmesh.ops.dissolve_degenerate(shape, dist=1e-5, edges=shape.edges)  # where a thin part left the rounding no room
    shape.to_mesh(mesh)
    shape.free()


def _turned(name: str, profile: Curve, segments: int = 48) -> bpy.types.Mesh:
    """A closed surface of revolution whose profile begins and ends on the axis, smoothed once."""
    shape = bmesh.new()
    line = [shape.verts.new((radius, 0.0, height)) for radius, height in _smoothed(profile)]
    edges = [shape.edges.new(pair) for pair in itertools.pairwise(line)]
    bmesh.ops.spin(shape, geom=[*line, *edges], axis=(0, 0, 1), cent=(0, 0, 0), angle=math.tau, steps=segments, use_merge=True)
    bmesh.ops.remove_doubles(shape, verts=shape.verts, dist=1e-5)
    bmesh.ops.recalc_face_normals(shape, faces=shape.faces)
    mesh = bpy.data.meshes.new(name)
    shape.to_mesh(mesh)
    shape.free()
    return mesh


def _smoothed(profile: Curve, rounds: int = 2) -> Iterable[tuple[float, float]]:
    """Corners cut (Chaikin 1974); both ends stay."""
    points = list(profile)
    for _ in range(rounds):
        cut = [points[0]]
        for (r, z), (s, y) in itertools.pairwise(points):
            cut += [(0.75 * r + 0.25 * s, 0.75 * z + 0.25 * y), (0.25 * r + 0.75 * s, 0.25 * z + 0.75 * y)]
        points = [*cut, points[-1]]
    return points


def _add(name: str, mesh: bpy.types.Mesh, look: bpy.types.Material) -> bpy.types.Object:
    made = bpy.data.objects.new(name, mesh)
    mesh.materials.append(look)
    bpy.context.scene.collection.objects.link(made)
    return made


def _camera(name: str, place: Sequence[float], focal_mm: float) -> bpy.types.Object:
    made = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    made.data.lens = focal_mm
    made.matrix_world = _looking(Vector(place), _AIM)
    bpy.context.scene.collection.objects.link(made)
    return made


def _light(kind: str, place: Sequence[float], color: Color, energy: float, size: float) -> None:
    """One lamp in place of those there are."""
    for old in [thing for thing in bpy.data.objects if thing.type == "LIGHT"]:
        bpy.data.objects.remove(old)
    lamp = bpy.data.lights.new("Light", kind)
    lamp.color, lamp.energy = color, energy
    if kind == "SUN":
        lamp.angle = size
    else:
        lamp.size = size
    made = bpy.data.objects.new("Light", lamp)
    made.matrix_world = _looking(Vector(place), _AIM)
    bpy.context.scene.collection.objects.link(made)


def _looking(place: Vector, aim: Vector) -> Matrix:
    turned = (aim - place).to_track_quat("-Z", "Y").to_matrix().to_4x4()
    turned.translation = place
    return turned


def _world(color: Color, strength: float) -> None:
    world = bpy.data.worlds.get("World") or bpy.data.worlds.new("World")
    world.use_nodes = True
    inputs = world.node_tree.nodes["Background"].inputs
    inputs["Color"].default_value, inputs["Strength"].default_value = (*color, 1.0), strength
    bpy.context.scene.world = world
