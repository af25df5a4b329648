"""Objects that share a target's mesh: they may take the result's mesh along with it, and give it back."""

# bpy's stubs know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import bpy

from . import properties


def take_along(target: bpy.types.Object, result: bpy.types.Object) -> None:
    """Give all others that share the target's mesh the result's."""
    properties.notes(result).for_all = True
    mesh = target.data
    for other in bpy.data.objects:
        held = properties.notes(other)
        shares = other.data is mesh or held.own_mesh is mesh
        free = other.library is None and other.override_library is None
        if shares and free and other is not target and held.role == "NONE":
            _show(other, result, mesh)


def give_back(result: bpy.types.Object, older: bpy.types.Object | None) -> None:
    """Before a result goes: the others get the older result's mesh, if that was theirs too, or their own."""
    for other in _followers(result):
        held = properties.notes(other)
        own = held.own_mesh
        if older is not None and properties.notes(older).for_all:
            _show(other, older, own)
        elif own is not None:
            _set_mesh(other, own)
            held.property_unset("stands_for")
            held.property_unset("own_mesh")


def show(result: bpy.types.Object, original: bool) -> None:
    """The others show what the target shows: the original's mesh or the result's."""
    for other in _followers(result):
        own = properties.notes(other).own_mesh
        _set_mesh(other, own if original and own is not None else result.data)


def _followers(result: bpy.types.Object) -> list[bpy.types.Object]:
    return [thing for thing in bpy.data.objects if properties.notes(thing).stands_for is result]


def _show(other: bpy.types.Object, result: bpy.types.Object, own: bpy.types.Mesh | None) -> None:
    held = properties.notes(other)
    held.stands_for, held.own_mesh = result, own
    _set_mesh(other, result.data)


def _set_mesh(thing: bpy.types.Object, mesh: bpy.types.ID) -> None:
    """Another mesh, and the same active shape key: its index is the object's own."""
    index = thing.active_shape_key_index
    thing.data = mesh
    thing.active_shape_key_index = index
