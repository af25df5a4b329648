"""A Blender object, its base mesh or what the artist sees (modifiers included) → triangle arrays. Changes nothing."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from ._protocol import errors, mesh, recipe

Code = errors.ErrorCode


@dataclass(frozen=True)
class MeshArrays:
    """A triangulated mesh in object space."""

    positions: NDArray[np.float32]
    """[V,3]"""
    triangles: NDArray[np.int32]
    """[F,3]"""
    corner_uvs: NDArray[np.float32] | None
    """[F,3,2], from the active UV layer."""
    world_from_object: recipe.Matrix4


@contextmanager
def evaluated_mesh(context: bpy.types.Context, thing: bpy.types.Object) -> Iterator[bpy.types.Mesh]:
    """An object's evaluated mesh, for as long as the block runs. Also for hidden objects."""
    with _evaluated(context, thing) as (evaluated, depsgraph):
        try:
            yield evaluated.to_mesh(preserve_all_data_layers=True, depsgraph=depsgraph)
        finally:
            evaluated.to_mesh_clear()


def copy_evaluated(context: bpy.types.Context, thing: bpy.types.Object) -> bpy.types.Mesh:
    """A new mesh datablock: the evaluated mesh with all its layers, groups and material slots."""
    with _evaluated(context, thing) as (evaluated, depsgraph):
        return bpy.data.meshes.new_from_object(evaluated, preserve_all_data_layers=True, depsgraph=depsgraph)


@contextmanager
def _evaluated(
    context: bpy.types.Context, thing: bpy.types.Object
) -> Iterator[tuple[bpy.types.Object, bpy.types.Depsgraph]]:
    if thing.mode == "EDIT":
        thing.update_from_editmode()
    if thing.visible_get(view_layer=context.view_layer):
        depsgraph = context.evaluated_depsgraph_get()
        yield thing.evaluated_get(depsgraph), depsgraph
        return
    # Blender does not evaluate what is hidden from viewports; a visible copy in a scene of its own is,
    # and the artist's object is not touched
    scene = bpy.data.scenes.new(".maquette")
    copy = thing.copy()
    try:
        copy.hide_viewport = False
        scene.frame_current = context.scene.frame_current
        scene.collection.objects.link(copy)
        layer = scene.view_layers[0]
        layer.update()
        yield copy.evaluated_get(layer.depsgraph), layer.depsgraph
    finally:
        bpy.data.objects.remove(copy)
        bpy.data.scenes.remove(scene)


@contextmanager
def base_mesh(thing: bpy.types.Object) -> Iterator[bpy.types.Mesh]:
    """An object's own mesh, as in Edit Mode: an edit in progress included, modifiers and shape keys not."""
    if thing.mode != "EDIT":
        yield thing.data
        return
    # a mesh that is being edited does not show its attributes; a copy of it does
    thing.update_from_editmode()
    try:
        yield thing.to_mesh(preserve_all_data_layers=True)
    finally:
        thing.to_mesh_clear()


def source_mesh(
    context: bpy.types.Context, thing: bpy.types.Object, *, base: bool
) -> AbstractContextManager[bpy.types.Mesh]:
    """The base mesh or the evaluated one, for as long as the block runs."""
    return base_mesh(thing) if base else evaluated_mesh(context, thing)


def read_mesh(context: bpy.types.Context, thing: bpy.types.Object) -> MeshArrays:
    """An object's evaluated mesh, checked.

    Raises:
        MaquetteError: the mesh is empty, has no faces, is not finite, has no size or is too large.
    """
    world = world_from_object(context, thing)
    with evaluated_mesh(context, thing) as found_mesh:
        return checked(thing.name, found_mesh, world)


def world_from_object(context: bpy.types.Context, thing: bpy.types.Object) -> recipe.Matrix4:
    """The object's transform with parents, constraints and drivers."""
    with _evaluated(context, thing) as (evaluated, _depsgraph):
        return matrix4(evaluated.matrix_world)


def checked(name: str, source: bpy.types.Mesh, world: recipe.Matrix4) -> MeshArrays:
    """A mesh's arrays. Raises MaquetteError as ``read_mesh`` does."""
    found = MeshArrays(positions_of(source), *_triangles(source), world)
    mesh.check_mesh(name, found.positions, found.triangles)
    _check_transform(name, found.world_from_object)
    return found


def positions_of(source: bpy.types.Mesh) -> NDArray[np.float32]:
    """[V,3]; of a mesh with shape keys its Basis, which the mesh's own positions may lag behind."""
    positions = np.zeros((len(source.vertices), 3), np.float32)
    keys = source.shape_keys
    if keys is not None and len(keys.reference_key.data) == len(positions):
        keys.reference_key.data.foreach_get("co", positions.ravel())
    elif len(positions):
        source.attributes["position"].data.foreach_get("vector", positions.ravel())
    return positions


def _triangles(source: bpy.types.Mesh) -> tuple[NDArray[np.int32], NDArray[np.float32] | None]:
    triangles, loops = triangle_corners(source)
    layer = source.uv_layers.active
    if layer is None or not len(triangles):
        return triangles, None
    uvs = np.zeros((len(source.loops), 2), np.float32)
    source.attributes[layer.name].data.foreach_get("vector", uvs.ravel())
    return triangles, uvs[loops]


def triangle_corners(source: bpy.types.Mesh) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Blender's own triangulation: vertices [F,3] and loops [F,3] of each triangle."""
    source.calc_loop_triangles()
    loops = np.zeros((len(source.loop_triangles), 3), np.int32)
    if not len(loops):
        return loops.copy(), loops
    source.loop_triangles.foreach_get("loops", loops.ravel())
    vertices = np.zeros(len(source.loops), np.int32)
    source.attributes[".corner_vert"].data.foreach_get("value", vertices)  # a hundred times as quick as of triangles
    return vertices[loops], loops


def matrix4(matrix: Matrix) -> recipe.Matrix4:
    """A mathutils Matrix as 16 numbers, row by row."""
    return tuple(float(value) for row in matrix for value in row)


def _check_transform(name: str, world_from_object: recipe.Matrix4) -> None:
    """Raises MaquetteError when the object's transform is not finite or flattens it."""
    world = np.asarray(world_from_object).reshape(4, 4)
    if not np.isfinite(world).all():
        raise errors.MaquetteError(
            Code.NOT_FINITE, f"The transform of {name} has values that are not numbers.", "Clear its transform."
        )
    stretch = np.linalg.svd(world[:3, :3], compute_uv=False)
    if not stretch[2] > 1e-6 * stretch[0]:
        raise errors.MaquetteError(
            Code.ZERO_SIZE, f"{name} is flattened by its scale.", "Give it a scale above 0 on every axis."
        )
