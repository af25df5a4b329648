"""What the artist made on the original → a new surface: vertex groups, rig, materials, colours, and on request UVs."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from . import correspondence, mesh_building, mesh_reading, nearest_surface, rigging
from ._protocol import arrays, recipe, recipe_text
from .correspondence import Influences, Source
from .refined import Correspondence, Floats, Ints, Refined
from .target_settings import Delivery

ORIGINAL_MATERIAL = "maquette_original_material"
"""Face attribute of a result: the slot of the original's material that belongs there."""
RIG_OFF = "maquette_rig_off"
"""Custom property of a result whose armature modifier was switched off: why."""


@dataclass(frozen=True)
class Wishes:
    """What is carried on request."""

    uvs: bool = False
    flat_shading: bool = False


@dataclass(frozen=True)
class _Found:
    """The original's mesh as it was sent, or as near to that as there is."""

    mesh: bpy.types.Mesh
    source: Source
    is_base: bool
    """True when modifiers were left out."""
    same_triangles: bool
    same_positions: bool


def carry(
    context: bpy.types.Context,
    target: bpy.types.Object,
    result: bpy.types.Object,
    refined: Refined,
    recipe_json: str,
    wishes: Wishes,
    how: Delivery = Delivery(),  # noqa: B008 (immutable)
) -> bool:
    """Give a result with polygons of its own what hangs on the target's surface. Changes the result only.

    False when the target has no faces any more, from which anything could be taken.
    """
    sent = _sent(recipe_json, refined.subject_id)
    with _mesh_as_sent(context, target, sent, how) as found:
        if not len(found.source.triangles):
            return False
        origin = _origin(found, refined)
        mesh = result.data
        assert isinstance(mesh, bpy.types.Mesh)
        _carry_materials(target, found, mesh, origin)
        _carry_colors(found, mesh, refined, origin)
        if wishes.uvs:
            _carry_uvs(found, mesh, refined, origin)
        if wishes.flat_shading:
            flat = _of_polygons(found, "use_smooth", bool)
            mesh.polygons.foreach_set("use_smooth", flat[origin.face_triangles])
        weights = _carry_groups(target, found, result, origin)
        if found.is_base or how.base:
            rigging.copy_modifiers(target, result, but=("MIRROR",) if how.mirrored else ())
        else:
            _carry_rig(target, found, result, refined, weights, sent)
    mesh.update()
    return True


def switch_materials(mesh: bpy.types.Mesh) -> bool:
    """Show the original's materials in place of Maquette's, or Maquette's again; True when it is the original's now.

    Raises KeyError when the mesh has no note of them.
    """
    slots = np.zeros(len(mesh.polygons), np.int32)
    shown = slots.copy()
    mesh.attributes[ORIGINAL_MATERIAL].data.foreach_get("value", slots)
    mesh.polygons.foreach_get("material_index", shown)
    show = not np.array_equal(slots, shown)
    mesh.polygons.foreach_set("material_index", slots if show else np.zeros_like(slots))
    mesh.update()
    return show


# ---- the original's mesh --------------------------------------------------------------------------
def _sent(recipe_json: str, subject_id: str) -> recipe.Subject | None:
    subjects = recipe_text.recipe_from_json(recipe_json).subjects
    return next((one for one in subjects if one.subject_id == subject_id), None)


@contextmanager
def _mesh_as_sent(
    context: bpy.types.Context, target: bpy.types.Object, sent: recipe.Subject | None, how: Delivery
) -> Iterator[_Found]:
    """The mesh that was sent, with modifiers or without: known by its hash, so an edit made meanwhile is noticed."""
    with mesh_reading.evaluated_mesh(context, target) as evaluated, mesh_reading.base_mesh(target) as base:
        candidates = [(evaluated, False), (base, True)]
        if how.base and not how.mirrored:  # of a mirrored mesh both halves were sent: the evaluated one has them
            candidates.reverse()
        found = _compared(*candidates[0], sent)
        if not (found.same_triangles and found.same_positions):
            other = _compared(*candidates[1], sent)
            better = (other.same_triangles, other.same_positions) > (found.same_triangles, found.same_positions)
            found = other if better else found
        yield found


