"""What the artist sets for one target, and what that comes to."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false

from __future__ import annotations

from dataclasses import dataclass

import bpy
from bpy.props import (
    BoolProperty,
    BoolVectorProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from .look_settings import MaquettePaint

MOST_QUADS = 5000
"""QuadriFlow blocks Blender for seconds beyond that."""
FULL_STRENGTH_PERCENT = 10.0
"""Of the object's longest side: what strength 1 means in a recipe."""
MODES = (
    ("remesh", "Remesh", "A new surface with as much detail as the grid allows"),
    ("keep_topology", "Keep Topology", "Move the mesh's own vertices; faces, UVs, groups and rig stay"),
    ("texture_only", "Texture Only", "Leave the shape alone and make a texture"),
)
MASKS = (
    ("NONE", "Whole Object", "All of the surface may move"),
    ("GROUP", "Vertex Group", "A vertex moves as far as its weight says: 0 keeps it exactly in place, 1 is full Strength"),
    ("SELECTED", "Selection", "Only vertices (or those of faces) that are selected when Refine is pressed move"),
    ("ATTRIBUTE", "Attribute", "A float, boolean or color attribute of points, faces or face corners: 0 stays, 1 moves"),
)
DELIVERIES = (
    ("NEW_OBJECT", "New Object", "A copy with modifiers, rig and all layers takes the original's place; that one is kept"),
    ("SHAPE_KEY", "Shape Key", "The original gets a shape key “Maquette” at value 1; its own positions are kept"),
)
SOURCES = (
    ("AUTO", "Automatic", "The base mesh for Keep Topology, which is written back to it; else the mesh as displayed"),
    ("BASE", "Base Mesh", "The mesh as in Edit Mode, without modifiers and shape keys, which stay live"),
    ("EVALUATED", "As Displayed", "The mesh with its modifiers and shape keys, which the result has applied"),
)
INSTANCES = (
    ("SINGLE_USER", "Make Single-User", "Only this object changes; the others keep the shared mesh"),
    ("ALL", "Change All", "Every object that shares the mesh gets the refined one"),
)


def _is_mesh(_self: bpy.types.PropertyGroup, candidate: bpy.types.Object) -> bool:
    return candidate.type == "MESH" and candidate.maquette.role == "NONE"


def _get_percent(self: bpy.types.PropertyGroup) -> float:
    return self.strength * FULL_STRENGTH_PERCENT


def _set_percent(self: bpy.types.PropertyGroup, value: float) -> None:
    self.strength = value / FULL_STRENGTH_PERCENT


class MaquetteTarget(bpy.types.PropertyGroup):
    """One object to refine."""

    object: PointerProperty(name="Object", description="Mesh to refine", type=bpy.types.Object, poll=_is_mesh)
    prompt: StringProperty(name="Prompt", description="What the refined object should look like, in words")
    negative_prompt: StringProperty(name="Negative Prompt", description="What it should not look like")
    mode: EnumProperty(name="Mode", description="What may change", items=MODES)
    strength: FloatProperty(
        name="Strength",
        description="How far the surface may move: 1 is 10 % of the object's longest side",
        default=0.5,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    strength_percent: FloatProperty(
        name="Strength",
        description="How far the surface may move at most, in per cent of the object's longest side",
        get=_get_percent,
        set=_set_percent,
        min=0.0,
        max=FULL_STRENGTH_PERCENT,
        precision=1,
        subtype="PERCENTAGE",
        options={"SKIP_SAVE"},
    )
    stay_close: FloatProperty(
        name="Stay Close",
        description="How strongly the surface is held where it was: 0 hardly, 1 so that it moves only with good reason",
        default=0.5,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    mask_source: EnumProperty(name="Mask", description="Which part of the surface may move", items=MASKS)
    mask_group: StringProperty(name="Group", description="Vertex group whose weights say how far each vertex may move")
    mask_attribute: StringProperty(name="Attribute", description="Attribute whose values say how far each vertex may move")
    mask_invert: BoolProperty(name="Invert", description="Move what the mask would keep, and keep what it would move")
    mask_feather: FloatProperty(
        name="Feather",
        description="Width of the soft border inside the mask, in per cent of the object's longest side",
        default=5.0,
        min=0.0,
        max=100.0,
        precision=1,
        subtype="PERCENTAGE",
    )
    symmetry: BoolVectorProperty(
        name="Symmetry",
        description="Halves that mirror each other across the object's own X, Y or Z go on doing so",
        size=3,
        subtype="XYZ",
    )
    flat_bottom: BoolProperty(
        name="Flat Bottom", description="What rests on the object's lowest plane rests there still, and nothing sinks below"
    )
    keep_sharp: BoolProperty(
        name="Keep Sharp Edges", description="Edges marked sharp or creased keep their angle", default=True
    )
    triangle_budget: IntProperty(
        name="Triangle Budget",
        description="Most triangles of the new surface, 100 or more; 0: as many as the grid gives",
        min=0,
        soft_max=100_000,
        max=500_000,
    )
    make_quads: BoolProperty(
        name="Quads",
        description="Let Blender's QuadriFlow make quads of the new surface when it arrives, and carry everything over to "
        "them. Blender does not answer meanwhile: about 2 seconds for 2,000 quads, 7 for 5,000. Small detail is "
        "lost, and what a mask or a symmetry keeps in place is kept only about as exactly as a quad is large",
    )
    quad_count: IntProperty(
        name="Count", description="About how many quads are made", default=2000, min=100, max=MOST_QUADS
    )
    delivery: EnumProperty(name="Result", description="Where the moved vertices go", items=DELIVERIES)
    read_from: EnumProperty(name="Read", description="Which of the object's meshes is refined", items=SOURCES)
    paint: PointerProperty(name="Paint", description="How this target is painted", type=MaquettePaint)
    instances: EnumProperty(
        name="Shared Mesh", description="What happens to other objects that share the mesh", items=INSTANCES
    )


@dataclass(frozen=True)
class Delivery:
    """How a result comes back; settled when a job starts, since the settings may change while it runs."""

    base: bool = False
    """The base mesh was sent, so a result of the same topology belongs on it; else on the evaluated one."""
    shape_key: bool = False
    """As a shape key of the original, in place of a new object."""
    all_users: bool = False
    """Also for the other objects that share the mesh."""
    mirrored: bool = False
    """The halves that Mirror modifiers make were sent too, after the mesh's own vertices and triangles."""
    quads: int = 0
    """About how many quads are made of a new surface; 0: it stays triangles."""
    slots: tuple[int, ...] = ()
    """The material slots that the result's material covers; none: all."""
    tiles: tuple[int, ...] = (1001,)
    """The UDIM tiles that were sent as one square."""


def reads_base(target: MaquetteTarget) -> bool:
    """Whether the base mesh is what is refined, not the evaluated one."""
    return target.read_from == "BASE" or (target.read_from == "AUTO" and target.mode == "keep_topology")


def delivery_of(target: MaquetteTarget) -> Delivery:
    """What the settings say now."""
    keeps = target.mode == "keep_topology"
    base = reads_base(target)
    everyone = target.mode != "remesh" and base and target.instances == "ALL"
    quads = target.quad_count if target.mode == "remesh" and target.make_quads else 0
    return Delivery(base, keeps and target.delivery == "SHAPE_KEY", everyone, quads=quads)
