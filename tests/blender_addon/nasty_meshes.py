"""Meshes with everything that can be lost, and with everything that can go wrong."""

from __future__ import annotations

from collections.abc import Callable

import blender_scenes as scenes
import bpy
import numpy as np

# a table top of an n-gon, quads and triangles around it
_RING = [(float(np.cos(a)), float(np.sin(a))) for a in np.linspace(0, 2 * np.pi, 6, endpoint=False)]
_TOP = [(x, y, 1.0) for x, y in _RING]
_BOTTOM = [(1.5 * x, 1.5 * y, 0.0) for x, y in _RING]
_SIDES = [(6 + i, 6 + (i + 1) % 6, (i + 1) % 6, i) for i in range(5)]
_SPLIT = [(11, 6, 0), (11, 0, 5)]


def rigged(name: str = "Table", *, keys: bool = True, mode: str = "keep_topology") -> bpy.types.Object:
    """An object with n-gon, quads and triangles, a loose vertex and edge, and one of each thing an artist may have."""
    vertices = [*_TOP, *_BOTTOM, (0.0, 0.0, 3.0), (0.0, 0.0, 4.0), (0.5, 0.0, 4.0)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices, [(13, 14)], [tuple(range(6)), *_SIDES, *_SPLIT])
    thing = bpy.data.objects.new(name, mesh)
    bpy.context.collection.objects.link(thing)
    _layers(mesh)
    _materials(thing)
    _rig(thing)
    if keys:
        _keys(thing)
    mesh["artist"], thing["asset id"] = "Ada", 7
    scenes.add_target(thing, "a table", mode=mode)
    bpy.context.view_layer.objects.active = thing
    return thing


def _layers(mesh: bpy.types.Mesh) -> None:
    random = np.random.default_rng(3)
    for name in ("UVMap", "Lightmap"):
        layer = mesh.uv_layers.new(name=name)
        mesh.attributes[layer.name].data.foreach_set("vector", random.random(2 * len(mesh.loops), np.float32))
    for name, kind, domain, field, width in (
        ("Paint", "FLOAT_COLOR", "POINT", "color", 4),
        ("Dirt", "BYTE_COLOR", "CORNER", "color", 4),
        ("Wear", "FLOAT", "POINT", "value", 1),
        ("Zone", "INT", "FACE", "value", 1),
        ("crease_edge", "FLOAT", "EDGE", "value", 1),
        ("crease_vert", "FLOAT", "POINT", "value", 1),
        ("bevel_weight_edge", "FLOAT", "EDGE", "value", 1),
        ("Flow", "FLOAT_VECTOR", "CORNER", "vector", 3),
    ):
        attribute = mesh.attributes.new(name, kind, domain)
        count = len(attribute.data) * width
        values = random.integers(0, 9, count) if kind == "INT" else random.random(count)
        attribute.data.foreach_set(field, values.astype(np.int32 if kind == "INT" else np.float32))
    for edge in mesh.edges:
        edge.use_edge_sharp, edge.use_seam = edge.index % 3 == 0, edge.index % 4 == 0
    _mark_for_freestyle(mesh, 2)
    for face in mesh.polygons:
        face.use_smooth = face.index % 2 == 0
    mesh.update()
    bent = random.normal(size=(len(mesh.loops), 3))
    mesh.normals_split_custom_set([tuple(one / np.linalg.norm(one)) for one in bent])


def _mark_for_freestyle(mesh: bpy.types.Mesh, index: int) -> None:
    """Since 5.0 the mark is an attribute like others."""
    if hasattr(bpy.types.MeshEdge, "use_freestyle_mark"):
        mesh.edges[index].use_freestyle_mark = True
        return
    mesh.attributes.new("freestyle_edge", "BOOLEAN", "EDGE").data[index].value = True


def _materials(thing: bpy.types.Object) -> None:
    for name in ("Oak", "Brass"):
        thing.data.materials.append(bpy.data.materials.new(name))
    for face in thing.data.polygons:
        face.material_index = face.index % 2
    thing.material_slots[1].link = "OBJECT"
    thing.material_slots[1].material = bpy.data.materials.new("Steel")


def _rig(thing: bpy.types.Object) -> None:
    armature = bpy.data.armatures.new("Rig")
    rig = bpy.data.objects.new("Rig", armature)
    bpy.context.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for name in ("Root", "Lid"):
        bone = armature.edit_bones.new(name)
        bone.head, bone.tail = (0, 0, 0), (0, 0, 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    rig.location = (1, 2, 3)
    for index, name in enumerate(("Root", "Lid")):
        group = thing.vertex_groups.new(name=name)
        for vertex in range(0, 12, index + 1):
            group.add([vertex], 0.25 + 0.05 * vertex, "REPLACE")
    thing.vertex_groups["Lid"].lock_weight = True
    thing.parent = rig
    thing.matrix_parent_inverse[0][3] = 0.5
    modifier = thing.modifiers.new("Armature", "ARMATURE")
    modifier.object = rig
    thing.modifiers.new("Subdivision", "SUBSURF").levels = 1
    constraint = thing.constraints.new("COPY_ROTATION")
    constraint.target = rig


def _keys(thing: bpy.types.Object) -> None:
    thing.shape_key_add(name="Basis")
    smile = thing.shape_key_add(name="Smile", from_mix=False)
    for index in range(6):
        smile.data[index].co.z += 0.5
    smile.value, smile.vertex_group = 0.5, "Root"
    frown = thing.shape_key_add(name="Frown", from_mix=False)
    frown.relative_key, frown.mute, frown.slider_max = smile, True, 2.0
    driver = smile.driver_add("slider_min").driver
    driver.expression = "-0.5"
    thing.active_shape_key_index = 1


def _plain(vertices: list, faces: list) -> Callable[[], bpy.types.Object]:
    return lambda: scenes.mesh_object("Nasty", vertices, faces)


_QUAD = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]


def _broken_cube() -> bpy.types.Object:
    """Doubled vertices, an inside-out face, a hole, an inner face and a face without area."""
    thing = scenes.cube("Nasty", prompt=None)
    vertices = [tuple(vertex.co) for vertex in thing.data.vertices]
    faces = [tuple(face.vertices) for face in thing.data.polygons]
    bpy.data.objects.remove(thing)
    doubled = vertices + vertices[:4]
    inner = (0, 3, 7, 4)
    return scenes.mesh_object("Nasty", doubled, [faces[0][::-1], *faces[1:5], inner, (8, 9, 0, 1)])


NASTY: dict[str, Callable[[], bpy.types.Object]] = {
    "a face without area": _plain([*_QUAD, (2, 0, 0), (3, 0, 0), (4, 0, 0)], [(0, 1, 2, 3), (4, 5, 6)]),
    "loose vertices": _plain([*_QUAD, (9, 9, 9), (8, 8, 8)], [(0, 1, 2, 3)]),
    "doubled vertices, holes, inside out": _broken_cube,
    "two faces on one another": _plain(_QUAD, [(0, 1, 2, 3), (3, 2, 1, 0)]),
    "an edge of three faces": _plain([*_QUAD, (0, 0, 1), (0, 0, -1)], [(0, 1, 2), (1, 0, 4), (0, 1, 5)]),
    "a concave n-gon": _plain([(0, 0, 0), (4, 0, 0), (4, 4, 0), (2, 1, 0), (0, 4, 0)], [(0, 1, 2, 3, 4)]),
    "a bent quad": _plain([(0, 0, 0), (1, 0, 1), (1, 1, 0), (0, 1, 1)], [(0, 1, 2, 3)]),
}
"""Meshes that must work."""