def _compared(mesh: bpy.types.Mesh, is_base: bool, sent: recipe.Subject | None) -> _Found:
    triangles, loops = mesh_reading.triangle_corners(mesh)
    polygons = np.zeros(len(triangles), np.int32)
    positions = np.zeros((len(mesh.vertices), 3), np.float32)
    if len(triangles):
        mesh.loop_triangles.foreach_get("polygon_index", polygons)
        mesh.attributes["position"].data.foreach_get("vector", positions.ravel())
    same_triangles = sent is not None and arrays.array_ref(triangles).sha256 == sent.mesh.triangles.sha256
    same_positions = sent is not None and arrays.array_ref(positions).sha256 == sent.mesh.positions.sha256
    return _Found(mesh, Source(positions, triangles, loops, polygons), is_base, same_triangles, same_positions)


def _origin(found: _Found, refined: Refined) -> Correspondence:
    """The backend's word, unless it gave none, or the original's triangles are others by now."""
    given, count = refined.origin, len(found.source.triangles)
    if given is not None and found.same_triangles:
        highest = max(given.vertex_triangles.max(initial=0), given.face_triangles.max(initial=0))
        if highest < count:
            return given
    return nearest_surface.nearest_origin(found.source, refined.surface.positions, refined.surface.triangles)


def _of_polygons(found: _Found, name: str, kind: type) -> NDArray[Any]:
    """A property of the source's polygons, by triangle [T]."""
    values = np.zeros(len(found.mesh.polygons), kind)
    found.mesh.polygons.foreach_get(name, values)
    return values[found.source.polygons]


# ---- materials, colours, UVs ----------------------------------------------------------------------
def _carry_materials(target: bpy.types.Object, found: _Found, mesh: bpy.types.Mesh, origin: Correspondence) -> None:
    """The original's slots after Maquette's own; what it shows stays Maquette's, and each face notes its slot."""
    first = len(mesh.materials)
    if not len(target.material_slots):
        return
    for slot in target.material_slots:
        mesh.materials.append(slot.material)
    indices = np.clip(_of_polygons(found, "material_index", np.int32), 0, len(target.material_slots) - 1)
    slots = (indices[origin.face_triangles] + first).astype(np.int32)
    if not first:
        mesh.polygons.foreach_set("material_index", slots)
        return
    note_materials(mesh, slots)


def note_materials(mesh: bpy.types.Mesh, slots: Ints) -> None:
    """Note on each face [F] the slot of the material that the original has there."""
    mesh.attributes.new(ORIGINAL_MATERIAL, "INT", "FACE").data.foreach_set("value", slots)


def _carry_colors(found: _Found, mesh: bpy.types.Mesh, refined: Refined, origin: Correspondence) -> None:
    surface, source = refined.surface, found.source
    active = found.mesh.color_attributes.active_color
    for attribute in found.mesh.color_attributes:
        if attribute.name in mesh.attributes:
            continue
        values = np.zeros((len(attribute.data), 4), np.float32)
        attribute.data.foreach_get("color", values.ravel())
        if attribute.domain == "POINT":
            new = correspondence.at_vertices(values, source, origin)
        else:
            new = correspondence.at_corners(values, surface.positions, surface.triangles, source, origin)
        made = mesh.color_attributes.new(name=attribute.name, type=attribute.data_type, domain=attribute.domain)
        made.data.foreach_set("color", np.ascontiguousarray(new, np.float32).ravel())
    if active is not None and surface.colors is None and active.name in mesh.color_attributes:
        mesh.color_attributes.active_color_name = active.name


def _carry_uvs(found: _Found, mesh: bpy.types.Mesh, refined: Refined, origin: Correspondence) -> None:
    """The original's UV layers. The layer that Maquette's texture was made for stays the active one."""
    surface, old = refined.surface, found.mesh.uv_layers
    shown = mesh.uv_layers.active.name if mesh.uv_layers.active else ""
    active = old.active.name if old.active else ""
    seams: Floats | None = None
    for name in [layer.name for layer in old if layer.name not in mesh.uv_layers]:
        values = np.zeros((len(found.mesh.loops), 2), np.float32)
        found.mesh.attributes[name].data.foreach_get("vector", values.ravel())
        new = correspondence.at_corners(values, surface.positions, surface.triangles, found.source, origin)
        mesh_building.set_uvs(mesh, name, new.reshape(-1, 2))
        seams = new if name == active else seams
    if seams is not None:
        mark_seams(mesh, seams)
    chosen = shown or active
    if chosen in mesh.uv_layers:
        mesh.uv_layers[chosen].active = mesh.uv_layers[chosen].active_render = True


def mark_seams(mesh: bpy.types.Mesh, corner_uvs: Floats) -> None:
    """Mark the edges where UVs [F,K,2] differ, of a mesh whose faces all have K corners."""
    edges = np.zeros(len(mesh.loops), np.int32)
    mesh.attributes[".corner_edge"].data.foreach_get("value", edges)
    marked = correspondence.seams(edges.reshape(corner_uvs.shape[:2]), corner_uvs, len(mesh.edges))
    mesh.edges.foreach_set("use_seam", marked)


