"""Shows faces to the artist: selected, in Edit Mode. Changes the selection only."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false

from __future__ import annotations

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
    mesh = thing.data
    mesh.update()  # a mesh that a script made may lack edges yet, and Blender 5.0 ends itself over that
    corners, totals = np.zeros(len(mesh.loops), np.int32), np.zeros(len(mesh.polygons), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    mesh.polygons.foreach_get("loop_total", totals)
    edges = np.zeros(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("edge_index", edges)
    chosen = np.repeat(faces, totals)
    for collection, used, count in (
        (mesh.vertices, corners[chosen], len(mesh.vertices)),
        (mesh.edges, edges[chosen], len(mesh.edges)),
    ):
        flags = np.zeros(count, bool)
        flags[used] = True
        collection.foreach_set("select", flags)
    mesh.polygons.foreach_set("select", faces)
    context.tool_settings.mesh_select_mode = (False, False, True)
    bpy.ops.object.mode_set(mode="EDIT")

