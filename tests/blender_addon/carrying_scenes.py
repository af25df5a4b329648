"""Results made by hand for tests of carrying: finer surfaces with a known origin, and a rigged column."""

from __future__ import annotations

import json
from types import ModuleType

import blender_scenes as scenes
import bpy
import numpy as np
from driving import Addon


def finer(positions: np.ndarray, triangles: np.ndarray, parts: int) -> tuple[np.ndarray, ...]:
    """Each triangle as parts² triangles, welded by place; with the origin: (positions, triangles, vertex_triangles,
    vertex_weights, face_triangles)."""
    steps = [(i, j) for i in range(parts + 1) for j in range(parts + 1 - i)]
    index = {step: number for number, step in enumerate(steps)}
    weights = np.array([(parts - i - j, i, j) for i, j in steps], np.float32) / parts
    up = [(index[i, j], index[i + 1, j], index[i, j + 1]) for i, j in steps if i + j < parts]
    down = [(index[i + 1, j], index[i + 1, j + 1], index[i, j + 1]) for i, j in steps if i + j < parts - 1]
    local = np.array(up + down)
    points = np.einsum("wc,tcn->twn", weights, positions[triangles]).reshape(-1, 3)
    faces = (local[None] + len(steps) * np.arange(len(triangles))[:, None, None]).reshape(-1, 3)
    _, first, inverse = np.unique(np.round(points, 5), axis=0, return_index=True, return_inverse=True)
    owner = np.repeat(np.arange(len(triangles)), len(steps))[first].astype(np.int32)
    shares = np.tile(weights, (len(triangles), 1))[first]
    face_owner = np.repeat(np.arange(len(triangles)), len(local)).astype(np.int32)
    return (
        points[first].astype(np.float32),
        inverse.reshape(-1)[faces].astype(np.int32),
        owner,
        shares,
        face_owner,
    )


def sent(addon: Addon, thing: bpy.types.Object) -> tuple[str, object]:
    """The recipe of this one object, and its arrays as they were read."""
    bpy.context.scene.maquette.targets.clear()
    scenes.add_target(thing, "a thing")
    reading = addon("scene_reading").read_scene(bpy.context)
    text = addon("_protocol").recipe_text.recipe_to_json(reading.recipe)
    return text, addon("mesh_reading").read_mesh(bpy.context, thing)


def delivered(
    addon: Addon, thing: bpy.types.Object, parts: int = 4, *, growth: float = 1.0, tell: bool = True, **wishes: bool
) -> bpy.types.Object:
    """A result of the object's surface in finer triangles, without colours of its own."""
    text, mesh = sent(addon, thing)
    positions, triangles, *origin = finer(mesh.positions, mesh.triangles, parts)
    return accept(addon, thing, text, positions * np.float32(growth), triangles, origin if tell else None, **wishes)


def accept(
    addon: Addon, thing: bpy.types.Object, text: str, positions: np.ndarray, triangles: np.ndarray, origin, *,
    how: object = None, **wishes: bool,
) -> bpy.types.Object:  # fmt: skip
    refined: ModuleType = addon("refined")
    for name, value in wishes.items():
        setattr(bpy.context.scene.maquette_results, name, value)
    surface = refined.Surface(positions, triangles)
    found = refined.Correspondence(*origin) if origin is not None else None
    subject_id = json.loads(text)["subjects"][0]["subject_id"]
    result = refined.Refined(subject_id, False, surface, found)
    writing = addon("scene_writing")
    told = writing.Origin("0" * 32, text, "test")
    return writing.accept(bpy.context, thing, result, told, how or addon("target_settings").Delivery())


def weights_of(thing: bpy.types.Object) -> np.ndarray:
    """[V,G]"""
    out = np.zeros((len(thing.data.vertices), len(thing.vertex_groups)))
    for vertex in thing.data.vertices:
        for one in vertex.groups:
            out[vertex.index, one.group] = one.weight
    return out


def places(mesh: bpy.types.Mesh) -> np.ndarray:
    out = np.zeros((len(mesh.vertices), 3), np.float32)
    mesh.attributes["position"].data.foreach_get("vector", out.ravel())
    return out


def shown(thing: bpy.types.Object) -> np.ndarray:
    """Positions with modifiers, in world space."""
    bpy.context.view_layer.update()
    found = thing.evaluated_get(bpy.context.evaluated_depsgraph_get())
    world = np.array(found.matrix_world)
    return places(found.data) @ world[:3, :3].T + world[:3, 3]


def loop_uvs(mesh: bpy.types.Mesh, name: str) -> np.ndarray:
    out = np.zeros((len(mesh.loops), 2), np.float32)
    mesh.attributes[name].data.foreach_get("vector", out.ravel())
    return out


def rigged(addon: Addon) -> tuple[bpy.types.Object, bpy.types.Object]:
    """A column of two bones, its weights a ramp between them, and the armature it is parented to."""
    bpy.ops.mesh.primitive_cylinder_add(vertices=12, radius=0.3, depth=2.0, end_fill_type="TRIFAN", calc_uvs=True)
    column = bpy.context.object
    column.name = "Column"
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.bisect(plane_co=(0, 0, 0.3), plane_no=(0, 0, 1))
    bpy.ops.object.mode_set(mode="OBJECT")
    low, high = (column.vertex_groups.new(name=name) for name in ("Low", "High"))
    for vertex in column.data.vertices:
        share = float(np.clip((vertex.co.z + 1) / 2, 0, 1))
        low.add([vertex.index], 1 - share, "REPLACE")
        high.add([vertex.index], share, "REPLACE")
    armature = bpy.data.armatures.new("Rig")
    rig = bpy.data.objects.new("Rig", armature)
    bpy.context.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for name, start, end in (("Low", -1.0, 0.0), ("High", 0.0, 1.0)):
        bone = armature.edit_bones.new(name)
        bone.head, bone.tail = (0, 0, start), (0, 0, end)
    armature.edit_bones["High"].parent = armature.edit_bones["Low"]
    bpy.ops.object.mode_set(mode="OBJECT")
    rig.location, rig.rotation_euler = (0.5, -0.2, 0.1), (0.1, 0.2, 0.3)
    column.parent = rig
    column.scale = (1.0, 1.3, 0.8)
    column.modifiers.new("Armature", "ARMATURE").object = rig
    bpy.context.view_layer.update()
    return column, rig


def bend(rig: bpy.types.Object, angle: float) -> None:
    bone = rig.pose.bones["High"]
    bone.rotation_mode = "XYZ"
    bone.rotation_euler = (angle, 0.3 * angle, 0)
    bpy.context.view_layer.update()
