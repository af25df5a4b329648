"""Which result an operator on the active object means."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import bpy

from .. import properties


def active_result(context: bpy.types.Context) -> bpy.types.Object | None:
    """The active object's result, or the active object if it is one."""
    thing = context.view_layer.objects.active
    if thing is None:
        return None
    notes = properties.notes(thing)
    result = thing if notes.role == "RESULT" else notes.result
    usable = result is not None and result.users_scene and properties.notes(result).original is not None
    return result if usable else None
