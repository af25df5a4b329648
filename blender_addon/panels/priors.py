"""A closed sub-panel for whoever has models of their own: several priors, ControlNets, scales that move."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false

import bpy

from .. import prior_settings


class MAQUETTE_PT_priors(bpy.types.Panel):
    """More than one prior, ControlNets, and guidance that changes over the steps"""

    bl_label = "Priors and Scales"
    bl_parent_id = "MAQUETTE_PT_advanced"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Maquette"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = prior_settings.settings(context.scene)
        column = layout.column(align=True)
        column.prop(settings, "geometry_scale_end", text="Shape Ends At")
        column.prop(settings, "appearance_scale_end", text="Colour Ends At")
        if len(settings.further):
            layout.prop(settings, "prior_weight")
        for kind, label, _ in prior_settings.LISTS:
            _draw_list(layout, settings, kind, label)


def _draw_list(layout: bpy.types.UILayout, settings: prior_settings.MaquettePriors, kind: str, label: str) -> None:
    lines = getattr(settings, kind)
    column = layout.column(align=True)
    column.use_property_split = False
    for index, line in enumerate(lines):
        row = column.row(align=True)
        row.prop(line, "model", text="")
        row.prop(line, "weight", text="")
        remove = row.operator("maquette.remove_prior", text="", icon="X")
        remove.kind, remove.index = kind, index
    if len(lines) < prior_settings.MOST[kind]:
        column.operator("maquette.add_prior", text=label, icon="ADD").kind = kind
