"""Masks, locks, sharp edges and their siblings: what is sent is exactly what Blender holds; nonsense is refused."""

from __future__ import annotations

from collections.abc import Callable

import blender_scenes as scenes
import bpy
import numpy as np
import pytest
from driving import Addon
from small_backend import GROWTH, SmallBackend
from test_bad_input import _assert_refused

pytestmark = pytest.mark.blender


def grid(size: int = 9, mode: str = "keep_topology") -> bpy.types.Object:
    """A flat grid of 1 m side in the plane z = 0, vertices row by row along x."""
    steps = np.linspace(-0.5, 0.5, size)
    vertices = [(x, y, 0.0) for y in steps for x in steps]
    faces = [(r * size + c, r * size + c + 1, (r + 1) * size + c + 1, (r + 1) * size + c)
             for r in range(size - 1) for c in range(size - 1)]  # fmt: skip
    thing = scenes.mesh_object("Grid", vertices, faces)
    scenes.add_target(thing, "a rug", mode=mode)
    bpy.context.view_layer.objects.active = thing
    return thing


def target():
    return bpy.context.scene.maquette.targets[0]


def read(addon: Addon) -> tuple[object, Callable[[object], np.ndarray]]:
    """The only subject, and what gives its arrays."""
    reading = addon("scene_reading").read_scene(bpy.context)
    return reading.recipe.subjects[0], lambda ref: np.frombuffer(reading.blobs[ref.sha256], f"<{ref.dtype}").reshape(ref.shape)


def mask(addon: Addon, feather: float = 0.0) -> np.ndarray:
    """The mask that is sent."""
    target().mask_feather = feather
    subject, array = read(addon)
    assert subject.mask.shape == subject.mesh.positions.shape[:1]
    return array(subject.mask)


def x_of(thing: bpy.types.Object) -> np.ndarray:
    return np.array([vertex.co.x for vertex in thing.data.vertices], np.float32)


def test_without_controls_nothing_is_sent(addon: Addon) -> None:
    grid()
    subject, _ = read(addon)
    assert (subject.mask, subject.sharp_edges, subject.triangle_budget, subject.stay_close) == (None, None, 0, 0.5)
    assert subject.locks == addon("_protocol").recipe.Locks()


def test_strength_is_shown_in_per_cent_and_sent_as_a_share_of_ten(addon: Addon) -> None:
    grid()
    target().strength_percent = 2.5
    assert target().strength == pytest.approx(0.25)
    target().strength = 1.0
    assert target().strength_percent == pytest.approx(10.0)
    assert read(addon)[0].strength == 1.0
    assert addon("panels.targets").reach_of(target()) == "10 cm"
    bpy.context.scene.unit_settings.scale_length = 0.001
    assert addon("panels.targets").reach_of(target()) == "0.1 mm"


def test_group_weights_are_the_mask(addon: Addon) -> None:
    thing = grid()
    other, group = thing.vertex_groups.new(name="Other"), thing.vertex_groups.new(name="Soft")
    other.add(range(81), 1.0, "REPLACE")
    for index in range(0, 81, 2):
        group.add([index], index / 100, "REPLACE")
    target().mask_source, target().mask_group = "GROUP", "Soft"
    expected = np.where(np.arange(81) % 2 == 0, np.arange(81, dtype=np.float32) / 100, 0)
    np.testing.assert_array_equal(mask(addon), expected.astype(np.float32))
    target().mask_invert = True
    np.testing.assert_array_equal(mask(addon), 1 - expected.astype(np.float32))


@pytest.mark.parametrize("editing", [False, True])
@pytest.mark.parametrize("faces", [False, True])
def test_the_selection_is_that_of_the_moment(addon: Addon, editing: bool, faces: bool) -> None:
    thing = grid()
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.context.tool_settings.mesh_select_mode = (not faces, False, faces)
    bpy.ops.mesh.select_all(action="DESELECT")
    bpy.ops.object.mode_set(mode="OBJECT")
    if faces:
        thing.data.polygons[0].select = True
    else:
        for index in (0, 1, 9, 10):
            thing.data.vertices[index].select = True
    bpy.ops.object.mode_set(mode="EDIT")
    if not editing:
        bpy.ops.object.mode_set(mode="OBJECT")
    target().mask_source = "SELECTED"
    assert np.flatnonzero(mask(addon)).tolist() == [0, 1, 9, 10]
    if editing:
        bpy.ops.object.mode_set(mode="OBJECT")


