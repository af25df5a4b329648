"""A result that has the artist's own polygons → onto them, wherever they were sent from."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

from dataclasses import replace

import bpy
import numpy as np
from numpy.typing import NDArray

from . import coloring, mesh_building, mesh_reading, polygon_atlas, properties
from .refined import Floats, Ints, Refined, Surface
from .target_settings import Delivery

KEY_NAME = "Maquette"
_MAX_UV_LAYERS = 8
_SAME_UV = 4e-6


def moved_copy(target: bpy.types.Object, refined: Refined, name: str, how: Delivery) -> bpy.types.Object | None:
    """A copy of the target with all that it has (modifiers, rig, layers, keys), only its vertices moved; in no scene.

    None when the target's polygons are others than those that were sent: it was edited meanwhile.
    """
    fitted = fit(target, refined.surface, how)
    if fitted is None:
        return None
    surface, loops = fitted
    result = _copy(target, name)
    mesh = result.data
    put_positions(result, surface.positions)
    surface, layer = put_uvs(mesh, surface, loops, how)
    material = coloring.make_material(mesh, name, surface, pack=True) if layer else None
    if material is not None:
        coloring.use_only_on(result, material, how.slots)
    return result


def _copy(target: bpy.types.Object, name: str) -> bpy.types.Object:
    """An object like the target with a mesh of its own, in no scene and without Maquette's notes."""
    copy = target.copy()
    copy.name, copy.data = name, target.data.copy()
    held = properties.notes(copy)
    for note in held.bl_rna.properties:
        held.property_unset(note.identifier)
    # an original may be hidden by its older result; this one is to be seen
    copy.hide_viewport = copy.hide_render = False
    return copy


def bare_copy(target: bpy.types.Object, name: str, surface: Surface, how: Delivery) -> bpy.types.Object | None:
    """A copy to show previews on: with the target's modifiers and shape keys, without its materials.

    None where the surface is of other polygons.
    """
    fitted = fit(target, surface, how)
    if fitted is None:
        return None
    copy = _copy(target, name)
    put_positions(copy, fitted[0].positions)  # adds the key that ``show_on`` moves, where there are keys
    copy.data.name = name
    copy.data.materials.clear()
    return copy


def show_on(preview: bpy.types.Object, surface: Surface, how: Delivery) -> None:
    """Move what ``bare_copy`` made, and colour it. A seam within a polygon is not kept: it is a preview."""
    mesh = preview.data
    own = own_part(surface, len(mesh.vertices), _triangle_count(mesh)) if how.mirrored else surface
    if len(own.positions) != len(mesh.vertices):
        return
    if own.corner_uvs is not None and own.texture is not None:
        loops = loops_of(mesh, own.triangles)
        if loops is not None and (len(mesh.uv_layers) < _MAX_UV_LAYERS or mesh_building.UV_NAME in mesh.uv_layers):
            loop_uvs = np.zeros((len(mesh.loops), 2), np.float32)
            loop_uvs[loops] = own.corner_uvs
            mesh_building.set_uvs(mesh, mesh_building.UV_NAME, loop_uvs)
    if mesh.shape_keys is None:
        mesh_building.set_positions(mesh, own.positions)
    else:
        preview.active_shape_key.data.foreach_set("co", np.ascontiguousarray(own.positions).ravel())
        mesh.update()
    coloring.color_surface(mesh, preview.name, own)


def moved_evaluated(
    context: bpy.types.Context, target: bpy.types.Object, surface: Surface, how: Delivery
) -> tuple[bpy.types.Mesh, Surface] | None:
    """A new mesh: the evaluated one, its vertices moved, and the surface with UVs and texture as they are on it."""
    mesh = mesh_reading.copy_evaluated(context, target)
    loops = loops_of(mesh, surface.triangles) if len(mesh.vertices) == len(surface.positions) else None
    if loops is None:
        bpy.data.meshes.remove(mesh)
        return None
    surface, layer = put_uvs(mesh, surface, loops, how)
    mesh_building.set_positions(mesh, surface.positions)
    return mesh, surface if layer else replace(surface, texture=None, maps=None, colors=None)


def fit(target: bpy.types.Object, surface: Surface, how: Delivery) -> tuple[Surface, Ints] | None:
    """The part of a surface that is the mesh's own, and the loop [F,3] of each corner; none if it is another mesh's."""
    with mesh_reading.base_mesh(target) as mesh:
        count = len(mesh.vertices)
        own = own_part(surface, count, _triangle_count(mesh)) if how.mirrored else surface
        loops = loops_of(mesh, own.triangles) if len(own.positions) == count else None
    return None if loops is None else (own, loops)


def cut_polygons(
    context: bpy.types.Context, target: bpy.types.Object, surface: Surface, how: Delivery
) -> polygon_atlas.Polygons | None:
    """The polygons that were sent, if they are the target's still and the surface's UVs cut through some: Blender cannot
    have those."""
    if surface.corner_uvs is None or not surface.is_pictured:
        return None
    with mesh_reading.source_mesh(context, target, base=how.base) as mesh:
        own = own_part(surface, len(mesh.vertices), _triangle_count(mesh)) if how.base and how.mirrored else surface
        loops = loops_of(mesh, own.triangles) if len(own.positions) == len(mesh.vertices) else None
        polygons = None if loops is None else polygon_atlas.Polygons(loops, loop_starts(mesh))
    if polygons is None or own.corner_uvs is None or not polygon_atlas.are_cut(own.corner_uvs, polygons):
        return None
    return polygons


