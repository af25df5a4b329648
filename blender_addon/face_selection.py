"""Shows faces to the artist: selected, in Edit Mode. Changes the selection only."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false

from __future__ import annotations

import bmesh
import bpy
import numpy as np
from numpy.typing import NDArray


def show(context: bpy.types.Context, thing: bpy.types.Object, faces: NDArray[np.bool_]) -> None:
    """Select exactly these ``faces`` [P] of the object's base mesh, in Edit Mode, Face Select."""
    if context.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    for other in context.selected_objects:
        other.select_set(False)
    thing.select_set(True)
    context.view_layer.objects.active = thing
    context.tool_settings.mesh_select_mode = (False, False, True)
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="DESELECT")
    # by bmesh: to set flags of a mesh's edges at once ends Blender 5.0 where it has none yet
    edited = bmesh.from_edit_mesh(thing.data)
    edited.faces.ensure_lookup_table()
    for index in np.flatnonzero(faces).tolist():
        face = edited.faces[index]
        face.hide_set(False)
        face.select_set(True)
    bmesh.update_edit_mesh(thing.data, loop_triangles=False, destructive=False)
