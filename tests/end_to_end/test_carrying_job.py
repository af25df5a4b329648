"""Remesh with the real backend: what hung on the artist's surface hangs on the new one, told by the backend's origin."""

from __future__ import annotations

from pathlib import Path

import blender_scenes as scenes
import bpy
import numpy as np
import pytest
from carrying_scenes import bend, loop_uvs, places, rigged, shown, weights_of
from driving import Addon
from mathutils import Vector
from mathutils.bvhtree import BVHTree
from test_main_job import small

pytestmark = [pytest.mark.blender, pytest.mark.timeout(240)]

RIM = 0.3
"""Height at which the column's material and hard colour change."""
REACH = 0.1
"""The strength's bound: 5 % of the column's height of 2."""
CELL = 2.0 / 24
"""Side of a cell of the grid, metres: as far a border between materials may be off."""


@pytest.fixture
def column(addon: Addon) -> bpy.types.Object:
    """A rigged column in a pose, of two materials, a colour that says where each point was, and a UV layer."""
    thing, rig = rigged(addon)
    thing.vertex_groups.new(name="Spare")
    for name in ("Oak", "Iron"):
        thing.data.materials.append(bpy.data.materials.new(name))
    for face in thing.data.polygons:
        face.material_index = int(face.center.z > RIM)
    place = thing.data.color_attributes.new("Place", "FLOAT_COLOR", "POINT")
    colors = np.ones((len(thing.data.vertices), 4), np.float32)
    colors[:, :3] = places(thing.data) / 2 + 0.5
    place.data.foreach_set("color", colors.ravel())
    bend(rig, 0.5)
    scenes.add_target(thing, "a brown wooden column")
    return thing


def test_what_hangs_on_the_original_hangs_on_the_result(addon: Addon, served: Path, column: bpy.types.Object) -> None:
    small(3)
    bpy.context.scene.maquette_results.carry_uvs = True
    posed = shown(column)
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    result = column.maquette.result
    assert result.maquette.role == "RESULT"
    column.hide_viewport = False
    # it stands where the posed column stands, and is its own rest shape below the same armature
    assert to_surface(shown(result), column, shown(column)).max() < REACH + CELL
    np.testing.assert_array_equal(shown(column), posed)
    assert "maquette_rig_off" not in result
    rest = places(result.data)
    assert to_surface(rest, column, places(column.data)).max() < 1.5 * (REACH + CELL)
    check_weights(result, rest)
    bpy.context.view_layer.objects.active = result
    check_materials(result, ["Column refined", "Oak", "Iron"])
    check_colors_and_uvs(result, rest, "Maquette UV")
    rig = result.modifiers["Armature"].object
    assert (rig, result.parent) == (column.parent, column.parent)
    for angle in (-0.8, 0.0, 0.8):
        bend(rig, angle)
        assert to_surface(shown(result), column, shown(column)).max() < 1.5 * (REACH + CELL)
    assert np.ptp(shown(result)[:, 0]) > np.ptp(rest[:, 0]) + 0.3, "it does bend"


def to_surface(points: np.ndarray, thing: bpy.types.Object, vertices: np.ndarray) -> np.ndarray:
    """How far points [N,3] are from the object's faces, when its vertices are there."""
    tree = BVHTree.FromPolygons(vertices.tolist(), [tuple(face.vertices) for face in thing.data.polygons])
    return np.array([tree.find_nearest(Vector(point))[3] for point in points.tolist()])


def rest_faces(result: bpy.types.Object) -> list[bpy.types.MeshPolygon]:
    """Those whose side of the rim is beyond doubt."""
    return [face for face in result.data.polygons if abs(face.center.z - RIM) > CELL]


def check_weights(result: bpy.types.Object, rest: np.ndarray) -> None:
    assert [group.name for group in result.vertex_groups] == ["Low", "High", "Spare"]
    weights = weights_of(result)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)
    ramp = np.clip((rest[:, 2] + 1) / 2, 0, 1)
    assert np.abs(weights[:, 1] - ramp).max() < REACH + CELL
    assert np.abs(weights[:, 1] - ramp).mean() < 0.02


def check_materials(result: bpy.types.Object, names: list[str]) -> None:
    """Maquette's own is shown; each face knows the artist's, and the button shows them."""
    assert [material.name for material in result.data.materials] == names
    assert {face.material_index for face in result.data.polygons} == {0}
    assert bpy.ops.maquette.switch_materials() == {"FINISHED"}
    right = [names[face.material_index] == ("Iron" if face.center.z > RIM else "Oak") for face in rest_faces(result)]
    assert np.mean(right) > 0.95
    assert bpy.ops.maquette.switch_materials() == {"FINISHED"}


def check_colors_and_uvs(result: bpy.types.Object, rest: np.ndarray, shown_layer: str) -> None:
    colors = np.zeros((len(rest), 4), np.float32)
    result.data.color_attributes["Place"].data.foreach_get("color", colors.ravel())
    errors = np.linalg.norm(colors[:, :3] * 2 - 1 - rest, axis=1)
    assert errors.max() < 2 * (REACH + CELL)
    assert errors.mean() < REACH
    assert result.data.uv_layers.active.name == shown_layer
    # on the column's side v runs with the height, and no face is smeared over the picture
    uvs = loop_uvs(result.data, "UVMap").reshape(-1, 3, 2)
    normals = np.array([face.normal for face in result.data.polygons])
    heights = np.array([face.center.z for face in result.data.polygons])
    side = (np.abs(normals[:, 2]) < 0.2) & (np.abs(heights) < 1 - REACH - CELL)
    assert side.sum() > 100
    np.testing.assert_allclose(uvs[side].mean(axis=1)[:, 1], 0.75 + heights[side] / 4, atol=(REACH + CELL) / 4)
    assert np.ptp(uvs[side], axis=1).max() < 0.25
