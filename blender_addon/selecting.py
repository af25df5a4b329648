"""What is selected and active, in the view layer that the artist looks at."""

# bpy's stubs take Context's properties for methods
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false

from __future__ import annotations

import bpy


def is_selected(context: bpy.types.Context, thing: bpy.types.Object) -> bool:
    layer = context.view_layer
    return layer.objects.get(thing.name) is not None and thing.select_get(view_layer=layer)


def select(context: bpy.types.Context, thing: bpy.types.Object) -> None:
    layer = context.view_layer
    layer.update()  # what was hidden a moment ago cannot be selected before this
    if layer.objects.get(thing.name) is not None:
        thing.select_set(True, view_layer=layer)


def take_selection(context: bpy.types.Context, thing: bpy.types.Object, selected: bool, active: bool) -> None:
    if selected:
        select(context, thing)
    if active and context.view_layer.objects.get(thing.name) is not None:
        context.view_layer.objects.active = thing
