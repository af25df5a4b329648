"""Bake Back: a low-poly mesh that wears the maps looks like the refined one, and the scene stays as it was."""

from __future__ import annotations

import os
from pathlib import Path

import blender_scenes as scenes
import bpy
import numpy as np
import pytest
from driving import Addon, push, undo

pytestmark = pytest.mark.blender
RELIEF = 0.08
SMALL, TINY = 128, 32
FEW = 6
"""Parts of a refined surface where every property of every vertex is compared: a slow account."""
KEEP = os.environ.get("MAQUETTE_KEEP_RENDERS", "")
"""A folder for the renders, to be looked at."""


def plate(parts: int = 64) -> tuple[bpy.types.Object, bpy.types.Object]:
    """A flat square with UVs, turned and stretched, and its refinement: a fine grid with a dome and a groove."""
    bpy.ops.mesh.primitive_plane_add(size=2, calc_uvs=True)
    low = bpy.context.object
    low.name = "Plate"
    x, y = (part.ravel() for part in np.meshgrid(*2 * [np.linspace(-1, 1, parts + 1)]))
    faces = [
        (at, at + 1, at + parts + 2, at + parts + 1)
        for row in range(parts)
        for at in range(row * (parts + 1), row * (parts + 1) + parts)
    ]
    high = scenes.mesh_object("Plate refined", np.stack([x, y, relief(x, y)], axis=1).tolist(), faces)
    high.data.shade_smooth()
    for thing in (low, high):
        thing.rotation_euler, thing.scale = (0.1, 0.2, 0.6), (1.0, -0.8, 1.2)
    return low, as_result(low, high)