# ---- vertex groups and the rig --------------------------------------------------------------------
Weights = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""(vertex, group, weight), sorted by group."""


def _carry_groups(
    target: bpy.types.Object, found: _Found, result: bpy.types.Object, origin: Correspondence
) -> Weights:
    names = [group.name for group in target.vertex_groups]
    weights = group_weights(found.mesh, len(names), found.source, origin)
    for index, name in enumerate(names):
        made = result.vertex_groups.new(name=name)
        made.lock_weight = target.vertex_groups[index].lock_weight
        write_weights(made, weights)
    if names:
        result.vertex_groups.active_index = target.vertex_groups.active_index
    return weights


def group_weights(mesh: bpy.types.Mesh, count: int, source: Source, origin: Correspondence) -> Weights:
    """The weights of a mesh's first ``count`` vertex groups at the vertices of a new surface."""
    return correspondence.influences_at_vertices(_influences(mesh, count, source, origin), count, source, origin)


def _influences(mesh: bpy.types.Mesh, count: int, source: Source, origin: Correspondence) -> Influences:
    """The source's vertex weights; of vertices that nothing comes from, none are read: that is a slow loop."""
    used = np.zeros(len(source.positions), bool)
    if count:
        used[source.triangles[np.unique(origin.vertex_triangles)]] = True
    vertices = mesh.vertices
    rows = [
        [(one.group, one.weight) for one in vertices[index].groups if one.group < count]
        for index in np.flatnonzero(used).tolist()
    ]
    lengths = np.zeros(len(used) + 1, np.int64)
    lengths[1:][used] = [len(row) for row in rows]
    pairs = [pair for row in rows for pair in row]
    table = np.array(pairs, np.float64).reshape(-1, 2)
    return Influences(np.cumsum(lengths), table[:, 0].astype(np.int64), table[:, 1])


def write_weights(group: bpy.types.VertexGroup, weights: Weights) -> None:
    """Fill a group. One call for each weight: Blender takes many vertices, but one weight, at a time."""
    start, end = np.searchsorted(weights[1], (group.index, group.index + 1))
    vertices, own = weights[0][start:end], weights[2][start:end]
    order = np.argsort(own, kind="stable")
    values, starts = np.unique(own[order], return_index=True)
    indices = vertices[order].tolist()
    ends = [*starts.tolist(), len(indices)][1:]
    for value, first, last in zip(values.tolist(), starts.tolist(), ends, strict=True):
        group.add(indices[first:last], value, "REPLACE")


def _carry_rig(
    target: bpy.types.Object,
    found: _Found,
    result: bpy.types.Object,
    refined: Refined,
    weights: Weights,
    sent: recipe.Subject | None,
) -> None:
    """The armature, so that the result follows it from here on.

    What was refined as the modifiers show it has the pose in it, which the armature would apply once more: the result
    is brought back to the rest pose first.
    """
    rigging.copy_armatures(target, result)
    world = target.matrix_world if sent is None else Matrix(np.reshape(sent.world_from_object, (4, 4)).tolist())
    pose = rigging.pose_of(target, world)
    if pose is None or not (pose.at_rest or found.same_positions):
        _switch_rig_off(result, "its deformation cannot be undone" if pose is None else "the pose has changed since")
        return
    if not pose.at_rest:
        dense = _dense(weights, [group.name for group in target.vertex_groups], pose, len(refined.surface.positions))
        mesh_building.set_positions(result.data, rigging.unposed(refined.surface.positions, pose, dense))


def _dense(weights: Weights, names: list[str], pose: rigging.Pose, count: int) -> NDArray[np.float64]:
    """[V,B]: the weights of the pose's bones."""
    columns = {names.index(name): column for column, name in enumerate(pose.groups) if name in names}
    out = np.zeros((count, len(pose.groups)))
    for group, column in columns.items():
        start, end = np.searchsorted(weights[1], (group, group + 1))
        out[weights[0][start:end], column] = weights[2][start:end]
    return out


def _switch_rig_off(result: bpy.types.Object, why: str) -> None:
    """Leave the surface as it was refined, rather than posed twice, and say why."""
    modifiers = rigging.armature_modifiers(result)
    for modifier in modifiers:
        modifier.show_viewport = modifier.show_render = False
    if modifiers:
        result[RIG_OFF] = why