def own_part(surface: Surface, vertices: int, triangles: int) -> Surface:
    """The half that was sent first, of a surface that was sent with its mirror images."""
    uvs, colors = surface.corner_uvs, surface.colors
    return replace(
        surface,
        positions=surface.positions[:vertices],
        triangles=surface.triangles[:triangles],
        corner_uvs=None if uvs is None else uvs[:triangles],
        colors=None if colors is None else colors[:vertices],
    )


def put_positions(thing: bpy.types.Object, positions: Floats) -> bpy.types.ShapeKey | None:
    """Move a mesh's vertices; where it has shape keys by one more, at value 1, so that the others go on as they did."""
    mesh = thing.data
    if mesh.shape_keys is None:
        mesh_building.set_positions(mesh, positions)
        return None
    return add_key(thing, positions)


def add_key(thing: bpy.types.Object, positions: Floats) -> bpy.types.ShapeKey:
    """A shape key at value 1, and the active one: Edit Mode then shows what Object Mode does."""
    key = thing.shape_key_add(name=KEY_NAME, from_mix=False)
    key.data.foreach_set("co", np.ascontiguousarray(positions, np.float32).ravel())
    key.value = 1.0
    thing.active_shape_key_index = thing.data.shape_keys.key_blocks.find(key.name)
    thing.data.update()
    return key


def put_uvs(mesh: bpy.types.Mesh, surface: Surface, loops: Ints, how: Delivery) -> tuple[Surface, str]:
    """The surface's UVs on the mesh's loops, in the artist's layer or a new one; with a texture that fits them.

    Returns the surface and the layer's name; the name is empty where there is nothing to show, or no room for it.
    """
    if surface.corner_uvs is None or not surface.is_pictured:
        return surface, mesh_building.COLOR_NAME if surface.colors is not None else ""
    layer = mesh.uv_layers.active
    if layer is not None and _are_same(_layer_uvs(mesh, layer.name)[loops], surface.corner_uvs):
        # materials that stay in other slots go on reading the layer that they read
        layer.active_render = layer.active_render or not how.slots
        return surface, layer.name
    if len(mesh.uv_layers) >= _MAX_UV_LAYERS:
        return surface, ""
    # done long before, unless the mesh was edited since: see ``map_arrival``
    surface = polygon_atlas.on_polygons(surface, polygon_atlas.Polygons(loops, loop_starts(mesh)))
    assert surface.corner_uvs is not None
    loop_uvs = np.zeros((len(mesh.loops), 2), np.float32)
    loop_uvs[loops] = surface.corner_uvs
    name = mesh.uv_layers.new(name=mesh_building.UV_NAME, do_init=False).name
    render = next((layer.name for layer in mesh.uv_layers if layer.active_render), name)
    mesh_building.set_uvs(mesh, name, loop_uvs)
    if how.slots:
        mesh.uv_layers[render].active_render = True
    return surface, name


def _are_same(one: Floats, other: Floats) -> bool:
    """Whether UVs are the same but for the rounding of a way through UDIM tiles."""
    return one.shape == other.shape and bool(np.all(np.abs(one - other) <= _SAME_UV))


def _layer_uvs(mesh: bpy.types.Mesh, name: str) -> Floats:
    uvs = np.zeros((len(mesh.loops), 2), np.float32)
    mesh.attributes[name].data.foreach_get("vector", uvs.ravel())
    return uvs


def loops_of(mesh: bpy.types.Mesh, triangles: Ints) -> Ints | None:
    """The loop [F,3] of each corner of a triangulation by polygons in their order; none when it is another mesh's.

    Which way a polygon was cut does not matter: it may have been bent since.
    """
    totals = _loop_totals(mesh)
    count = len(mesh.vertices)
    if len(triangles) != int(np.maximum(totals - 2, 0).sum()):
        return None
    corners = np.zeros(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    polygons = np.arange(len(totals), dtype=np.int64)
    keys = np.repeat(polygons, totals) * count + corners
    order = np.argsort(keys, kind="stable")
    wanted = np.repeat(polygons, np.maximum(totals - 2, 0))[:, None] * count + triangles
    place = np.clip(np.searchsorted(keys[order], wanted), 0, max(len(keys) - 1, 0))
    loops = order[place].astype(np.int32)
    return loops if np.array_equal(keys[loops], wanted) else None


def loop_starts(mesh: bpy.types.Mesh) -> Ints:
    """The first loop of each polygon, and the number of loops after the last [P+1]."""
    return np.concatenate([[0], np.cumsum(_loop_totals(mesh))]).astype(np.int32)


def _loop_totals(mesh: bpy.types.Mesh) -> NDArray[np.int32]:
    totals = np.zeros(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("loop_total", totals)
    return totals


def _triangle_count(mesh: bpy.types.Mesh) -> int:
    return int(np.maximum(_loop_totals(mesh) - 2, 0).sum())
