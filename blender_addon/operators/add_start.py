"""Add > Mesh > Maquette Start: a closed shape to refine, where there is no mesh yet."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false

from __future__ import annotations

import math

import bpy
import numpy as np
from bpy.props import EnumProperty, FloatVectorProperty, IntProperty
from bpy_extras.object_utils import AddObjectHelper, object_data_add

from .. import start_shapes

_SHAPES = (
    ("ELLIPSOID", "Ellipsoid", "For fruit, animals, heads, stones", "MESH_UVSPHERE"),
    ("CYLINDER", "Cylinder", "For vases, lamps, trunks, towers", "MESH_CYLINDER"),
    ("BOX", "Box", "For furniture, houses, machines", "MESH_CUBE"),
)
_SIZES = {"ELLIPSOID": (1.0, 1.0, 1.2), "CYLINDER": (0.8, 0.8, 1.2), "BOX": (1.0, 1.0, 1.0)}
_RIM = math.radians(60)


class MAQUETTE_OT_add_start(bpy.types.Operator, AddObjectHelper):
    """Add a closed shape of even quads with UVs, to refine from scratch"""

    bl_idname = "maquette.add_start"
    bl_label = "Maquette Start"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    shape: EnumProperty(
        name="Shape",
        description="What to start from",
        items=[(*item[:3], item[3], at) for at, item in enumerate(_SHAPES)],
    )
    dimensions: FloatVectorProperty(
        name="Size", description="Width, depth and height", size=3, min=1e-4, default=(1, 1, 1), subtype="XYZ_LENGTH"
    )
    parts: IntProperty(name="Parts", description="Quads along each side", default=12, min=1, max=200, soft_max=64)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode in ("OBJECT", "EDIT_MESH"):
            return True
        cls.poll_message_set("Go to Object Mode first")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        size = self.dimensions if self.properties.is_property_set("dimensions") else _SIZES[self.shape]
        self.dimensions = size
        name = f"Maquette {self.shape.capitalize()}"
        object_data_add(context, _mesh(name, self.shape, self.parts, tuple(size)), operator=self)
        return {"FINISHED"}


def _mesh(name: str, shape: start_shapes.Shape, parts: int, size: tuple[float, ...]) -> bpy.types.Mesh:
    positions, quads, uvs = start_shapes.start_shape(shape, parts)
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata((positions * np.array(size) / 2).tolist(), [], quads.tolist())
    layer = mesh.uv_layers.new(name="UVMap", do_init=False)
    layer.data.foreach_set("uv", uvs.ravel())
    if shape != "BOX":
        mesh.polygons.foreach_set("use_smooth", np.ones(len(quads), bool))
        mesh.set_sharp_from_angle(angle=_RIM)
    mesh.update()
    return mesh


class MAQUETTE_MT_start(bpy.types.Menu):
    """Closed shapes to refine"""

    bl_idname = "MAQUETTE_MT_start"
    bl_label = "Maquette Start"

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.operator_context = "INVOKE_REGION_WIN"
        for shape, label, _, icon in _SHAPES:
            self.layout.operator("maquette.add_start", text=label, icon=icon).shape = shape


def draw_in_add_menu(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    """The entry at the end of Add > Mesh."""
    menu.layout.separator()
    menu.layout.menu("MAQUETTE_MT_start", icon="MOD_REMESH")


def attach() -> None:
    """Add the entry to Blender's menu."""
    bpy.types.VIEW3D_MT_mesh_add.append(draw_in_add_menu)


def detach() -> None:
    """Undo ``attach``."""
    bpy.types.VIEW3D_MT_mesh_add.remove(draw_in_add_menu)
