"""A new surface's triangles → quads, by Blender's own QuadriFlow remesher, with all that hangs on the triangles.

QuadriFlow blocks: Blender does not answer meanwhile. On one core it took 1 to 2 s for 2,000 quads and 5 to 7 s for
5,000, of 19,000 and of 30,000 triangles alike. Hence the bounds on both.
"""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from . import carrying, correspondence, mesh_building, nearest_surface, overriding
from .correspondence import Source
from .refined import Correspondence, Floats, Ints

MOST_TRIANGLES = 30_000
"""Of the surface that is made first."""
SEED = 0


@dataclass(frozen=True)
class _New:
    """The quads, and where on the triangles they came from."""

    positions: Floats
    """[V,3]"""
    quads: Ints
    """[Q,4]"""
    source: Source
    origin: Correspondence


def make_quads(context: bpy.types.Context, result: bpy.types.Object, count: int) -> str:
    """Replace a result's triangles by about ``count`` quads.

    They do not mirror each other where the triangles do: Blender's symmetric QuadriFlow leaves the seam open.

    Returns why that could not be, in a sentence, and leaves the triangles then; else an empty text.
    """
    mesh = result.data
    assert isinstance(mesh, bpy.types.Mesh)
    if len(mesh.polygons) > MOST_TRIANGLES:
        return f"It has {len(mesh.polygons):,} triangles, and quads are made of {MOST_TRIANGLES:,} at most: it stays triangles."
    source = _source_of(mesh)
    made = _quadriflow(context, source, count)
    if made is None:
        return "QuadriFlow found no quads for this surface: it stays triangles."
    origin = nearest_surface.nearest_origin(source, *made)
    _put(result, _New(*made, source, origin))
    return ""


def _source_of(mesh: bpy.types.Mesh) -> Source:
    count = len(mesh.polygons)
    triangles, positions = np.zeros((count, 3), np.int32), np.zeros((len(mesh.vertices), 3), np.float32)
    mesh.loops.foreach_get("vertex_index", triangles.ravel())
    mesh.attributes["position"].data.foreach_get("vector", positions.ravel())
    loops = np.arange(3 * count, dtype=np.int32).reshape(-1, 3)
    return Source(positions, triangles, loops, np.arange(count, dtype=np.int32))


def _quadriflow(context: bpy.types.Context, source: Source, count: int) -> tuple[Floats, Ints] | None:
    """Positions [V,3] and quads [Q,4], made on an object that is gone afterwards; none where it fails."""
    mesh = bpy.data.meshes.new(".maquette quads")
    mesh_building.fill_mesh(mesh, source.positions, source.triangles, None)
    thing = bpy.data.objects.new(mesh.name, mesh)
    context.scene.collection.objects.link(thing)
    try:
        with overriding.overridden(context, object=thing, active_object=thing, selected_objects=[thing]):
            done = bpy.ops.object.quadriflow_remesh(
                mode="FACES", target_faces=count, use_mesh_symmetry=False, use_preserve_sharp=False, seed=SEED
            )
        return _quads_of(thing.data) if done == {"FINISHED"} else None
    except RuntimeError:
        # what the operator reports as an error, such as edges of three faces
        return None
    finally:
        left = thing.data
        bpy.data.objects.remove(thing)
        bpy.data.meshes.remove(left)


def _quads_of(mesh: bpy.types.Mesh) -> tuple[Floats, Ints] | None:
    """None where there are other faces, or none at all."""
    if not len(mesh.polygons) or len(mesh.loops) != 4 * len(mesh.polygons):
        return None
    positions, quads = np.zeros((len(mesh.vertices), 3), np.float32), np.zeros((len(mesh.polygons), 4), np.int32)
    mesh.attributes["position"].data.foreach_get("vector", positions.ravel())
    mesh.loops.foreach_get("vertex_index", quads.ravel())
    return positions, quads


