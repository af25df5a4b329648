"""A new UV map beside the artist's, by Blender's Smart UV Project. None of theirs is touched."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import bpy
import numpy as np

from . import mesh_building, mesh_reading, uv_checks
from ._protocol import errors

Code = errors.ErrorCode
_ANGLE_LIMITS = tuple(map(math.radians, (66.0, 45.0, 20.0)))
"""The largest first, for few islands; a smaller one where a sharp turn, such as a thin rim, folds an island over itself."""
_CHECKED_SIDE = 1024
_MARGIN = 4 / _CHECKED_SIDE
"""Between islands: texels that a texture's smaller copies mix."""
_MAX_UV_LAYERS = 8


def make_uvs(context: bpy.types.Context, thing: bpy.types.Object) -> str:
    """Add a UV map to the object's mesh and make it the active one; its name.

    It is unwrapped on a copy: selection and hidden faces stay as they are.

    Raises:
        MaquetteError: the mesh has as many UV maps as there can be, or cannot be changed.
    """
    mesh = thing.data
    if mesh.library is not None:
        raise errors.MaquetteError(Code.NOT_EDITABLE, f"The mesh of {thing.name} is linked.", "Make it local first.")
    if len(mesh.uv_layers) >= _MAX_UV_LAYERS:
        raise errors.MaquetteError(
            Code.INVALID_RECIPE, f"{thing.name} has {_MAX_UV_LAYERS} UV maps already.", "Remove one that is not used."
        )
    loop_uvs = _projected(context, mesh)
    render = next((layer.name for layer in mesh.uv_layers if layer.active_render), "")
    name = mesh.uv_layers.new(name=mesh_building.UV_NAME, do_init=False).name
    mesh_building.set_uvs(mesh, name, loop_uvs)
    if render:
        mesh.uv_layers[render].active_render = True  # the artist's materials go on reading theirs
    mesh.update()
    return name


def _projected(context: bpy.types.Context, mesh: bpy.types.Mesh) -> np.ndarray:
    """UVs [L,2] of all faces."""
    copy = mesh.copy()
    while len(copy.uv_layers):
        copy.uv_layers.remove(copy.uv_layers[0])  # found anew each time: removing one moves the others
    copy.uv_layers.new(name=mesh_building.UV_NAME)
    found = np.zeros((len(copy.loops), 2), np.float32)
    thing = bpy.data.objects.new(".maquette", copy)
    try:
        if copy.shape_keys is not None:
            thing.shape_key_clear()
        with _alone_in_scene(context, thing):
            bpy.ops.object.mode_set(mode="EDIT")
            bpy.ops.mesh.reveal()
            bpy.ops.mesh.select_all(action="SELECT")
            for angle in _ANGLE_LIMITS:
                bpy.ops.uv.smart_project(angle_limit=angle, island_margin=_MARGIN)
                bpy.ops.object.mode_set(mode="OBJECT")
                copy.attributes[mesh_building.UV_NAME].data.foreach_get("vector", found.ravel())
                if _is_sound(copy, found):
                    break
                bpy.ops.object.mode_set(mode="EDIT")
            else:
                bpy.ops.object.mode_set(mode="OBJECT")
        return found
    finally:
        bpy.data.objects.remove(thing)
        bpy.data.meshes.remove(copy)


def _is_sound(mesh: bpy.types.Mesh, uvs: np.ndarray) -> bool:
    """Whether a texture can be painted on UVs [L,2]."""
    triangles, loops = mesh_reading.triangle_corners(mesh)
    polygons = np.zeros(len(triangles), np.int32)
    mesh.loop_triangles.foreach_get("polygon_index", polygons)
    corners = mesh_reading.positions_of(mesh)[triangles]
    crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = (np.linalg.norm(crossed, axis=1) / 2).astype(np.float32)
    return uv_checks.check(uv_checks.Faces(uvs[loops], areas, polygons, len(mesh.polygons)), _CHECKED_SIDE).is_sound


@contextmanager
def _alone_in_scene(context: bpy.types.Context, thing: bpy.types.Object) -> Iterator[None]:
    """A new object, in the artist's scene, selected and active for a moment.

    In the window's own scene: Edit Mode in another one, by an override, ends Blender.
    """
    layer = context.view_layer
    selected, active = list(context.selected_objects), layer.objects.active
    context.scene.collection.objects.link(thing)
    try:
        for other in selected:
            other.select_set(False)
        layer.update()
        thing.select_set(True)
        layer.objects.active = thing
        yield
    finally:
        context.scene.collection.objects.unlink(thing)
        for other in selected:
            other.select_set(True)
        layer.objects.active = active
