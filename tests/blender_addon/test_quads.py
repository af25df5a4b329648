"""QuadriFlow on a new surface: quads only, closed, with all that hung on the triangles; or a plain word why not."""

from __future__ import annotations

from collections import Counter

import blender_scenes as scenes
import bpy
import numpy as np
import pytest
from carrying_scenes import accept, bend, delivered, finer, loop_uvs, places, rigged, sent, shown, weights_of
from driving import Addon
from mathutils import Vector
from mathutils.bvhtree import BVHTree
from small_backend import SmallBackend

pytestmark = pytest.mark.blender
CELL = 0.2
"""About the side of a quad of the column, metres."""


def is_closed(mesh: bpy.types.Mesh) -> bool:
    """Each edge has two faces, which run along it opposite ways."""
    ways = Counter((face.vertices[i - 1], face.vertices[i]) for face in mesh.polygons for i in range(len(face.vertices)))
    return all(count == 1 and ways[b, a] == 1 for (a, b), count in ways.items())


def away(points: np.ndarray, mesh: bpy.types.Mesh, vertices: np.ndarray) -> float:
    """Largest distance of points from the faces of a mesh whose vertices are there."""
    tree = BVHTree.FromPolygons(vertices.tolist(), [tuple(face.vertices) for face in mesh.polygons])
    return max(tree.find_nearest(Vector(point))[3] for point in points.tolist())


def test_all_that_hung_on_the_triangles_hangs_on_the_quads(addon: Addon) -> None:
    column, rig = rigged(addon)
    for name in ("Oak", "Iron"):
        column.data.materials.append(bpy.data.materials.new(name))
    for face in column.data.polygons:
        face.material_index = int(face.center.z > 0.3)
    for name, domain in (("Point", "POINT"), ("Corner", "CORNER")):
        layer = column.data.color_attributes.new(name, "FLOAT_COLOR", domain)
        corners = [loop.vertex_index for loop in column.data.loops]
        where = places(column.data)[corners if domain == "CORNER" else slice(None)]
        layer.data.foreach_set("color", np.pad(where / 2 + 0.5, ((0, 0), (0, 1)), constant_values=1).ravel())
    column.vertex_groups["High"].lock_weight = True
    result = delivered(addon, column, 5, carry_uvs=True)
    mesh, before, triangles = result.data, places(result.data), result.data.copy()
    bend(rig, 0.8)
    bent = shown(result)
    assert addon("quads").make_quads(bpy.context, result, 400) == ""
    after = places(mesh)
    assert result.data is mesh
    assert {len(face.vertices) for face in mesh.polygons} == {4}
    assert 200 < len(mesh.polygons) < 800
    assert is_closed(mesh)
    assert not mesh.validate(verbose=True)
    assert away(after, triangles, before) < 0.05
    # groups: the ramp, normalised, and the rig bends the quads as it bent the triangles
    assert [group.name for group in result.vertex_groups] == ["Low", "High"]
    assert result.vertex_groups["High"].lock_weight
    np.testing.assert_allclose(weights_of(result)[:, 1], (after[:, 2] + 1) / 2, atol=0.05)
    np.testing.assert_allclose(weights_of(result).sum(axis=1), 1.0, atol=1e-5)
    assert away(shown(result), triangles, bent) < 0.05
    assert away(bent, mesh, shown(result)) < 0.1
    # materials, colours, UVs
    sure = [face for face in mesh.polygons if abs(face.center.z - 0.3) > CELL]
    assert all(mesh.materials[face.material_index].name == ("Iron" if face.center.z > 0.3 else "Oak") for face in sure)
    for name in ("Point", "Corner"):
        layer = mesh.color_attributes[name]
        colors = np.array([item.color for item in layer.data])[:, :3]
        corners = [loop.vertex_index for loop in mesh.loops]
        np.testing.assert_allclose(colors * 2 - 1, after[corners] if name == "Corner" else after, atol=2 * CELL)
        assert np.abs(colors * 2 - 1 - (after[corners] if name == "Corner" else after)).mean() < 0.05
    uvs, heights = loop_uvs(mesh, "UVMap").reshape(-1, 4, 2), np.array([face.center.z for face in mesh.polygons])
    side = np.array([abs(face.normal.z) < 0.1 for face in mesh.polygons])
    np.testing.assert_allclose(uvs[side].mean(axis=1)[:, 1], 0.75 + heights[side] / 4, atol=0.05)
    assert np.ptp(uvs[side], axis=1).max() < 0.3
    assert any(edge.use_seam for edge in mesh.edges)
    assert [thing.name for thing in bpy.data.objects if "quads" in thing.name] == []


def test_it_is_a_setting_and_takes_the_texture_along(addon: Addon, connected: SmallBackend) -> None:
    crate = scenes.cube()
    target = bpy.context.scene.maquette.targets[0]
    settings = addon("target_settings")
    assert settings.delivery_of(target).quads == 0, "off at first"
    target.make_quads, target.quad_count = True, 150
    assert settings.delivery_of(target).quads == 150
    before = scenes.state()
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    result = crate.maquette.result
    assert {len(face.vertices) for face in result.data.polygons} == {4}
    assert is_closed(result.data)
    assert result.data.uv_layers.active.name == "Maquette UV"
    assert result.data.materials[0].name == "Crate refined"
    (job,) = connected.jobs.values()
    assert job.recipe.subjects[0].triangle_budget == addon("quads").MOST_TRIANGLES
    assert bpy.ops.maquette.discard_result() == {"FINISHED"}
    assert scenes.differences(before, scenes.state()) == {}
    target.mode = "keep_topology"
    assert settings.delivery_of(target).quads == 0


def test_while_another_object_is_edited(addon: Addon) -> None:
    column, _ = rigged(addon)
    result = delivered(addon, column, 4)
    other = scenes.cube("Other", prompt=None)
    bpy.ops.object.mode_set(mode="EDIT")
    assert addon("quads").make_quads(bpy.context, result, 300) == ""
    assert (bpy.context.mode, bpy.context.object) == ("EDIT_MESH", other)
    assert {len(face.vertices) for face in result.data.polygons} == {4}
    bpy.ops.object.mode_set(mode="OBJECT")


@pytest.mark.parametrize("case", ["too many", "not closed"])
def test_where_it_cannot_be_the_triangles_stay_and_it_is_said(
    addon: Addon, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    crate = scenes.cube(prompt=None)
    text, mesh = sent(addon, crate)
    positions, triangles, *origin = finer(mesh.positions, mesh.triangles, 3)
    if case == "too many":
        monkeypatch.setattr(addon("quads"), "MOST_TRIANGLES", 20)
    else:
        triangles = np.concatenate([triangles, triangles[:9]])  # faces on one another
        origin[2] = np.concatenate([origin[2], origin[2][:9]])
    how = addon("target_settings").Delivery(quads=200)
    result = accept(addon, crate, text, positions, triangles, origin, how=how)
    assert {len(face.vertices) for face in result.data.polygons} == {3}
    assert len(result.data.polygons) == len(triangles)
    assert result["maquette_prompt_reading"].endswith("it stays triangles.")
    assert [thing.name for thing in bpy.data.objects if "quads" in thing.name] == []
    assert len(bpy.data.meshes) == 2