# ---- what hangs on the triangles ------------------------------------------------------------------
def _put(result: bpy.types.Object, new: _New) -> None:
    """The quads in place of the triangles: all is read before anything is replaced."""
    mesh = result.data
    writes = [*_face_layers(mesh, new), *_color_layers(mesh, new), *_uv_layers(mesh, new)]
    groups, active = [(one.name, one.lock_weight) for one in result.vertex_groups], result.vertex_groups.active_index
    weights = carrying.group_weights(mesh, len(groups), new.source, new.origin)
    mesh_building.fill_mesh(mesh, new.positions, new.quads, None)  # the groups' names go with the old geometry
    for write in writes:
        write()
    for name, locked in groups:
        made = result.vertex_groups.new(name=name)
        made.lock_weight = locked
        carrying.write_weights(made, weights)
    result.vertex_groups.active_index = active
    mesh.update()


_Write = Callable[[], None]


def _face_layers(mesh: bpy.types.Mesh, new: _New) -> list[_Write]:
    """Material, smoothness, and which material was the original's."""
    faces, count = new.origin.face_triangles, len(mesh.polygons)
    slots, smooth = np.zeros(count, np.int32), np.zeros(count, bool)
    mesh.polygons.foreach_get("material_index", slots)
    mesh.polygons.foreach_get("use_smooth", smooth)
    writes: list[_Write] = [
        lambda: mesh.polygons.foreach_set("use_smooth", smooth[faces]),
        lambda: mesh.polygons.foreach_set("material_index", slots[faces]),
    ]
    if carrying.ORIGINAL_MATERIAL in mesh.attributes:
        noted = np.zeros(count, np.int32)
        mesh.attributes[carrying.ORIGINAL_MATERIAL].data.foreach_get("value", noted)
        writes.append(lambda: carrying.note_materials(mesh, noted[faces]))
    return writes


def _color_layers(mesh: bpy.types.Mesh, new: _New) -> list[_Write]:
    active = mesh.color_attributes.active_color
    writes: list[_Write] = []
    for attribute in mesh.color_attributes:
        values = np.zeros((len(attribute.data), 4), np.float32)
        attribute.data.foreach_get("color", values.ravel())
        points = attribute.domain == "POINT"
        found = correspondence.at_vertices(values, new.source, new.origin) if points else _at_corners(values, new)
        writes.append(_color_writer(mesh, attribute.name, attribute.data_type, attribute.domain, found))
    if active is not None:
        name = active.name
        writes.append(lambda: setattr(mesh.color_attributes, "active_color_name", name))
    return writes


def _color_writer(mesh: bpy.types.Mesh, name: str, kind: str, domain: str, values: Floats) -> _Write:
    def write() -> None:
        made = mesh.color_attributes.new(name=name, type=kind, domain=domain)
        made.data.foreach_set("color", np.ascontiguousarray(values, np.float32).ravel())

    return write


def _uv_layers(mesh: bpy.types.Mesh, new: _New) -> list[_Write]:
    """UVs island by island, seams where they meet; the layer that is shown stays so."""
    if mesh.uv_layers.active is None:
        return []
    active, found = mesh.uv_layers.active.name, {}
    for name in [layer.name for layer in mesh.uv_layers]:
        values = np.zeros((len(mesh.loops), 2), np.float32)
        mesh.attributes[name].data.foreach_get("vector", values.ravel())
        found[name] = _at_corners(values, new)
    writes = [_uv_writer(mesh, name, found[name]) for name in (*found, active)]  # the last one written is the active one
    seams: NDArray[np.bool_] = np.zeros(len(mesh.edges), bool)
    mesh.edges.foreach_get("use_seam", seams)
    if seams.any():
        writes.append(lambda: carrying.mark_seams(mesh, found[active]))
    return writes


def _uv_writer(mesh: bpy.types.Mesh, name: str, corner_uvs: Floats) -> _Write:
    return lambda: mesh_building.set_uvs(mesh, name, corner_uvs.reshape(-1, 2))


def _at_corners(values: Floats, new: _New) -> Floats:
    return correspondence.at_corners(values, new.positions, new.quads, new.source, new.origin)
