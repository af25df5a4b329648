"""Keep Topology with the real backend: what is masked stays to the last bit, the rest within its bound, nothing else changes."""

from __future__ import annotations

from pathlib import Path

import blender_scenes as scenes
import bpy
import mesh_fingerprint as fingerprint
import nasty_meshes
import numpy as np
import pytest
from driving import Addon
from test_keep_topology import positions
from test_main_job import small

pytestmark = [pytest.mark.blender, pytest.mark.timeout(240)]


def lidded(thing: bpy.types.Object) -> np.ndarray:
    """Mask all but the upper part; which vertices may move."""
    group = thing.vertex_groups.new(name="Upper")
    moves = positions(thing.data)[:, 2] > 0.5
    group.add(np.flatnonzero(moves).tolist(), 1.0, "REPLACE")
    target = bpy.context.scene.maquette.targets[-1]
    target.mask_source, target.mask_group, target.mask_feather = "GROUP", "Upper", 0.0
    return moves


def test_masked_vertices_and_everything_else_are_bit_identical(addon: Addon, served: Path) -> None:
    table = nasty_meshes.rigged(keys=False)
    moves = lidded(table)
    half = scenes.mesh_object(
        "Hut",
        [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 2), (1, 0, 1), (1, 1, 1), (0, 1, 2)],
        [(0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6)],
    )
    half.modifiers.new("Mirror", "MIRROR")
    scenes.add_target(half, "a hut", mode="keep_topology")
    settings = bpy.context.scene.maquette.targets[1]
    settings.delivery, settings.flat_bottom = "SHAPE_KEY", True
    layers, around = fingerprint.mesh_layers(table.data), fingerprint.around(table)
    hut_layers, start, hut_start = fingerprint.mesh_layers(half.data), positions(table.data), positions(half.data)
    small(2)
    bpy.context.scene.maquette.appearance_steps = 0
    assert bpy.ops.maquette.refine() == {"FINISHED"}

    result = table.maquette.result
    assert fingerprint.differing(layers, fingerprint.mesh_layers(result.data)) == ["attribute position"]
    assert fingerprint.differing(around, fingerprint.around(result)) == []
    found = positions(result.data)
    used = np.arange(len(found)) < 12  # loose vertices belong to no face: they stay too
    np.testing.assert_array_equal(found[~(moves & used)], start[~(moves & used)])
    offset = np.linalg.norm(found - start, axis=1)
    assert (offset[moves & used] > 0).all()
    assert offset.max() <= 0.05 * np.ptp(start[used], axis=0).max() * (1 + 1e-5)

    assert fingerprint.differing(hut_layers, fingerprint.mesh_layers(half.data)) == []
    moved = positions(half.data, "Maquette")
    assert not np.array_equal(moved, hut_start)
    assert (moved[hut_start[:, 0] == 0, 0] == 0).all()  # the seam of the mirror stays closed, exactly
    assert (moved[hut_start[:, 2] == 0, 2] == 0).all()  # and the floor flat


def test_colour_keeps_polygons_whole(addon: Addon, served: Path) -> None:
    """A quad mesh without UVs: the backend's own charts may cut quads, which Blender's UVs cannot."""
    bpy.ops.mesh.primitive_torus_add(major_segments=12, minor_segments=8)
    ring = bpy.context.object
    while ring.data.uv_layers:
        ring.data.uv_layers.remove(ring.data.uv_layers[0])
    scenes.add_target(ring, "a ring", mode="keep_topology")
    layers = fingerprint.mesh_layers(ring.data)
    small(2)
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    result = ring.maquette.result
    found = fingerprint.mesh_layers(result.data)
    assert [found[name] for name in ("counts", "polygons", "edges")] == [layers[name] for name in ("counts", "polygons", "edges")]
    assert [layer.name for layer in result.data.uv_layers] == ["Maquette UV"]
    image = result.data.materials[0].node_tree.nodes.active.image
    uvs = np.zeros((len(result.data.loops), 2), np.float32)
    result.data.uv_layers[0].data.foreach_get("uv", uvs.ravel())
    assert uvs.min() >= 0
    assert uvs.max() <= 1
    # every polygon has an area on the image, and the image is painted there
    for face in result.data.polygons:
        x, y = uvs[list(face.loop_indices)].T
        assert abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) * image.size[0] * image.size[1] > 8
