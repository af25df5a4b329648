"""What may move and how far: masks, sharp edges and locks, from the data that Blender has for them. Changes nothing."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import bpy
import numpy as np
from mathutils.kdtree import KDTree
from numpy.typing import NDArray

from ._protocol import errors, recipe
from .target_settings import MaquetteTarget

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Code = errors.ErrorCode
_VALUES = {"FLOAT": ("value", 1), "BOOLEAN": ("value", 1), "FLOAT_COLOR": ("color", 4), "BYTE_COLOR": ("color", 4)}
"""Attribute types that can be a mask: the name and number of their values."""


def read_mask(thing: bpy.types.Object, source: bpy.types.Mesh, target: MaquetteTarget, positions: Floats) -> Floats | None:
    """Share of the strength for each vertex [V] of ``source``, 0..1; none where all may move.

    Raises:
        MaquetteError: what the mask is made of is not there, or nothing of it is left.
    """
    match target.mask_source:
        case "GROUP":
            values, what = _group(thing, source, target.mask_group), f"Vertex group “{target.mask_group}”"
        case "ATTRIBUTE":
            values, what = _attribute(thing, source, target.mask_attribute), f"Attribute “{target.mask_attribute}”"
        case "SELECTED":
            values, what = _selection(source), "The selection"
        case _:
            return None
    if target.mask_invert:
        values = 1 - values
    used = np.zeros(len(values), bool)
    used[_corners(source)] = True
    if not (values[used] > 0).any():
        raise _empty(thing.name, what, target)
    reach = target.mask_feather / 100 * float(np.ptp(positions[used], axis=0).max())
    return _feathered(values, used, positions, _edge_vertices(source), reach)


def _empty(name: str, what: str, target: MaquetteTarget) -> errors.MaquetteError:
    if target.mask_source == "SELECTED":
        side = "everything is selected, and the mask is inverted" if target.mask_invert else "no vertex is selected"
        return _bad(f"{name} refines its selection, but {side}.", "Select faces in Edit Mode, or set Mask to Whole Object.")
    inverted = ", inverted" if target.mask_invert else ""
    return _bad(
        f"{what} of {name}{inverted}, is 0 at every vertex: the mask leaves nothing to refine.",
        "Paint or assign values above 0, switch Invert, or set Mask to Whole Object.",
    )


def _group(thing: bpy.types.Object, source: bpy.types.Mesh, name: str) -> Floats:
    group = thing.vertex_groups.get(name)
    if group is None:
        known = ", ".join(f"“{one.name}”" for one in thing.vertex_groups) or "none"
        asked = f"no vertex group “{name}”" if name else "no vertex group chosen as its mask"
        raise _bad(f"{thing.name} has {asked}.", f"Choose one of its groups ({known}), or another mask.")
    found = np.zeros(len(source.vertices), np.float32)
    index = group.index
    for vertex in source.vertices:
        for element in vertex.groups:
            if element.group == index:
                found[vertex.index] = element.weight
    return np.clip(found, 0, 1)


def _selection(source: bpy.types.Mesh) -> Floats:
    """Blender selects the vertices of selected edges and faces with them."""
    chosen = np.zeros(len(source.vertices), bool)
    source.vertices.foreach_get("select", chosen)
    return chosen.astype(np.float32)


def _attribute(thing: bpy.types.Object, source: bpy.types.Mesh, name: str) -> Floats:
    attribute = source.attributes.get(name)
    if attribute is None:
        asked = f"no attribute “{name}”" if name else "no attribute chosen as its mask"
        raise _bad(f"{thing.name} has {asked}.", "Choose one that it has (Object Data properties), or another mask.")
    if attribute.data_type not in _VALUES or attribute.domain == "EDGE":
        raise _bad(
            f"Attribute “{name}” of {thing.name} is {attribute.data_type.lower()} on {attribute.domain.lower()}s.",
            "Use a float, boolean or color attribute of points, faces or face corners.",
        )
    field, parts = _VALUES[attribute.data_type]
    values = np.zeros((len(attribute.data), parts), bool if attribute.data_type == "BOOLEAN" else np.float32)
    attribute.data.foreach_get(field, values.ravel())
    level = values[:, : min(parts, 3)].astype(np.float32).mean(axis=1)  # a colour counts by its grey
    if not np.isfinite(level).all():
        bad = int(np.argmin(np.isfinite(level)))
        raise _bad(
            f"Attribute “{name}” of {thing.name} is {level[bad]:g} at {attribute.domain.lower()} {bad}.",
            "Set values from 0 to 1.",
        )
    return np.clip(_per_vertex(source, level, attribute.domain), 0, 1)


def _per_vertex(source: bpy.types.Mesh, values: Floats, domain: str) -> Floats:
    """The mean over the corners that meet in each vertex; 0 where none do."""
    if domain == "POINT":
        return values
    if domain == "FACE":
        totals = np.zeros(len(source.polygons), np.int32)
        source.polygons.foreach_get("loop_total", totals)
        values = np.repeat(values, totals)
    corners = _corners(source)
    count = np.bincount(corners, minlength=len(source.vertices))
    total = np.bincount(corners, weights=values, minlength=len(source.vertices))
    return (total / np.maximum(count, 1)).astype(np.float32)


def _corners(source: bpy.types.Mesh) -> Ints:
    """The vertex of each face corner."""
    corners = np.zeros(len(source.loops), np.int32)
    source.loops.foreach_get("vertex_index", corners)
    return corners


def _feathered(values: Floats, used: NDArray[np.bool_], positions: Floats, edges: Ints, reach: float) -> Floats:
    """Values [V] that rise smoothly from the border, over ``reach`` metres; it is the vertices that stay beside others."""
    across = edges[(values[edges] > 0).any(axis=1) & (values[edges] == 0).any(axis=1)].ravel()
    border, moves = np.unique(across[values[across] == 0]), np.flatnonzero(values > 0)
    if not len(border) or not reach > 0:
        return values
    tree = KDTree(len(border))
    for index, place in enumerate(positions[border].tolist()):
        tree.insert(place, index)
    tree.balance()
    distance = np.array([tree.find(place)[2] for place in positions[moves].tolist()], np.float32)
    share = np.clip(distance / reach, 0, 1)
    feathered = values.copy()
    feathered[moves] *= share * share * (3 - 2 * share)
    # a vertex that lies on one that stays would tear off from it: it stays too, unless that leaves nothing
    return feathered if (feathered[used] > 0).any() else values


def _edge_vertices(source: bpy.types.Mesh) -> Ints:
    """[E,2]"""
    vertices = np.zeros((len(source.edges), 2), np.int32)
    source.edges.foreach_get("vertices", vertices.ravel())
    return vertices


def read_sharp_edges(source: bpy.types.Mesh) -> Ints | None:
    """Vertex pairs [E,2] of the edges that are marked sharp or creased; none without any."""
    marked = np.zeros(len(source.edges), bool)
    for name in ("sharp_edge", "crease_edge"):
        attribute = source.attributes.get(name)
        if attribute is not None and attribute.domain == "EDGE":
            values = np.zeros(len(marked), bool if attribute.data_type == "BOOLEAN" else np.float32)
            attribute.data.foreach_get("value", values)
            marked |= values > 0
    if not marked.any():
        return None
    return _edge_vertices(source)[marked]


def read_locks(target: MaquetteTarget, mirrored_axes: frozenset[int] = frozenset()) -> recipe.Locks:
    """The artist's locks, and those that keep what Mirror modifiers mirror in step with it."""
    x, y, z = (target.symmetry[axis] or axis in mirrored_axes for axis in range(3))
    return recipe.Locks(x, y, z, target.flat_bottom)


def _bad(message: str, remedy: str) -> errors.MaquetteError:
    return errors.MaquetteError(Code.INVALID_RECIPE, message, remedy)