def relief(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A dome in one quarter and a groove along y, so that left and right, up and down can be told apart."""
    dome = np.clip(1 - ((x - 0.4) ** 2 + (y - 0.35) ** 2) / 0.2, 0, None) ** 2
    groove = np.exp(-(((x + 0.5) / 0.1) ** 2))
    return RELIEF * (2 * dome - groove)


def as_result(low: bpy.types.Object, high: bpy.types.Object) -> bpy.types.Object:
    high.maquette.role, high.maquette.original = "RESULT", low
    low.maquette.result = high
    low.hide_viewport = low.hide_render = True
    material = bpy.data.materials.new("Orange")
    material.use_nodes = True
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.7, 0.3, 0.1, 1)
    high.data.materials.append(material)
    bpy.context.view_layer.objects.active = high
    bpy.context.view_layer.update()
    return high


def bake(maps: set[str], *, size: str = "512", normal_y: str = "POS_Y", undo: bool = False) -> set[str]:
    settings = bpy.context.scene.maquette_results
    settings.bake_maps, settings.bake_size, settings.normal_y = maps, size, normal_y
    return bpy.ops.maquette.bake_back("EXEC_DEFAULT", undo)


def bake_small(addon: Addon, maps: tuple[str, ...], size: int, normal_y: str = "POS_Y") -> bpy.types.Object:
    """The same without the operator, at sizes that no artist asks for but that take no time."""
    baking = addon("baking")
    active = bpy.context.view_layer.objects.active
    steps = baking.bake_back(bpy.context, active, baking.Order(maps, size, normal_y))
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def pixels(image: bpy.types.Image) -> np.ndarray:
    return np.array(image.pixels, np.float32).reshape(image.size[1], image.size[0], 4)


def image_of(thing: bpy.types.Object, label: str) -> bpy.types.Image:
    nodes = thing.data.materials[0].node_tree.nodes
    return next(node.image for node in nodes if node.label == label)


def render(shown: bpy.types.Object, folder: Path, name: str) -> np.ndarray:
    """One object under a low light, with Cycles: [size,size,3], as displayed."""
    scene = bpy.context.scene
    for thing in bpy.data.objects:
        if thing.type == "MESH":
            thing.hide_render = thing is not shown
    if scene.camera is None:
        camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
        lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "SUN"))
        for thing in (camera, lamp):
            scene.collection.objects.link(thing)
        camera.location, lamp.rotation_euler, lamp.data.energy = (0.3, -1.0, 4.5), (1.0, 0.2, 0.7), 3.0
        camera.rotation_euler = (0.22, 0.06, 0.0)
        lamp.data.angle = 0.05
        scene.camera = camera
    scene.render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 8, "CPU"
    scene.cycles.max_bounces = 0  # a normal map throws no light at its own hollows
    scene.render.resolution_x = scene.render.resolution_y = 128
    scene.view_settings.view_transform = "Standard"
    scene.render.filepath = str((Path(KEEP) if KEEP else folder) / f"{name}.png")
    bpy.ops.render.render(write_still=True)
    loaded = bpy.data.images.load(scene.render.filepath)
    found = pixels(loaded)[..., :3]
    bpy.data.images.remove(loaded)
    return found


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean over the pixels, 0..1."""
    return float(np.abs(one - other).mean())


@pytest.mark.parametrize("normal_y", ["POS_Y", "NEG_Y"])
def test_the_baked_low_poly_looks_like_the_refined_one(addon: Addon, tmp_path: Path, normal_y: str) -> None:
    _low, high = plate()
    refined = render(high, tmp_path, f"refined_{normal_y}")
    baked = bake_small(addon, ("NORMAL", "COLOR"), 256, normal_y)
    assert baked.name == "Plate Baked"
    assert len(baked.data.polygons) == 1
    assert bpy.context.view_layer.objects.active is baked
    worn = render(baked, tmp_path, f"baked_{normal_y}")
    # the control: the same material without its normal map
    links = baked.data.materials[0].node_tree.links
    links.remove(next(link for link in links if link.to_socket.name == "Normal"))
    plain = render(baked, tmp_path, f"plain_{normal_y}")
    # where there is relief; elsewhere the two are alike anyway
    relieved = np.abs(refined - plain).max(axis=-1) > 0.03
    assert relieved.mean() > 0.03
    with_map, without = difference(refined[relieved], worn[relieved]), difference(refined[relieved], plain[relieved])
    print(f"mean difference to the refined: with the maps {with_map:.4f}, without the normal map {without:.4f}")
    assert with_map < 0.04
    assert without > 0.08


def test_green_points_the_other_way_for_y_minus(addon: Addon) -> None:
    low, _ = plate()
    found = {}
    for side in ("POS_Y", "NEG_Y"):
        bpy.context.view_layer.objects.active = low.maquette.result
        image = image_of(bake_small(addon, ("NORMAL",), SMALL, side), "Normal")
        assert image.colorspace_settings.name == "Non-Color"
        assert image.packed_file is not None
        found[side] = pixels(image)[..., :3]
    np.testing.assert_allclose(found["POS_Y"][..., 1], 1 - found["NEG_Y"][..., 1], atol=0.01)
    np.testing.assert_allclose(found["POS_Y"][..., 0], found["NEG_Y"][..., 0], atol=0.01)
    # against the relief's own slopes: UVs run along x and y
    x, y = grid(SMALL)
    step = 1e-4
    slope_x = (relief(x + step, y) - relief(x - step, y)) / (2 * step)
    slope_y = (relief(x, y + step) - relief(x, y - step)) / (2 * step)
    expected = np.stack([-slope_x, -slope_y, np.ones_like(x)], axis=-1)
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    assert np.abs(found["POS_Y"] * 2 - 1 - expected).mean() < 0.01


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    places = (np.arange(size) + 0.5) / size * 2 - 1
    return np.meshgrid(places, places)


def test_displacement_is_the_distance_in_object_units_and_occlusion_darkens_the_groove(
    addon: Addon, tmp_path: Path
) -> None:
    plate()
    bake_small(addon, ("DISPLACEMENT", "AO"), SMALL)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "baked.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "baked.blend"))  # what is packed comes back whole
    baked = bpy.data.objects["Plate Baked"]
    height = pixels(image_of(baked, "Displacement"))[..., 0]
    x, y = grid(SMALL)
    np.testing.assert_allclose(height, relief(x, y), atol=0.02 * RELIEF)
    shade = pixels(image_of(baked, "Ambient Occlusion"))[..., 0]
    groove, flat = shade[np.abs(x + 0.5) < 0.02].mean(), shade[(y < -0.6) & (x > 0.2)].mean()
    assert groove < flat - 0.05
    assert baked.data.materials[0].node_tree.nodes["Material Output"].inputs["Displacement"].is_linked
    assert not any("maquette" in scene.name for scene in bpy.data.scenes)


def test_a_cube_is_covered_up_to_its_edges(addon: Addon) -> None:
    """A low-poly mesh with hard edges: rays along its faces' normals would miss what bulges over them."""
    box = scenes.cube("Box", prompt=None)
    high = box.copy()
    high.data = box.data.copy()
    high.name = "Box refined"
    bpy.context.collection.objects.link(high)
    high.data.materials.clear()
    as_result(box, high)
    bulge = high.modifiers.new("Fine", "SUBSURF")
    bulge.subdivision_type, bulge.levels = "SIMPLE", 5
    high.modifiers.new("Round", "CAST").factor = 0.15
    baked = bake_small(addon, ("COLOR",), SMALL)
    found = pixels(image_of(baked, "Base Colour"))[..., :3]
    layer = box.data.uv_layers.active.data
    corners = np.array([[layer[loop].uv for loop in face.loop_indices] for face in box.data.polygons])
    orange = np.array([0.8545, 0.5841, 0.3492])  # (0.7, 0.3, 0.1) in sRGB
    for face in corners:
        low, high_ = (face.min(axis=0) * SMALL).astype(int), (face.max(axis=0) * SMALL).astype(int)
        np.testing.assert_allclose(found[low[1] : high_[1], low[0] : high_[0]], np.broadcast_to(orange, (*found[low[1] : high_[1], low[0] : high_[0]].shape[:2], 3)), atol=0.02)  # fmt: skip


def test_nothing_of_the_scene_changes_but_what_is_made(addon: Addon) -> None:
    _low, high = plate(FEW)
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples, scene.render.bake.margin = "CYCLES", 7, 3
    other = scenes.cube("Other", prompt=None)
    other.select_set(True)
    bpy.context.view_layer.objects.active = high
    before = scenes.state()
    bake_small(addon, ("NORMAL", "DISPLACEMENT"), TINY)
    found = scenes.differences(before, scenes.state())
    added = {name for name, what in found.items() if what == "added"}
    assert added == {
        "objects/Plate Baked", "meshes/Plate Baked", "materials/Plate Baked",
        "images/Plate Baked Normal", "images/Plate Baked Displacement",
    }  # fmt: skip
    changed = {name: set(what) for name, what in found.items() if what != "added"}
    assert changed.pop("objects/Plate refined") <= {"hide_viewport", "hide_render", "hidden and selected"}
    assert changed.pop("objects/Other") <= {"hidden and selected"}
    containers = {"objects", "all_objects", "view_layers", "collection"}
    assert all(what <= containers for what in changed.values()), changed
    assert "objects/Plate" not in found


def test_a_failure_midway_leaves_no_trace(addon: Addon, monkeypatch: pytest.MonkeyPatch) -> None:
    _, high = plate(FEW)
    baking = addon("baking")
    before = scenes.state()
    # stopped between two maps
    order = baking.Order(("NORMAL", "COLOR"), TINY, "POS_Y")
    steps = baking.bake_back(bpy.context, high, order)
    told = [next(steps).text for _ in range(3)]
    assert told == ["Measuring", "Baking Normal", "Baking Base Colour"]
    steps.close()
    assert scenes.differences(before, scenes.state()) == {}
    # Blender's own baker refuses, as it does where memory runs out
    monkeypatch.setattr(baking, "_PASSES", {**baking._PASSES, "COLOR": ("COMBINED", 1)})  # no light to combine
    with pytest.raises(addon("_protocol").errors.MaquetteError, match="Blender's baker stopped"):
        bake_small(addon, ("NORMAL", "COLOR"), TINY)
    assert scenes.differences(before, scenes.state()) == {}


def test_one_undo_step_takes_it_back(addon: Addon) -> None:
    plate(FEW)
    scene = bpy.context.scene
    scene.maquette_results.bake_maps, scene.maquette_results.bake_size = {"NORMAL"}, "512"
    push()
    before = scenes.state()
    assert bpy.ops.maquette.bake_back("EXEC_DEFAULT", True) == {"FINISHED"}
    assert "Plate Baked" in bpy.data.objects
    undo()
    assert scenes.differences(before, scenes.state()) == {}


# ---- what cannot be baked -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda low: low.data.uv_layers.remove(low.data.uv_layers[0]), "has no UV map"),
        (lambda low: shift_uvs(low, [0.0, 0.6]), "leaves the picture"),
        (lambda low: fold_uvs(low), "overlaps"),
        (lambda low: scale_uvs(low, 0.0), "has no area"),
    ],
)
def test_uvs_that_cannot_take_a_picture_are_named_before_anything_starts(addon: Addon, spoil, said: str) -> None:
    low, _high = plate(FEW)
    spoil(low)
    before = scenes.state()
    with pytest.raises(RuntimeError, match=said):
        bake({"NORMAL"})
    found = scenes.differences(before, scenes.state())
    assert set(found) <= {"scenes/Scene"}  # the choice of maps


