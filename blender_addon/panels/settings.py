"""Collapsed sub-panels: where to look from, and everything that has a good default."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

import bpy

from .. import look_settings, properties, pump
from ..operators.uv_tools import chosen_target
from .text import draw_lines


class MAQUETTE_PT_cameras(bpy.types.Panel):
    """Where the refinement looks from"""

    bl_label = "Views"
    bl_parent_id = "MAQUETTE_PT_main"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Maquette"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = properties.settings(context.scene)
        layout.prop(settings, "cameras")
        count = sum(thing.type == "CAMERA" for thing in context.scene.objects)
        if settings.cameras != "ORBIT":
            layout.label(text=f"{count} cameras in this scene", icon="CAMERA_DATA" if count else "ERROR")
        layout.prop(settings, "include_context")
        layout.prop(look_settings.settings(context.scene), "light")
        target = chosen_target(context)
        if target is not None:
            _draw_coverage(layout, context, target.paint)


def _draw_coverage(layout: bpy.types.UILayout, context: bpy.types.Context, paint: look_settings.MaquettePaint) -> None:
    check = pump.runtime().view_check
    if check is not None:
        layout.progress(factor=check.progress, type="BAR", text="Looking")
        return
    layout.operator("maquette.check_views", icon="VIEW_CAMERA")
    if paint.unseen_report:
        draw_lines(layout, context, paint.unseen_report, icon="ERROR" if paint.has_unseen else "INFO")
    if paint.has_unseen:
        row = layout.row(align=True)
        row.operator("maquette.select_unseen", text="Select", icon="RESTRICT_SELECT_OFF")
        row.operator("maquette.add_cameras", icon="ADD")


class MAQUETTE_PT_advanced(bpy.types.Panel):
    """Lengths, sizes and the prior"""

    bl_label = "Advanced"
    bl_parent_id = "MAQUETTE_PT_main"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Maquette"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = properties.settings(context.scene)
        groups = (
            ("prior", "preset", "seed", "texture_size"),
            ("geometry_steps", "appearance_steps", "preview_every"),
            ("grid_resolution", "views_per_step", "render_size"),
            ("geometry_scale", "appearance_scale"),
        )
        for names in groups:
            column = layout.column(align=True)
            for name in names:
                column.prop(settings, name)
        look = look_settings.settings(context.scene)
        column = layout.column(align=True)
        for name in ("scene_prompt", "scene_steps", "finish_steps"):
            column.prop(look, name)
