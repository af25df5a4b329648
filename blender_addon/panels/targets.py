"""The list of targets and the one that is chosen."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportIncompatibleMethodOverride=false

import bpy

from .. import properties


class MAQUETTE_UL_targets(bpy.types.UIList):
    """Objects to refine"""

    def draw_item(
        self,
        context: bpy.types.Context,
        layout: bpy.types.UILayout,
        data: object,
        item: object,
        icon: int,
        active_data: object,
        active_property: str,
    ) -> None:
        """One line: the object's name and its prompt."""
        draw_line(layout, item)


def draw_line(layout: bpy.types.UILayout, target: properties.MaquetteTarget) -> None:
    """The object's name and its prompt."""
    thing = target.object
    row = layout.split(factor=0.45)
    if thing is None or not thing.users_scene:
        row.label(text="Deleted object", icon="ERROR")
        return
    row.label(text=thing.name, icon="OUTLINER_OB_MESH")
    icon = "NONE" if target.prompt else "ERROR"
    row.prop(target, "prompt", text="", emboss=False, icon=icon, placeholder="No prompt")


def draw_targets(layout: bpy.types.UILayout, settings: properties.MaquetteSceneSettings) -> None:
    """The list, its buttons, and the chosen target's own settings."""
    row = layout.row()
    row.template_list("MAQUETTE_UL_targets", "", settings, "targets", settings, "active_target", rows=3)
    buttons = row.column(align=True)
    buttons.operator("maquette.add_targets", text="", icon="ADD")
    buttons.operator("maquette.remove_target", text="", icon="REMOVE")
    if not len(settings.targets):
        layout.label(text="Select meshes to refine, then:", icon="INFO")
        layout.operator("maquette.add_targets", icon="ADD")
        return
    if settings.active_target < len(settings.targets):
        target = settings.targets[settings.active_target]
        column = layout.column()
        column.prop(target, "object")
        column.prop(target, "prompt", placeholder="What it should be")
        column.prop(target, "strength")
        column.prop(target, "mode")
