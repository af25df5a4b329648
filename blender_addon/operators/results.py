"""Which result an operator on the active object means."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import bpy

from .. import in_place, properties


def active_result(context: bpy.types.Context) -> bpy.types.Object | None:
    """The active object's result, or the active object if it is one."""
    thing = context.view_layer.objects.active
    if thing is None:
        return None
    notes = properties.notes(thing)
    result = thing if notes.role == "RESULT" else notes.result
    usable = result is not None and result.users_scene and properties.notes(result).original is not None
    return result if usable else None


def active_key_result(context: bpy.types.Context) -> bpy.types.Object | None:
    """The active object, if it carries a result as a shape key and no newer result object stands in its place."""
    thing = context.view_layer.objects.active
    if thing is None or not in_place.has_result(thing):
        return None
    result = active_result(context)
    return thing if result is None or result.hide_viewport else None
