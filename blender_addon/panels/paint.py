"""Collapsed sub-panel of the chosen target: what its texture starts from, what of it may change, and on which UVs."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

import bpy

from .. import look_settings, properties, pump
from ..operators.uv_tools import chosen_target
from .shape import draw_mask
from .text import draw_lines


class MAQUETTE_PT_paint(bpy.types.Panel):
    """What the chosen target's texture starts from, and what of it may change"""

    bl_label = "Texture"
    bl_parent_id = "MAQUETTE_PT_main"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Maquette"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return chosen_target(context) is not None

    def draw(self, context: bpy.types.Context) -> None:
        layout, target = self.layout, chosen_target(context)
        if target is None:
            return
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.enabled = pump.runtime().job is None
        paint = target.paint
        column = layout.column()
        column.prop(paint, "material")
        column.prop(paint, "texture_size")
        column.row(align=True).prop(paint, "upscale", expand=True)
        row = column.row(heading="Own Seed")
        row.prop(paint, "has_seed", text="")
        part = row.row()
        part.active = paint.has_seed
        part.prop(paint, "seed", text="")
        column.prop(target, "negative_prompt", text="Not")
        if target.mode == "remesh":
            return
        _draw_start(layout.column(), paint)
        if target.mode == "texture_only":
            draw_mask(layout.column(), target)
        if len(target.object.material_slots) > 1:
            _draw_slots(layout, context, target)
        _draw_uvs(layout, context, paint)


def _draw_start(column: bpy.types.UILayout, paint: look_settings.MaquettePaint) -> None:
    column.prop(paint, "starts_from_texture")
    if paint.starts_from_texture:
        column.prop(paint, "keep_look", slider=True)
        column.prop(paint, "mask_image")


def _draw_slots(layout: bpy.types.UILayout, context: bpy.types.Context, target: properties.MaquetteTarget) -> None:
    paint, slots = target.paint, target.object.material_slots
    layout.prop(paint, "slots")
    if paint.slots != "CHOSEN":
        return
    grid = layout.grid_flow(columns=2, even_columns=True, align=True)
    grid.use_property_split = False
    for index, slot in enumerate(slots[: look_settings.MOST_SLOTS]):
        grid.prop(paint, "chosen_slots", index=index, text=slot.name or f"Slot {index + 1}", toggle=True)
    if len(slots) > look_settings.MOST_SLOTS:
        draw_lines(layout, context, f"Slots after the {look_settings.MOST_SLOTS}nd keep their materials.", icon="INFO")


def _draw_uvs(layout: bpy.types.UILayout, context: bpy.types.Context, paint: look_settings.MaquettePaint) -> None:
    layout.prop(paint, "makes_uvs", text="Always New UVs")
    row = layout.row(align=True)
    row.operator("maquette.check_uvs", icon="UV")
    row.operator("maquette.make_uvs", icon="ADD")
    for line in filter(None, paint.uv_report.split("\n")):
        draw_lines(layout, context, line, icon="ERROR" if paint.has_bad_faces else "INFO")
    if paint.has_bad_faces:
        layout.operator("maquette.select_bad_faces", icon="RESTRICT_SELECT_OFF")
