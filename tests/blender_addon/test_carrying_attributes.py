"""Colours, UVs and shading of the original, found again on a new surface."""

from __future__ import annotations

import blender_scenes as scenes
import bpy
import numpy as np
import pytest
from carrying_scenes import accept, delivered, finer, loop_uvs, places, sent
from driving import Addon

pytestmark = pytest.mark.blender


def test_colours_are_interpolated_on_points_and_keep_hard_borders_on_corners(addon: Addon) -> None:
    crate = scenes.cube(prompt=None)
    mesh = crate.data
    points = mesh.color_attributes.new("Soft", "FLOAT_COLOR", "POINT")
    soft = np.ones((8, 4), np.float32)
    soft[:, :3] = places(mesh) + 0.5
    points.data.foreach_set("color", soft.ravel())
    corners = mesh.color_attributes.new("Hard", "BYTE_COLOR", "CORNER")
    palette = np.eye(6, 4, dtype=np.float32)
    palette[:, 3] = 1
    loops = np.concatenate([np.repeat(palette[face.index][None], len(face.vertices), 0) for face in mesh.polygons])
    corners.data.foreach_set("color", loops.ravel())
    sides = np.array([face.normal for face in mesh.polygons])
    result = delivered(addon, crate)
    new = result.data.color_attributes
    found = np.array([item.color for item in new["Soft"].data])
    np.testing.assert_allclose(found[:, :3], places(result.data) + 0.5, atol=1e-6)
    assert (new["Hard"].data_type, new["Hard"].domain) == ("BYTE_COLOR", "CORNER")
    hard = np.array([item.color for item in new["Hard"].data]).reshape(-1, 3, 4)
    faces = [int(np.argmax(sides @ np.array(face.normal))) for face in result.data.polygons]
    np.testing.assert_allclose(hard, np.repeat(palette[faces][:, None], 3, axis=1), atol=1e-6)


# ---- UVs and shading, on request ------------------------------------------------------------------
def test_uvs_and_flat_shading_come_only_on_request(addon: Addon) -> None:
    crate = scenes.cube(prompt=None)
    result = delivered(addon, crate)
    assert not len(result.data.uv_layers)
    assert all(face.use_smooth for face in result.data.polygons)
    crate.data.polygons[2].use_smooth = True
    result = delivered(addon, crate, carry_uvs=True, carry_flat=True)
    assert [layer.name for layer in result.data.uv_layers] == ["UVMap"]
    smooth = np.array(crate.data.polygons[2].normal)
    for face in result.data.polygons:
        assert face.use_smooth == bool(np.dot(face.normal, smooth) > 0.5)


def test_the_hard_edges_of_a_new_surface_are_marked_sharp(addon: Addon) -> None:
    """A cube's own twelve, in as many pieces as it came in; all else is smooth."""
    mesh = delivered(addon, scenes.cube(prompt=None)).data
    sides = [np.flatnonzero(np.isclose(np.abs(place), np.abs(places(mesh)).max())) for place in places(mesh)]
    for edge in mesh.edges:
        ends = [set(sides[vertex].tolist()) for vertex in edge.vertices]
        assert edge.use_edge_sharp == (len(ends[0] & ends[1]) == 2)
    assert any(edge.use_edge_sharp for edge in mesh.edges)


def test_carried_uvs_lie_on_the_same_picture_and_seams_are_marked(addon: Addon) -> None:
    """An affine map on each triangle is carried exactly; on a cube the seams are those of its unwrapping."""
    crate = scenes.cube(prompt=None)
    text, mesh = sent(addon, crate)
    positions, triangles, *origin = finer(mesh.positions, mesh.triangles, 4)
    result = accept(addon, crate, text, positions, triangles, origin, carry_uvs=True)
    found = loop_uvs(result.data, "UVMap").reshape(-1, 3, 2)
    # by each new face's own triangle
    corners, uvs = mesh.positions[mesh.triangles[origin[2]]], mesh.corner_uvs[origin[2]]
    weights = np.stack([barycentric(corners, positions[triangles[:, corner]]) for corner in range(3)], axis=1)
    np.testing.assert_allclose(found, np.einsum("fkc,fcn->fkn", weights, uvs), atol=1e-5)
    marked = {edge.index for edge in result.data.edges if edge.use_seam}
    assert marked == split_edges(result.data, found)
    assert marked


def test_no_face_is_smeared_across_a_cylinders_seam(addon: Addon) -> None:
    """One island that meets itself at the back: a face there lies on one side of it, though its middle and its
    corners come from both."""
    bpy.ops.mesh.primitive_cylinder_add(vertices=24, radius=0.5, depth=1.0, end_fill_type="NOTHING", calc_uvs=True)
    tube = bpy.context.object
    text, mesh = sent(addon, tube)
    positions, triangles, *_origin = finer(mesh.positions, mesh.triangles, 3)
    # turned by part of a face, so that new faces straddle the seam, as they do after a remesh
    angle = 0.03
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]], np.float32)
    result = accept(addon, tube, text, positions @ turn.T, triangles, None, carry_uvs=True)
    found = loop_uvs(result.data, "UVMap").reshape(-1, 3, 2)
    widths = np.ptp(found[..., 0], axis=1)
    assert widths.max() < 1.01 / 24 / 3, "no new face is wider in the picture than a third of an old one"
    assert found.min() >= mesh.corner_uvs.min() - 1e-6
    assert found.max() <= mesh.corner_uvs.max() + 1e-6
    marked = {edge.index for edge in result.data.edges if edge.use_seam}
    assert marked == split_edges(result.data, found)
    assert marked


def barycentric(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """By solving for them: another way than the add-on's."""
    edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=-1)
    inner = np.einsum("nij,nj->ni", np.linalg.pinv(edges), points - corners[:, 0])
    return np.concatenate([1 - inner.sum(axis=1, keepdims=True), inner], axis=1)


def split_edges(mesh: bpy.types.Mesh, uvs: np.ndarray) -> set[int]:
    """Edges where the UVs of a vertex differ from one face to the other, one at a time."""
    seen: dict[int, list[dict[int, tuple[float, float]]]] = {}
    for face in mesh.polygons:
        corners = list(face.loop_indices)
        for place, loop in enumerate(corners):
            after = (place + 1) % 3
            ends = {mesh.loops[corners[at]].vertex_index: tuple(uvs[face.index, at]) for at in (place, after)}
            seen.setdefault(mesh.loops[loop].edge_index, []).append(ends)
    return {edge for edge, sides in seen.items() if len(sides) == 2 and sides[0] != sides[1]}
