"""The list of targets and the one that is chosen."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false

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
        column.prop(target, "mode")
        if target.mode != "texture_only":
            column.prop(target, "strength_percent", slider=True)
            reach = reach_of(target)
            if reach:
                row = column.split(factor=0.4)
                row.label()
                row.label(text=f"Moves up to {reach}")


def reach_of(target: properties.MaquetteTarget) -> str:
    """How far the surface may move, in the scene's units; empty while there is no object."""
    thing = target.object
    if thing is None or thing.type != "MESH":
        return ""
    units = bpy.context.scene.unit_settings
    length = target.strength_percent / 100 * max(thing.dimensions) * units.scale_length
    return bpy.utils.units.to_string(units.system, "LENGTH", length, precision=3, split_unit=False)
