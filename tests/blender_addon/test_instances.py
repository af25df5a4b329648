"""One mesh, many objects: make single-user, or change all, with both deliveries; and 50 users."""

from __future__ import annotations

import blender_scenes as scenes
import bpy
import mesh_fingerprint as fingerprint
import numpy as np
import pytest
from driving import Addon
from small_backend import GROWTH, SmallBackend
from test_keep_topology import positions, shown

pytestmark = pytest.mark.blender


def crates(count: int, delivery: str, instances: str) -> list[bpy.types.Object]:
    """Linked duplicates, the first of which is a target."""
    first = scenes.cube(prompt=None)
    scenes.add_target(first, "a crate", mode="keep_topology")
    chosen = bpy.context.scene.maquette.targets[0]
    chosen.delivery, chosen.instances = delivery, instances
    made = [first]
    for index in range(1, count):
        made.append(first.copy())
        made[-1].location.x = 2 * index
        bpy.context.collection.objects.link(made[-1])
    bpy.context.scene.maquette.appearance_steps = 0
    return made


@pytest.mark.parametrize("delivery", ["NEW_OBJECT", "SHAPE_KEY"])
@pytest.mark.parametrize("instances", ["SINGLE_USER", "ALL"])
def test_others_change_only_when_asked_to(
    addon: Addon, connected: SmallBackend, delivery: str, instances: str
) -> None:
    first, *others = crates(3, delivery, instances)
    mesh, start, state = first.data, positions(first.data), scenes.state()
    layers = fingerprint.mesh_layers(mesh)
    for _ in range(2):  # refining again starts from the original, not from the first result
        assert bpy.ops.maquette.refine() == {"FINISHED"}
    result = first if delivery == "SHAPE_KEY" else first.maquette.result
    np.testing.assert_allclose(shown(result), start * GROWTH, atol=1e-6)
    for other in others:
        np.testing.assert_allclose(shown(other), start * (GROWTH if instances == "ALL" else 1), atol=1e-6)
        assert (other.data is mesh) == (instances == "SINGLE_USER" or delivery == "SHAPE_KEY")
    assert all(other.data is others[0].data for other in others)
    bpy.ops.maquette.toggle_original()
    for other in others:
        np.testing.assert_allclose(shown(other), start, atol=1e-6)
    bpy.ops.maquette.toggle_original()
    for _ in range(2):
        bpy.ops.maquette.discard_result()
    assert all(thing.data is mesh for thing in (first, *others))
    assert fingerprint.differing(layers, fingerprint.mesh_layers(mesh)) == []
    assert scenes.differences(state, scenes.state()) == {}


@pytest.mark.parametrize("instances", ["SINGLE_USER", "ALL"])
def test_fifty_users(addon: Addon, connected: SmallBackend, instances: str) -> None:
    first, *others = crates(50, "NEW_OBJECT", instances)
    mesh = first.data
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    result = first.maquette.result
    assert {thing.data.name for thing in others} == {result.data.name if instances == "ALL" else mesh.name}
    assert first.data is mesh
    assert len(bpy.data.meshes) == 2
