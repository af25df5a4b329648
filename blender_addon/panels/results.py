"""What a new surface takes over from the original, and Bake Back."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

import bpy

from .. import carrying, look_settings, properties, result_notes, result_settings
from ..operators.results import active_key_result, active_result
from .text import draw_lines


class MAQUETTE_PT_results(bpy.types.Panel):
    """What results keep, and baking them onto the original's UVs"""

    bl_label = "Results"
    bl_parent_id = "MAQUETTE_PT_main"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Maquette"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = result_settings.settings(context.scene)
        column = layout.column(heading="Also Keep", align=True)
        column.prop(settings, "carry_uvs")
        column.prop(settings, "carry_flat")
        layout.prop(look_settings.settings(context.scene), "images")
        result, carrier = active_result(context), active_key_result(context)
        seen = properties.notes(carrier).keys[-1].seen if carrier is not None else (result or {}).get(result_notes.SEEN, -1.0)
        if seen >= 0:
            icon = "INFO" if seen >= result_notes.FEW else "ERROR"
            draw_lines(layout, context, result_notes.seen_line(seen), icon=icon)
        if result is not None:
            _draw_result(layout, context, result)
        layout.separator()
        column = layout.column()
        row = column.row(align=True)
        row.use_property_split = False
        row.prop(settings, "bake_maps")
        column.prop(settings, "bake_size")
        column.prop(settings, "normal_y", expand=True)
        column.operator("maquette.bake_back", icon="RENDER_STILL")


def _draw_result(layout: bpy.types.UILayout, context: bpy.types.Context, result: bpy.types.Object) -> None:
    if carrying.ORIGINAL_MATERIAL in result.data.attributes:
        layout.operator("maquette.switch_materials", icon="MATERIAL")
    why = result.get(carrying.RIG_OFF)
    if isinstance(why, str):
        text = f"The armature is switched off on {result.name}: {why}. Refine it in its rest pose to keep its rig."
        draw_lines(layout, context, text, icon="ARMATURE_DATA")
