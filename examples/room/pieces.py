"""The coarse pieces that the demo refines, as an artist would block them out: thick boxes and tapering cylinders.

Metres, Z up, front towards −Y. Some are welded into one lumpy surface, some are left as the parts they were made of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import bpy  # isort: skip  # first: it brings the two below with it
import bmesh
from mathutils import Matrix, Vector

VOXEL = 0.07
"""Edge of the voxels that a welded piece keeps, metres."""
LUMPS = 0.016
"""How far the waves push a welded piece's vertices, metres: a block-out is never exact."""


@dataclass(frozen=True)
class Box:
    """A box along the axes."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @property
    def transform(self) -> Matrix:
        """Takes the cube of side 1 about the origin to this box."""
        size = Vector(self.high) - Vector(self.low)
        return Matrix.Translation((Vector(self.low) + Vector(self.high)) / 2) @ Matrix.Diagonal((*size, 1.0))


@dataclass(frozen=True)
class Drum:
    """A standing cylinder, or a cone's stump."""

    foot: tuple[float, float, float]
    height: float
    radius: float
    top_radius: float
    segments: int = 16


Part = Box | Drum


@dataclass(frozen=True)
class Piece:
    """One coarse mesh."""

    parts: tuple[Part, ...]
    welded: bool


@dataclass(frozen=True)
class Placed:
    """An object of the scene: which mesh, where it stands, and how it is turned about Z."""

    name: str
    mesh: str
    position: tuple[float, float, float]
    turn_deg: float


def _legs(half_x: float, half_y: float, thick: float, height: float) -> tuple[Box, ...]:
    """Four square legs, their outer edges at ±half_x and ±half_y."""
    inner_x, inner_y = half_x - thick, half_y - thick
    return tuple(
        Box((x, y, 0.0), (x + thick, y + thick, height)) for x in (-half_x, inner_x) for y in (-half_y, inner_y)
    )


PIECES = {
    "Chair": Piece(
        (
            Box((-0.24, -0.24, 0.38), (0.24, 0.24, 0.50)),
            Box((-0.24, 0.14, 0.48), (0.24, 0.25, 0.98)),
            *_legs(0.25, 0.25, 0.12, 0.40),
        ),
        welded=True,
    ),
    "Table": Piece((Box((-0.62, -0.40, 0.60), (0.62, 0.40, 0.75)), *_legs(0.60, 0.38, 0.17, 0.62)), welded=True),
    "Armchair": Piece(
        (
            Box((-0.36, -0.35, 0.10), (0.36, 0.31, 0.40)),
            Box((-0.36, 0.13, 0.20), (0.36, 0.37, 0.92)),
            Box((-0.43, -0.36, 0.10), (-0.23, 0.30, 0.60)),
            Box((0.23, -0.36, 0.10), (0.43, 0.30, 0.60)),
            *_legs(0.37, 0.32, 0.15, 0.14),
        ),
        welded=False,
    ),
    "Lamp": Piece(
        (
            Drum((0.0, 0.0, 0.0), 0.08, 0.23, 0.19),
            Drum((0.0, 0.0, 0.05), 1.15, 0.055, 0.055, segments=12),
            Drum((0.0, 0.0, 1.12), 0.40, 0.31, 0.20),
        ),
        welded=False,
    ),
    "Cabinet": Piece(
        (
            Box((-0.52, -0.22, 0.10), (0.52, 0.22, 0.80)),
            Box((-0.56, -0.26, 0.78), (0.56, 0.24, 0.88)),
            *_legs(0.50, 0.21, 0.12, 0.14),
        ),
        welded=False,
    ),
}

PLACED = (
    Placed("Cabinet", "Cabinet", (-2.20, 1.50, 0.0), 0.0),
    Placed("Chair", "Chair", (-0.62, -0.60, 0.0), 26.0),
    Placed("Table", "Table", (0.40, 0.60, 0.0), -5.0),
    Placed("TwinChair", "Chair", (1.28, -0.60, 0.0), -12.0),
    Placed("Lamp", "Lamp", (2.10, 1.40, 0.0), 0.0),
    Placed("Armchair", "Armchair", (2.60, 0.05, 0.0), -38.0),
)
"""What stands in the room; two objects share the chair's mesh."""


def build_pieces(into: bpy.types.Collection, look: bpy.types.Material) -> None:
    """Every coarse piece, with a transform of its own."""
    meshes = {name: _mesh_of(name, piece, seed, into) for seed, (name, piece) in enumerate(PIECES.items())}
    for mesh in meshes.values():
        mesh.materials.append(look)
    for placed in PLACED:
        thing = bpy.data.objects.new(placed.name, meshes[placed.mesh])
        thing.location = placed.position
        thing.rotation_euler = (0.0, 0.0, math.radians(placed.turn_deg))
        into.objects.link(thing)


def parts_mesh(name: str, parts: Sequence[Part]) -> bpy.types.Mesh:
    """Separate closed parts in one mesh."""
    shape = bmesh.new()
    for part in parts:
        if isinstance(part, Box):
            bmesh.ops.create_cube(shape, size=1.0, matrix=part.transform)
        else:
            _add_drum(shape, part)
    mesh = bpy.data.meshes.new(name)
    shape.to_mesh(mesh)
    shape.free()
    return mesh


def _add_drum(shape: bmesh.types.BMesh, drum: Drum) -> None:
    middle = Vector(drum.foot) + Vector((0.0, 0.0, drum.height / 2))
    bmesh.ops.create_cone(
        shape, cap_ends=True, segments=drum.segments, radius1=drum.radius, radius2=drum.top_radius,
        depth=drum.height, matrix=Matrix.Translation(middle),
    )  # fmt: skip


def _mesh_of(name: str, piece: Piece, seed: int, into: bpy.types.Collection) -> bpy.types.Mesh:
    mesh = parts_mesh(name, piece.parts)
    if not piece.welded:
        return mesh
    solid = _welded(mesh, into)
    _lump(solid, seed)
    return solid


def _welded(mesh: bpy.types.Mesh, into: bpy.types.Collection) -> bpy.types.Mesh:
    """Parts joined into one closed surface, as coarse as the voxels leave it. ``mesh`` is used up."""
    name = mesh.name
    thing = bpy.data.objects.new(name, mesh)
    into.objects.link(thing)
    weld = thing.modifiers.new("Weld", "REMESH")
    weld.mode, weld.voxel_size = "VOXEL", VOXEL
    bpy.context.view_layer.update()
    solid = bpy.data.meshes.new_from_object(thing.evaluated_get(bpy.context.evaluated_depsgraph_get()))
    bpy.data.objects.remove(thing)
    bpy.data.meshes.remove(mesh)
    solid.name = name
    return solid


def _lump(mesh: bpy.types.Mesh, seed: int) -> None:
    """Push vertices about in slow waves, then stand the mesh on the ground again."""
    for vertex in mesh.vertices:
        x, y, z = vertex.co * 9.0
        wave = Vector((math.sin(y + 2 * z + seed), math.sin(z + 2 * x + seed), 0.6 * math.sin(x + 2 * y + seed)))
        vertex.co += LUMPS * wave
    lowest = min(vertex.co.z for vertex in mesh.vertices)
    for vertex in mesh.vertices:
        vertex.co.z -= lowest
