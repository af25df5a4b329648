"""Previews of every kind one after another: one object, one mesh, one material, one image; nothing left at the end."""

from __future__ import annotations

import blender_scenes as scenes
import bpy
import numpy as np
import pytest
from driving import Addon

pytestmark = pytest.mark.blender

QUAD = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
TWO = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def frame(addon: Addon, topology: int, triangles: np.ndarray, **given: np.ndarray) -> object:
    """A preview as it leaves the connection's thread."""
    messages = addon("_protocol").messages
    preview = messages.Preview("0" * 32, "1" * 32, "geometry", 1, topology)
    arrays = {"positions": QUAD, "triangles": triangles, **given}
    return addon("refined").frame_from(preview, arrays)


def uvs(triangles: np.ndarray) -> np.ndarray:
    return QUAD[triangles][..., :2].copy()


def image(side: int) -> np.ndarray:
    return np.full((side, side, 3), 100, np.uint8)


def test_kinds_follow_one_another_and_leave_nothing(addon: Addon) -> None:
    writing = addon("scene_writing")
    crate = scenes.cube()
    before = scenes.state()
    kinds = [
        frame(addon, 1, TWO),
        frame(addon, 1, TWO, colors=np.full((4, 3), 200, np.uint8)),
        frame(addon, 2, TWO[:1], colors=np.full((4, 3), 200, np.uint8)),
        frame(addon, 2, TWO[:1], texture=image(8), corner_uvs=uvs(TWO[:1])),
        frame(addon, 3, TWO, texture=image(8), corner_uvs=uvs(TWO)),
        frame(addon, 3, TWO, texture=image(16), corner_uvs=uvs(TWO)),
        frame(addon, 4, TWO[:1], colors=np.full((4, 3), 20, np.uint8)),
        frame(addon, 5, TWO, texture=image(16), corner_uvs=uvs(TWO)),
    ]
    for number, kind in enumerate(kinds):
        preview = writing.show_preview(bpy.context, crate, kind)
        assert len(preview.data.polygons) == len(kind.surface.triangles), number
        found = {name for name, what in scenes.differences(before, scenes.state()).items() if what == "added"}
        assert {name.split("/")[0] for name in found} <= {"objects", "meshes", "materials", "images"}
        assert len(found) == len({name.split("/")[0] for name in found}), (number, found)
        if kind.surface.texture is not None:
            assert tuple(preview.data.materials[0].node_tree.nodes.active.image.size) == kind.surface.texture.shape[:2]
            np.testing.assert_allclose(
                [tuple(item.uv) for item in preview.data.uv_layers.active.data], kind.surface.corner_uvs.reshape(-1, 2)
            )
        elif kind.surface.colors is not None:
            color = preview.data.color_attributes.active_color.data[0].color_srgb[0]
            assert color == pytest.approx(kind.surface.colors[0, 0], abs=1 / 255)
            source = preview.data.materials[0].node_tree.nodes["Principled BSDF"].inputs["Base Color"].links[0]
            assert source.from_node.bl_idname == "ShaderNodeVertexColor"
    writing.drop_preview(bpy.context, preview)
    assert scenes.differences(before, scenes.state()) == {}


def test_uvs_that_come_with_a_known_topology_are_used(addon: Addon) -> None:
    writing = addon("scene_writing")
    crate = scenes.cube()
    writing.show_preview(bpy.context, crate, frame(addon, 1, TWO))
    preview = writing.show_preview(bpy.context, crate, frame(addon, 1, TWO, texture=image(4), corner_uvs=uvs(TWO)))
    np.testing.assert_allclose([tuple(item.uv) for item in preview.data.uv_layers.active.data], uvs(TWO).reshape(-1, 2))
