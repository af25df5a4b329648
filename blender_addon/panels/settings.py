"""Collapsed sub-panels: where to look from, and everything that has a good default."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

import bpy

from .. import properties


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
            ("prior", "seed", "texture_size"),
            ("geometry_steps", "appearance_steps", "preview_every"),
            ("grid_resolution", "views_per_step", "render_size"),
            ("geometry_scale", "appearance_scale"),
        )
        for names in groups:
            column = layout.column(align=True)
            for name in names:
                column.prop(settings, name)
        if settings.active_target < len(settings.targets):
            layout.prop(settings.targets[settings.active_target], "negative_prompt")
