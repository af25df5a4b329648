"""Maps on their way into the file: exact pixels, small files, standard wiring, no long stop of the main thread."""

from __future__ import annotations

import struct
import time
import zlib
from pathlib import Path

import bpy
import numpy as np
import pytest
from driving import Addon

pytestmark = pytest.mark.blender
KINDS = {"COLOR": (3,), "ROUGHNESS": (), "METALLIC": (), "NORMAL": (3,)}


def pictures(side: int = 32, height: int | None = None) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {kind: rng.integers(0, 256, (height or side, side, *tail), dtype=np.uint8) for kind, tail in KINDS.items()}


def pixels_of(image: bpy.types.Image) -> np.ndarray:
    """u1 [H,W,3] as stored, row 0 at the bottom."""
    width, height = image.size
    values = np.zeros(width * height * 4, np.float32)
    image.pixels.foreach_get(values)
    return np.rint(values.reshape(height, width, 4)[..., :3] * 255).astype(np.uint8)


def as_rgb(picture: np.ndarray) -> np.ndarray:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("tail", [(), (3,), (4,)])
def test_png_of_every_kind_is_read_back_by_an_independent_reader(addon: Addon, small: bool, tail: tuple[int, ...]) -> None:
    given = np.random.default_rng(0).integers(0, 256, (5, 7, *tail), dtype=np.uint8)
    data = addon("png").encoded(given, small=small)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, lines, channels = 8, b"", {(): 1, (3,): 3, (4,): 4}[tail]
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack(">I", data[place + 8 + length : place + 12 + length])[0] == zlib.crc32(kind + body)
        lines += body if kind == b"IDAT" else b""
        place += 12 + length
    rows = np.frombuffer(zlib.decompress(lines), np.uint8).reshape(5, -1)
    assert set(rows[:, 0]) == {1 if small else 0}
    found = rows[:, 1:].reshape(5, 7, channels).astype(np.uint64)
    found = np.cumsum(found, axis=1).astype(np.uint8) if small else found.astype(np.uint8)
    np.testing.assert_array_equal(found[::-1].reshape(given.shape), given)


def made(addon: Addon, tmp_path: Path, *, folder: Path | None = None, tiles: tuple[int, ...] = (1001,)) -> dict:
    images = addon("map_images")
    given = pictures(32 * addon("udim").side(tiles))
    found = {
        kind: images.make(images.encode(f"Crate {kind}", kind, picture, tiles, folder, tmp_path / "scratch"))
        for kind, picture in given.items()
    }
    return {"given": given, "images": found}


def test_packed_maps_hold_the_pixels_exactly_also_from_the_file(addon: Addon, tmp_path: Path) -> None:
    found = made(addon, tmp_path)
    for kind, image in found["images"].items():
        assert image.packed_file is not None
        assert not image.is_dirty
        assert image.colorspace_settings.name == ("sRGB" if kind == "COLOR" else "Non-Color")
        np.testing.assert_array_equal(pixels_of(image), as_rgb(found["given"][kind]))
        image.use_fake_user = True
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "maps.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "maps.blend"))
    for kind, given in found["given"].items():
        np.testing.assert_array_equal(pixels_of(bpy.data.images[f"Crate {kind}"]), as_rgb(given))


def test_maps_beside_the_file_have_relative_paths_and_leave_older_ones_alone(addon: Addon, tmp_path: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "maps.blend"))
    first = made(addon, tmp_path, folder=tmp_path / "textures")
    before = {path.name: path.read_bytes() for path in (tmp_path / "textures").iterdir()}
    assert set(before) == {f"Crate {kind}.png" for kind in KINDS}
    made(addon, tmp_path, folder=tmp_path / "textures")
    after = {path.name: path.read_bytes() for path in (tmp_path / "textures").iterdir()}
    assert {name: after[name] for name in before} == before
    assert len(after) == 8
    for kind, image in first["images"].items():
        assert image.filepath == f"//textures/Crate {kind}.png"
        assert image.packed_file is None
        image.reload()
        np.testing.assert_array_equal(pixels_of(image), as_rgb(first["given"][kind]))


@pytest.mark.parametrize("beside", [False, True])
def test_udim_maps_become_tiled_images(addon: Addon, tmp_path: Path, beside: bool) -> None:
    tiles = (1001, 1003, 1011)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "maps.blend"))
    found = made(addon, tmp_path, tiles=tiles, folder=tmp_path / "textures" if beside else None)
    image = found["images"]["COLOR"]
    assert image.source == "TILED"
    assert tuple(tile.number for tile in image.tiles) == tiles
    image.use_fake_user = True
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "maps.blend"))
    image = bpy.data.images["Crate COLOR"]
    assert [tuple(tile.size) for tile in image.tiles] == [(32, 32)] * 3
    np.testing.assert_array_equal(pixels_of(image), found["given"]["COLOR"][:32, :32])  # a script sees the first tile
    if beside:
        assert image.filepath == "//textures/Crate COLOR.<UDIM>.png"
        part = bpy.data.images.load(str(tmp_path / "textures" / "Crate COLOR.1011.png"))
        np.testing.assert_array_equal(pixels_of(part), found["given"]["COLOR"][32:, :32])
    else:
        assert len(image.packed_files) == 3
        assert not list((tmp_path / "scratch").iterdir())


