"""Collapsed sub-panels of the chosen target: what may move, what is locked, and where the result goes."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

import bpy

from .. import mirror_halves, preflight, properties, pump, target_settings
from .text import draw_lines


def _chosen(context: bpy.types.Context) -> properties.MaquetteTarget | None:
    """The target whose settings are shown, if its object is there."""
    settings = properties.settings(context.scene)
    if not settings.active_target < len(settings.targets):
        return None
    target = settings.targets[settings.active_target]
    return target if target.object is not None and target.object.type == "MESH" else None


class _TargetPanel:
    """What the sub-panels have in common."""

    bl_parent_id = "MAQUETTE_PT_main"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Maquette"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012


class MAQUETTE_PT_control(_TargetPanel, bpy.types.Panel):
    """Which part of the chosen target may move, and what it keeps"""

    bl_label = "Shape Control"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        target = _chosen(context)
        return target is not None and target.mode != "texture_only"

    def draw(self, context: bpy.types.Context) -> None:
        layout, target = self.layout, _chosen(context)
        if target is None:
            return
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.enabled = pump.runtime().job is None
        layout.prop(target, "stay_close", slider=True)
        draw_mask(layout.column(), target)
        column = layout.column(heading="Symmetry", align=True)
        row = column.row(align=True)
        for axis, letter in enumerate("XYZ"):
            row.prop(target, "symmetry", index=axis, text=letter, toggle=True)
        column = layout.column(heading="Keep")
        column.prop(target, "flat_bottom")
        column.prop(target, "keep_sharp", text="Sharp Edges")


def draw_mask(column: bpy.types.UILayout, target: properties.MaquetteTarget) -> None:
    """Which part may change, and the fields that say so."""
    thing = target.object
    column.prop(target, "mask_source")
    match target.mask_source:
        case "NONE":
            return
        case "GROUP":
            column.prop_search(target, "mask_group", thing, "vertex_groups")
        case "ATTRIBUTE":
            column.prop_search(target, "mask_attribute", thing.data, "attributes")
    column.prop(target, "mask_invert")
    column.prop(target, "mask_feather", slider=True)


class MAQUETTE_PT_delivery(_TargetPanel, bpy.types.Panel):
    """Which mesh of the chosen target is read, and where its result goes"""

    bl_label = "Mesh and Result"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _chosen(context) is not None

    def draw(self, context: bpy.types.Context) -> None:
        layout, target = self.layout, _chosen(context)
        if target is None:
            return
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.enabled = pump.runtime().job is None
        column = layout.column()
        column.prop(target, "read_from")
        draw_lines(column, context, reads(target), icon="INFO")
        if target.mode == "keep_topology":
            layout.prop(target, "delivery")
        if target.mode == "remesh":
            layout.prop(target, "triangle_budget")
            row = layout.row(heading="Quads")
            row.prop(target, "make_quads", text="")
            count = row.row()
            count.active = target.make_quads
            count.prop(target, "quad_count", text="")
        elif target_settings.reads_base(target):
            users = len(preflight.users_of(target.object.data))
            if users > 1:
                layout.prop(target, "instances")
                draw_lines(layout, context, f"{users} objects share this mesh.", icon="LINKED")


def reads(target: properties.MaquetteTarget) -> str:
    """Which mesh is refined, and why, in a sentence."""
    thing = target.object
    names = ", ".join(modifier.name for modifier in thing.modifiers if modifier.show_viewport)
    keys = thing.data.shape_keys is not None
    if not names and not keys:
        return "No modifiers or shape keys: the base mesh is what is displayed."
    if not target_settings.reads_base(target):
        return f"Refines what is displayed. Applied to the result: {names or 'shape keys'}."
    kept = ", ".join(filter(None, (names, "shape keys" if keys else "")))
    if target.mode == "remesh":
        return f"Refines the base mesh, as asked. Left out: {kept}."
    halves = " Both mirrored halves are judged." if mirror_halves.halves_of(thing).axes else ""
    return f"Refines the base mesh, since the result goes back to it. Kept live: {kept}.{halves}"
