"""Broken meshes and locks that leave nothing, with the real backend: a closed surface, or a clear word before a step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import blender_scenes as scenes
import bpy
import nasty_meshes
import numpy as np
import pytest
from driving import Addon
from test_main_job import positions, small

pytestmark = [pytest.mark.blender, pytest.mark.timeout(240)]


def crate(name: str) -> bpy.types.Object:
    """A cube of one metre, a target."""
    return scenes.cube(name, prompt="a wooden crate")


def inside_out() -> None:
    crate("Inside out").data.flip_normals()


def loose() -> None:
    mesh = crate("Loose").data
    mesh.vertices.add(3)
    for vertex, place in zip(list(mesh.vertices)[8:], ((3, 0, 0), (3, 1, 0), (0, 0, 5)), strict=True):
        vertex.co = place
    mesh.edges.add(1)
    mesh.edges[-1].vertices = (8, 9)


def doubled() -> None:
    """Every face with vertices of its own."""
    thing = crate("Doubled")
    corners = [tuple(thing.data.vertices[index].co) for face in thing.data.polygons for index in face.vertices]
    thing.data.clear_geometry()
    thing.data.from_pydata(corners, [], [tuple(range(start, start + 4)) for start in range(0, 24, 4)])


def broken() -> None:
    """Doubled vertices, an inside-out face, a hole, an inner face, a face without area."""
    thing = nasty_meshes.NASTY["doubled vertices, holes, inside out"]()
    thing.name = "Broken"
    scenes.add_target(thing, "a wooden crate")


@pytest.mark.parametrize("make", [inside_out, loose, doubled, broken])
def test_each_becomes_a_closed_surface_where_it_was(addon: Addon, served: Path, make: Callable[[], None]) -> None:
    make()
    small(1)
    asked = bpy.context.scene.maquette
    asked.appearance_steps, asked.grid_resolution = 0, 16
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    for target in asked.targets:
        result = target.object.maquette.result
        ways = Counter(
            (face.vertices[i - 1], face.vertices[i]) for face in result.data.polygons for i in range(len(face.vertices))
        )
        assert all(count == 1 and ways[b, a] == 1 for (a, b), count in ways.items()), target.object.name
        found = positions(result)
        # the strength's bound, and a cell; loose vertices and edges count for nothing
        np.testing.assert_allclose([found.min(0), found.max(0)], [[-0.5] * 3, [0.5] * 3], atol=0.05 + 1 / 8)
        volume = sum(np.dot(found[a], np.cross(found[b], found[c])) for a, b, c in
                     (face.vertices for face in result.data.polygons)) / 6  # fmt: skip
        assert 0.5 < volume < 1.2, f"{target.object.name} is solid, and its outside is outside"


def test_locks_that_leave_nothing_are_refused_before_a_step(addon: Addon, served: Path) -> None:
    """A mask on one half only, and a symmetry that ties it to the other, which is masked."""
    thing = crate("Crate")
    thing.vertex_groups.new(name="Left").add([v.index for v in thing.data.vertices if v.co.x < 0], 1.0, "REPLACE")
    target = bpy.context.scene.maquette.targets[0]
    target.mode, target.mask_source, target.mask_group, target.mask_feather = "keep_topology", "GROUP", "Left", 0.0
    target.symmetry = (True, False, False)
    small(1)
    with pytest.raises(RuntimeError, match="together leave no vertex that may move"):
        bpy.ops.maquette.refine()
    assert "mask both halves alike" in addon("pump").runtime().last_error.remedy
    target.mask_source = "NONE"
    for vertex in thing.data.vertices:
        vertex.co.x += 0.2 * vertex.index
    before = scenes.state()
    with pytest.raises(RuntimeError, match="only 0% of its vertices have a mirror image"):
        bpy.ops.maquette.refine()
    assert "Symmetrize" in addon("pump").runtime().last_error.remedy
    assert scenes.differences(before, scenes.state()) == {}