def arrival(
    addon: Addon, side: int, *, name: str = "Crate refined", apart: float = 0.0, cut: object = None
) -> tuple[object, dict[str, np.ndarray]]:
    """Four maps of a quad on their way, the UVs of its halves ``apart`` from each other."""
    refined, maps = addon("refined"), addon("surface_maps")
    given = pictures(side)
    corners = np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]], np.float32)
    corners[1] = corners[1] * (1 - apart) + (0, apart)
    surface = refined.Surface(
        np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32),
        np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        corners,
        maps=maps.SurfaceMaps(given),
    )
    order = addon("map_arrival").Order(name, (1001,), cut)
    subject = refined.Refined("5" * 32, True, surface)
    return addon("map_arrival").Arrival("0" * 32, (subject,), {"5" * 32: order}, None), given


def wait_for(coming: object) -> tuple:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        done = coming.step()  # type: ignore[attr-defined]
        if done is not None:
            return done
        time.sleep(0.002)
    raise AssertionError("the maps did not come")


def test_an_arrival_makes_each_map_once_and_a_cancelled_one_leaves_nothing(addon: Addon) -> None:
    coming, _ = arrival(addon, 32)
    (subject,) = wait_for(coming)
    names = dict(subject.surface.maps.ready)
    assert names == {
        "COLOR": "Crate refined Base Colour",
        "ROUGHNESS": "Crate refined Roughness",
        "METALLIC": "Crate refined Metallic",
        "NORMAL": "Crate refined Normal",
    }
    images = addon("map_arrival").images_of("Crate refined", subject.surface.maps)
    assert {kind: image.name for kind, image in images.items()} == names
    coming.drop()
    assert not len(bpy.data.images)
    again, _ = arrival(addon, 32)
    until = time.monotonic() + 30
    while not len(bpy.data.images) and time.monotonic() < until:
        again.step()
    again.drop()
    assert not len(bpy.data.images)


@pytest.mark.parametrize("base", [True, False])
def test_maps_that_cut_a_quad_fit_it_before_they_become_images(addon: Addon, base: bool) -> None:
    """So nothing is left to be drawn anew when the result is put on the artist's mesh."""
    mesh = bpy.data.meshes.new("Quad")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], [], [(0, 1, 2, 3)])
    quad = bpy.data.objects.new("Quad", mesh)
    bpy.context.scene.collection.objects.link(quad)
    atlas, same, how = addon("polygon_atlas"), addon("same_topology"), addon("target_settings").Delivery(base=base)
    whole, _ = arrival(addon, 32)
    (subject,) = wait_for(whole)
    assert same.cut_polygons(bpy.context, quad, subject.surface, how) is None
    whole.drop()
    coming, _ = arrival(addon, 32, apart=0.25)
    (split,) = wait_for(coming)
    coming.drop()
    polygons = same.cut_polygons(bpy.context, quad, split.surface, how)
    assert polygons.loops.tolist() == [[0, 1, 2], [0, 2, 3]]
    coming, _ = arrival(addon, 32, apart=0.25, cut=polygons)
    (subject,) = wait_for(coming)
    surface = subject.surface
    expected = atlas.on_polygons(split.surface, polygons)
    np.testing.assert_array_equal(surface.corner_uvs, expected.corner_uvs)
    assert {kind: tuple(bpy.data.images[name].size) for kind, name in surface.maps.ready.items()} == {
        kind: expected.maps.color.shape[1::-1] for kind in KINDS
    }
    np.testing.assert_array_equal(pixels_of(bpy.data.images[surface.maps.ready["NORMAL"]]), expected.maps.images["NORMAL"])
    put, layer = same.put_uvs(mesh, surface, polygons.loops, how)
    assert put is surface
    assert layer == mesh.uv_layers.active.name
    coming.drop()


def test_images_that_undo_took_are_made_again(addon: Addon) -> None:
    coming, given = arrival(addon, 16)
    (subject,) = wait_for(coming)
    bpy.data.images.remove(bpy.data.images["Crate refined Normal"])
    images = addon("map_arrival").images_of("Crate refined", subject.surface.maps)
    np.testing.assert_array_equal(pixels_of(images["NORMAL"]), given["NORMAL"])


def test_material_is_wired_in_the_standard_way(addon: Addon, tmp_path: Path) -> None:
    images = made(addon, tmp_path)["images"]
    material = addon("surface_material").make("Crate", images, "My UVs")
    tree = material.node_tree
    shader = tree.nodes["Principled BSDF"]
    for socket, kind in (("Base Color", "COLOR"), ("Roughness", "ROUGHNESS"), ("Metallic", "METALLIC")):
        (link,) = shader.inputs[socket].links
        assert link.from_node.image == images[kind]
    (link,) = shader.inputs["Normal"].links
    assert (link.from_node.bl_idname, link.from_node.uv_map, link.from_node.space) == (
        "ShaderNodeNormalMap", "My UVs", "TANGENT",
    )  # fmt: skip
    assert link.from_node.inputs["Color"].links[0].from_node.image == images["NORMAL"]
    assert tree.nodes.active.image == images["COLOR"]
    assert [node.label for node in tree.nodes if node.select] == ["Base Colour"]
    for node in tree.nodes:
        if node.bl_idname == "ShaderNodeTexImage":
            assert node.inputs["Vector"].links[0].from_node.uv_map == "My UVs"
    assert shader.outputs["BSDF"].links[0].to_node.bl_idname == "ShaderNodeOutputMaterial"
