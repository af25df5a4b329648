"""Small scenes, and a complete account of a file's data for comparisons."""

from __future__ import annotations

import bpy
import numpy as np


def cube(name: str = "Crate", *, location: tuple[float, float, float] = (0, 0, 0), prompt: str | None = "a crate"):
    """A cube of 8 vertices and 6 quads with UVs; a target when it has a prompt."""
    bpy.ops.mesh.primitive_cube_add(size=1.0, location=location, calc_uvs=True)
    thing = bpy.context.object
    thing.name = thing.data.name = name
    if prompt is not None:
        add_target(thing, prompt)
    return thing


def add_target(thing: bpy.types.Object, prompt: str, mode: str = "remesh") -> None:
    """Make an object a target, as the list does."""
    target = bpy.context.scene.maquette.targets.add()
    target.object, target.prompt, target.mode = thing, prompt, mode


def mesh_object(name: str, vertices: list, faces: list) -> bpy.types.Object:
    """An object of given vertices and faces, linked to the scene."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices, [], faces)
    thing = bpy.data.objects.new(name, mesh)
    bpy.context.collection.objects.link(thing)
    return thing


def state() -> dict[str, dict[str, object]]:
    """Every property of every datablock of the file, meshes by value. References are kept by name."""
    bpy.context.view_layer.update()
    found: dict[str, dict[str, object]] = {}
    for collection in (prop.identifier for prop in bpy.data.bl_rna.properties if prop.type == "COLLECTION"):
        if collection in ("window_managers", "screens", "workspaces"):
            continue
        for block in getattr(bpy.data, collection):
            found[f"{collection}/{block.name_full}"] = _properties(block, 3)
    return found


def differences(before: dict, after: dict) -> dict[str, object]:
    """What was added, removed or changed, by datablock: the names of changed properties."""
    found: dict[str, object] = {}
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            found[name] = "removed"
        elif name not in before:
            found[name] = "added"
        elif before[name] != after[name]:
            keys = before[name].keys() | after[name].keys()
            found[name] = sorted(key for key in keys if before[name].get(key) != after[name].get(key))
    return found


def _properties(thing: object, depth: int) -> dict[str, object]:
    if isinstance(thing, bpy.types.MeshUVLoopLayer):
        # its values are among the mesh's attributes; reading them here makes Blender copy what undo shares
        return {"name": thing.name, "active": thing.active, "render": thing.active_render, "clone": thing.active_clone}
    out: dict[str, object] = {}
    for prop in thing.bl_rna.properties:  # type: ignore[attr-defined]
        name = prop.identifier
        # counters, evaluation state and caches of Blender's own, which any redraw changes; a hidden object's bounds are
        # those of its last evaluation, and follow from its mesh and scale
        if name in ("rna_type", "users", "is_evaluated", "session_uid", "is_updated", "is_updated_data", "tag",
                    "depsgraph", "original", "id_data", "loop_triangles", "loop_triangle_polygons",
                    "particle_edit", "uv_sculpt", "vertex_normals", "polygon_normals", "corner_normals", "is_missing", "has_data", "resolution",
                    "bound_box", "dimensions"):  # fmt: skip
            continue
        try:
            out[name] = _value(getattr(thing, name), prop, depth)
        except (AttributeError, RuntimeError):
            continue  # not readable in this state
    if isinstance(thing, bpy.types.ID):
        # groups of registered properties are among the properties above
        out["custom"] = {key: repr(value) for key, value in thing.items() if not hasattr(value, "to_dict")}
    if isinstance(thing, bpy.types.Object):
        in_layer = bpy.context.view_layer.objects.get(thing.name) is not None
        out["hidden and selected"] = (thing.hide_get(), thing.select_get()) if in_layer else None
    return out


def _value(value: object, prop: bpy.types.Property, depth: int) -> object:
    if prop.type == "POINTER":
        if value is None or isinstance(value, bpy.types.ID):
            return getattr(value, "name_full", None)
        return _properties(value, depth - 1) if depth else None
    if prop.type == "COLLECTION":
        return _collection(value, depth)
    if hasattr(value, "__len__") and not isinstance(value, str | bytes | set):
        return np.array(value).tolist()
    return sorted(value) if isinstance(value, set) else value


def _collection(items: object, depth: int) -> object:
    listed = list(items)  # type: ignore[call-overload]
    if any(isinstance(item, bpy.types.ID) for item in listed):
        return [item.name_full if item is not None else None for item in listed]
    return [_properties(item, depth - 1) for item in listed] if depth else len(listed)