@pytest.mark.parametrize(
    ("kind", "domain"),
    [("FLOAT", "POINT"), ("BOOLEAN", "CORNER"), ("FLOAT", "FACE"), ("FLOAT_COLOR", "POINT"), ("BYTE_COLOR", "CORNER")],
)
def test_attributes_of_points_corners_and_faces(addon: Addon, kind: str, domain: str) -> None:
    thing = grid()
    attribute = thing.data.attributes.new("Wear", kind, domain)
    left = x_of(thing) < -0.3
    where = {"POINT": [left[v] for v in range(81)],
             "CORNER": [left[loop.vertex_index] for loop in thing.data.loops],
             "FACE": [left[list(face.vertices)].all() for face in thing.data.polygons]}[domain]  # fmt: skip
    for item, on in zip(attribute.data, where, strict=True):
        if "COLOR" in kind:
            item.color = (float(on), float(on), float(on), 1.0)
        else:
            item.value = bool(on)
    target().mask_source, target().mask_attribute = "ATTRIBUTE", "Wear"
    found = mask(addon)
    if domain == "FACE":  # a vertex at the border belongs to faces of both kinds
        assert np.array_equal(found == 1, x_of(thing) < -0.4)
        assert np.array_equal(found > 0, left)
    else:
        np.testing.assert_array_equal(found, left.astype(np.float32))


def test_the_feather_rises_from_what_stays_and_what_stays_is_exactly_zero(addon: Addon) -> None:
    thing = grid(21)
    for vertex in thing.data.vertices:
        vertex.select = vertex.co.x > 0.01
    target().mask_source = "SELECTED"
    found, x = mask(addon, feather=30.0), x_of(thing)
    assert (found[x < 0.01] == 0).all()
    inside = x > 0.01
    assert (found[inside] > 0).all()
    share = np.clip(x[inside] / 0.3, 0, 1)
    np.testing.assert_allclose(found[inside], share * share * (3 - 2 * share), atol=1e-4)


def test_masked_vertices_come_back_bit_identical(addon: Addon, connected: SmallBackend) -> None:
    thing = grid()
    for vertex in thing.data.vertices:
        vertex.select = vertex.co.x > 0.01
    target().mask_source = "SELECTED"
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    before, after = (np.array([vertex.co[:] for vertex in one.data.vertices]) for one in (thing, thing.maquette.result))
    stays = before[:, 0] < 0.01
    assert np.array_equal(before[stays], after[stays])
    assert (before[~stays] != after[~stays]).any(axis=1).all()
    np.testing.assert_allclose(after[before[:, 0] > 0.49], before[before[:, 0] > 0.49] * GROWTH, rtol=1e-6)


def test_remesh_reads_group_and_selection_of_the_evaluated_mesh(addon: Addon) -> None:
    thing = grid(mode="remesh")
    thing.modifiers.new("Subdivision", "SUBSURF").levels = 1
    group = thing.vertex_groups.new(name="Left")
    group.add([v for v, x in enumerate(x_of(thing)) if x < -0.1], 1.0, "REPLACE")
    target().mask_source, target().mask_group = "GROUP", "Left"
    subject, array = read(addon)
    positions, found = array(subject.mesh.positions), mask(addon)
    assert len(positions) == 17 * 17
    assert (found[positions[:, 0] < -0.3] == 1).all()
    assert (found[positions[:, 0] > 0.0] == 0).all()


def test_sharp_and_creased_edges_are_sent_as_vertex_pairs(addon: Addon) -> None:
    thing = grid()
    thing.data.edges[3].use_edge_sharp = True
    crease = thing.data.attributes.new("crease_edge", "FLOAT", "EDGE")
    crease.data[7].value = 0.5
    subject, array = read(addon)
    expected = [list(thing.data.edges[index].vertices) for index in (3, 7)]
    assert array(subject.sharp_edges).tolist() == expected
    target().keep_sharp = False
    assert read(addon)[0].sharp_edges is None


def test_locks_budget_and_stay_close_are_sent(addon: Addon) -> None:
    grid(mode="remesh")
    target().symmetry = (False, True, True)
    target().flat_bottom, target().triangle_budget, target().stay_close = True, 5000, 0.25
    subject, _ = read(addon)
    assert subject.locks == addon("_protocol").recipe.Locks(False, True, True, True)
    assert (subject.triangle_budget, subject.stay_close) == (5000, 0.25)
    target().mode = "keep_topology"
    assert read(addon)[0].triangle_budget == 0


# ---- nonsense -------------------------------------------------------------------------------------
def _source(source: str, **more: object) -> Callable[[], None]:
    def make() -> None:
        grid()
        target().mask_source = source
        for name, value in more.items():
            setattr(target(), name, value)
        bpy.context.view_layer.update()

    return make


def _deselected() -> None:
    grid()
    bpy.ops.object.mode_set(mode="EDIT")  # by its operator: writing to an edge's selection ends Blender 5.0.1
    bpy.ops.mesh.select_all(action="DESELECT")
    bpy.ops.object.mode_set(mode="OBJECT")
    target().mask_source = "SELECTED"


def _inverted_all() -> None:
    thing = grid()
    for vertex in thing.data.vertices:
        vertex.select = True
    target().mask_source, target().mask_invert = "SELECTED", True


def _empty_group() -> None:
    grid().vertex_groups.new(name="Lid")
    target().mask_source, target().mask_group = "GROUP", "Lid"


def _only_loose() -> None:
    thing = grid()
    thing.data.vertices.add(1)
    thing.vertex_groups.new(name="Lid").add([81], 1.0, "REPLACE")
    target().mask_source, target().mask_group = "GROUP", "Lid"