def all_uvs(thing: bpy.types.Object) -> np.ndarray:
    return np.array([tuple(item.uv) for item in thing.data.uv_layers[0].data], np.float32)


def write_uvs(thing: bpy.types.Object, uvs: np.ndarray) -> None:
    thing.data.uv_layers[0].data.foreach_set("uv", uvs.astype(np.float32).ravel())
    thing.data.update()  # 4.2 shows modifiers what was there before, otherwise


def shift_uvs(thing: bpy.types.Object, by: list[float]) -> None:
    write_uvs(thing, all_uvs(thing) + np.array(by))


def scale_uvs(thing: bpy.types.Object, by: float) -> None:
    write_uvs(thing, all_uvs(thing) * by + 0.5)


def fold_uvs(thing: bpy.types.Object) -> None:
    """Two faces on one place."""
    bpy.context.view_layer.objects.active = thing
    thing.hide_viewport = False
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.subdivide(number_cuts=1)
    bpy.ops.object.mode_set(mode="OBJECT")
    write_uvs(thing, np.abs(all_uvs(thing) - 0.5) + 0.25)
    bpy.context.view_layer.objects.active = thing.maquette.result


def test_coverage_against_known_areas(addon: Addon) -> None:
    coverage = addon("bake_checks").coverage
    square = np.array([[[0.1, 0.1], [0.6, 0.1], [0.6, 0.6]], [[0.1, 0.1], [0.6, 0.6], [0.1, 0.6]]])
    covered, overlap = coverage(square)
    assert covered == pytest.approx(0.25, abs=2e-3)
    assert overlap == 0
    # the same square again, moved by half its side: a quarter of 0.25 lies on the first
    covered, overlap = coverage(np.concatenate([square, square[:, ::-1] + 0.25]))
    assert covered == pytest.approx(0.25 * 1.75, abs=3e-3)
    assert overlap == pytest.approx(0.25 / 1.75, abs=3e-3)


def test_a_gap_has_two_sides(addon: Addon) -> None:
    checks = addon("bake_checks")
    flat = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    up = flat + np.array([0, 0, 0.25], np.float32)
    gap = checks.surface_gap((flat, faces), (up, faces))
    assert gap.outward == pytest.approx(0.25)
    extrusion, reach = checks.cage(gap, 1.0, 1.0)
    assert 0.25 < extrusion < 0.28
    assert reach > 0.25
    # at a cube's corner the cage's faces move by 1/√3 of what its vertices do
    extrusion, _ = checks.cage(gap, 3**-0.5, 1.0)
    assert extrusion * 3**-0.5 > 0.25
