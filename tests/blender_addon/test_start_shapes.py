"""Shapes to start from: closed, outward, all quads, with UVs that a bake can use; where and how Blender adds things."""

from __future__ import annotations

import math

import blender_scenes as scenes
import bmesh
import bpy
import numpy as np
import pytest
from driving import Addon, push, undo
from test_panels import COMPLAINTS, draw

pytestmark = pytest.mark.blender
SHAPES = ("ELLIPSOID", "CYLINDER", "BOX")


def corner_uvs(thing: bpy.types.Object) -> np.ndarray:
    """[F,3,2] of the mesh's triangles."""
    mesh = thing.data
    mesh.calc_loop_triangles()
    layer = mesh.uv_layers.active.data
    return np.array([[tuple(layer[loop].uv) for loop in triangle.loops] for triangle in mesh.loop_triangles])


@pytest.mark.parametrize(("shape", "volume"), [("ELLIPSOID", math.pi / 6), ("CYLINDER", math.pi / 4), ("BOX", 1.0)])
def test_each_is_a_closed_outward_surface_of_quads_of_the_size_asked_for(
    addon: Addon, shape: str, volume: float
) -> None:
    size = (1.0, 2.0, 0.5)
    assert bpy.ops.maquette.add_start(shape=shape, dimensions=size, parts=16) == {"FINISHED"}
    thing = bpy.context.object
    np.testing.assert_allclose(thing.dimensions, size, rtol=1e-6)
    found = bmesh.new()
    found.from_mesh(thing.data)
    assert all(len(face.verts) == 4 for face in found.faces)
    assert all(edge.is_manifold and edge.is_contiguous for edge in found.edges)
    assert len(found.verts) - len(found.edges) + len(found.faces) == 2  # one piece without holes
    # a polyhedron inside the round shapes, so a little less; positive: it faces outward
    assert found.calc_volume(signed=True) == pytest.approx(volume * np.prod(size), rel=0.02)
    assert found.calc_volume(signed=True) <= volume * np.prod(size) * (1 + 1e-5)
    longest, shortest = max(edge.calc_length() for edge in found.edges), min(edge.calc_length() for edge in found.edges)
    assert longest < 12 * shortest, "even quads, no poles; the size itself is four times as long one way as another"
    found.free()
    assert not thing.data.validate(verbose=True)
    assert addon("bake_checks").coverage(corner_uvs(thing)) == (pytest.approx(0.96, abs=0.01), 0.0)


def test_round_ones_are_smooth_but_for_the_cylinders_rims(addon: Addon) -> None:
    for shape, sharp in (("ELLIPSOID", 0), ("CYLINDER", 2 * 4 * 12)):
        bpy.ops.maquette.add_start(shape=shape)
        mesh = bpy.context.object.data
        assert all(face.use_smooth for face in mesh.polygons)
        assert sum(edge.use_edge_sharp for edge in mesh.edges) == sharp


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_added_at_the_cursor_and_one_undo_takes_it_back(addon: Addon, shape: str) -> None:
    bpy.context.scene.cursor.location = (1, 2, 3)
    push()
    before = scenes.state()
    assert bpy.ops.maquette.add_start("EXEC_DEFAULT", True, shape=shape) == {"FINISHED"}
    thing = bpy.context.view_layer.objects.active
    assert tuple(thing.location) == (1, 2, 3)
    assert thing.select_get()
    assert 0.99 <= max(thing.dimensions) <= 1.21
    undo()
    assert scenes.differences(before, scenes.state()) == {}


def test_it_can_be_refined_as_it_is(addon: Addon) -> None:
    bpy.ops.maquette.add_start(shape="CYLINDER")
    scenes.add_target(bpy.context.object, "a vase")
    reading = addon("scene_reading").read_scene(bpy.context)
    assert [one.prompt for one in reading.recipe.subjects] == ["a vase"]


def test_the_menu_is_in_add_mesh_and_is_gone_with_the_add_on(
    addon: Addon, installed: str, capfd: pytest.CaptureFixture[str]
) -> None:
    import addon_utils

    start = addon("operators.add_start")
    found = draw(bpy.types.MAQUETTE_MT_start.draw)
    for label in ("Ellipsoid", "Cylinder", "Box", "maquette.add_start"):
        assert label in found
    told = capfd.readouterr()
    assert not [line for line in (told.out + told.err).splitlines() if any(word in line for word in COMPLAINTS)]
    functions = bpy.types.VIEW3D_MT_mesh_add._dyn_ui_initialize
    assert start.draw_in_add_menu in functions()
    addon_utils.disable(installed)
    assert not any(entry.__name__ == "draw_in_add_menu" for entry in functions())
    addon_utils.enable(installed)