def _attribute(kind: str, domain: str, value: float | None = None) -> Callable[[], None]:
    def make() -> None:
        attribute = grid().data.attributes.new("Wear", kind, domain)
        target().mask_source, target().mask_attribute = "ATTRIBUTE", "Wear"
        if value is not None:
            attribute.data[5].value = value

    return make


def _keyed(thing: bpy.types.Object) -> bpy.types.ShapeKey:
    thing.shape_key_add(name="Basis")
    return thing.shape_key_add(name="Smile")


def _editing_a_key() -> None:
    thing = grid()
    _keyed(thing)
    thing.active_shape_key_index = 1
    bpy.ops.object.mode_set(mode="EDIT")


def _absolute_keys() -> None:
    thing = grid()
    _keyed(thing)
    thing.data.shape_keys.use_relative = False


def _key_in_edit_mode() -> None:
    grid()
    target().delivery = "SHAPE_KEY"
    bpy.ops.object.mode_set(mode="EDIT")


def _key_of_the_evaluated() -> None:
    grid()
    target().delivery, target().read_from = "SHAPE_KEY", "EVALUATED"


def _both_for_all() -> None:
    thing = grid()
    other = thing.copy()
    bpy.context.collection.objects.link(other)
    scenes.add_target(other, "a mat", mode="keep_topology")
    target().instances = "ALL"


def _budget_of_99() -> None:
    grid(mode="remesh")
    target().triangle_budget = 99


def _too_many() -> None:
    thing = scenes.mesh_object("Grid", [(0, 0, 0)], [])
    scenes.add_target(thing, "a rug", mode="keep_topology")
    count = 500_001
    mesh = thing.data
    mesh.vertices.add(2)
    mesh.loops.add(3 * count)
    mesh.polygons.add(count)
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * count, 3, dtype=np.int32))
    mesh.attributes[".corner_vert"].data.foreach_set("value", np.tile(np.arange(3, dtype=np.int32), count))
    mesh.update(calc_edges=True)


CASES = {
    "no group chosen": (_source("GROUP"), "no vertex group chosen"),
    "missing group": (_source("GROUP", mask_group="Lid"), "no vertex group “Lid”"),
    "empty group": (_empty_group, "“Lid” of Grid, is 0 at every vertex"),
    "a group of a loose vertex only": (_only_loose, "“Lid” of Grid, is 0 at every vertex"),
    "no attribute chosen": (_source("ATTRIBUTE"), "no attribute chosen"),
    "missing attribute": (_source("ATTRIBUTE", mask_attribute="Wear"), "no attribute “Wear”"),
    "attribute of zeros": (_attribute("FLOAT", "CORNER"), "“Wear” of Grid, is 0 at every vertex"),
    "attribute of vectors": (_attribute("FLOAT_VECTOR", "POINT"), "float_vector"),
    "attribute of edges": (_attribute("FLOAT", "EDGE"), "edges"),
    "attribute that is no number": (_attribute("FLOAT", "POINT", float("nan")), "nan at point 5"),
    "nothing selected": (_deselected, "no vertex is selected"),
    "all selected, inverted": (_inverted_all, "inverted"),
    "editing a shape key": (_editing_a_key, "“Smile”"),
    "absolute shape keys": (_absolute_keys, "Relative"),
    "a shape key in Edit Mode": (_key_in_edit_mode, "Edit Mode"),
    "a shape key of what is displayed": (_key_of_the_evaluated, "as displayed"),
    "two targets, one mesh, change all": (_both_for_all, "share the mesh"),
    "a triangle budget of 99": (_budget_of_99, "99"),
}


@pytest.mark.parametrize("case", CASES)
def test_nonsense_is_refused_before_anything_starts(addon: Addon, connected: SmallBackend, case: str) -> None:
    make, names = CASES[case]
    make()
    _assert_refused(addon, "invalid_recipe", names)
    assert connected.jobs == {}
    if bpy.context.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")


def test_more_triangles_than_the_limit_are_refused(addon: Addon, connected: SmallBackend) -> None:
    _too_many()
    with pytest.raises(RuntimeError, match="500,001 triangles"):
        bpy.ops.maquette.refine()
    assert addon("pump").runtime().last_error.code == "too_many_triangles"
    assert connected.jobs == {}


def test_edit_mode_refines_the_selection_and_stays(addon: Addon, connected: SmallBackend) -> None:
    """Select faces, press Refine: the natural way to say what may move. A new object does not end the mode."""
    thing = grid()
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.context.tool_settings.mesh_select_mode = (True, False, False)
    bpy.ops.mesh.select_all(action="SELECT")
    target().mask_source, target().mask_feather = "SELECTED", 0.0
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    assert (bpy.context.mode, thing.hide_viewport) == ("EDIT_MESH", False)
    bpy.ops.object.mode_set(mode="OBJECT")
    start, found = (np.array([vertex.co[:] for vertex in one.data.vertices], np.float32) for one in (thing, thing.maquette.result))
    np.testing.assert_array_equal(found, start * GROWTH)
