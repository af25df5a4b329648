"""All that an object and its mesh hold, layer by layer and bit by bit, for comparing before with after."""

from __future__ import annotations

import bpy
import numpy as np
from blender_scenes import _properties

_FIELDS = {
    "FLOAT": ("value", np.float32, 1),
    "INT": ("value", np.int32, 1),
    "INT8": ("value", np.int8, 1),
    "BOOLEAN": ("value", bool, 1),
    "FLOAT_VECTOR": ("vector", np.float32, 3),
    "FLOAT2": ("vector", np.float32, 2),
    "FLOAT_COLOR": ("color", np.float32, 4),
    "BYTE_COLOR": ("color", np.float32, 4),
    "INT32_2D": ("value", np.int32, 2),
    "INT16_2D": ("value", np.int16, 2),
    "QUATERNION": ("value", np.float32, 4),
}
"""What an attribute type's values are called, and what they are."""


def mesh_layers(mesh: bpy.types.Mesh) -> dict[str, object]:
    """Every layer of a mesh by name, values as bytes; ``position`` among them."""
    found: dict[str, object] = {
        "counts": (len(mesh.vertices), len(mesh.edges), len(mesh.polygons), len(mesh.loops)),
        "custom properties": {key: repr(value) for key, value in mesh.items()},
        "materials": [material and material.name for material in mesh.materials],
        "uv": [(layer.name, layer.active, layer.active_render, layer.active_clone) for layer in mesh.uv_layers],
        "colors": (mesh.color_attributes.active_color_name, mesh.color_attributes.default_color_name),
        "custom normals": mesh.has_custom_normals,
        "weights": [[(one.group, one.weight) for one in vertex.groups] for vertex in mesh.vertices],
        "polygons": [(tuple(face.vertices), face.material_index, face.use_smooth) for face in mesh.polygons],
        "edges": [tuple(edge.vertices) for edge in mesh.edges],
        "symmetry": (mesh.use_mirror_x, mesh.use_mirror_y, mesh.use_mirror_z),
    }
    for attribute in mesh.attributes:
        if attribute.data_type == "STRING":
            values: object = [item.value for item in attribute.data]
        else:
            field, kind, width = _FIELDS[attribute.data_type]
            array = np.zeros(len(attribute.data) * width, kind)
            attribute.data.foreach_get(field, array)
            values = array.tobytes()
        found[f"attribute {attribute.name}"] = (attribute.domain, attribute.data_type, values)
    return found


def shape_keys(mesh: bpy.types.Mesh) -> dict[str, object]:
    """Every shape key by name: its positions as bytes, and its settings."""
    if mesh.shape_keys is None:
        return {}
    drivers = mesh.shape_keys.animation_data.drivers if mesh.shape_keys.animation_data else ()
    found: dict[str, object] = {"drivers": [(one.data_path, one.driver.expression) for one in drivers]}
    for key in mesh.shape_keys.key_blocks:
        points = np.zeros(len(key.data) * 3, np.float32)
        key.data.foreach_get("co", points)
        settings = (key.value, key.mute, key.relative_key.name, key.vertex_group, key.slider_min, key.slider_max, key.interpolation, key.lock_shape)  # fmt: skip
        found[key.name] = (points.tobytes(), settings)
    return found


def around(thing: bpy.types.Object) -> dict[str, object]:
    """What an object is besides its mesh, its name and its being shown."""
    bpy.context.view_layer.update()
    found = {
        "transform": [tuple(row) for row in thing.matrix_world],
        "parent inverse": [tuple(row) for row in thing.matrix_parent_inverse],
        "parent": (thing.parent, thing.parent_type, thing.parent_bone),
        "groups": [(group.name, group.lock_weight) for group in thing.vertex_groups],
        "modifiers": [_properties(modifier, 1) for modifier in thing.modifiers],
        "constraints": [(one.type, one.name, getattr(one, "target", None)) for one in thing.constraints],
        "custom properties": {key: repr(thing[key]) for key in thing.keys() if not key.startswith("maquette")},  # noqa: SIM118
        "slots": [(slot.link, slot.material and slot.material.name) for slot in thing.material_slots],
        "collections": [collection.name for collection in thing.users_collection],
    }
    for modifier in found["modifiers"]:
        modifier.pop("execution_time", None)
    return found


def differing(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """Names of what is not the same."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
