"""Textures to start from, chosen slots, masks, UDIM and light: what is sent to the backend, and how results come back."""

from __future__ import annotations

import json
from pathlib import Path

import blender_scenes as scenes
import bpy
import numpy as np
import pytest
from driving import Addon, begin, pump_until
from maquette_protocol import recipe
from small_backend import SmallBackend, data_maps, texture

pytestmark = pytest.mark.blender


def target():
    return bpy.context.scene.maquette.targets[0]


def crate(*, slots: int = 0) -> bpy.types.Object:
    """A cube to be textured, with so many materials, one a face in turn."""
    thing = scenes.cube(prompt=None)
    scenes.add_target(thing, "a crate", mode="texture_only")
    for index in range(slots):
        material = bpy.data.materials.new(f"Part {index}")
        material.use_nodes = True
        material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.1 * index, 0.2, 0.3, 1)
        thing.data.materials.append(material)
    for face in thing.data.polygons:
        face.material_index = face.index % max(slots, 1)
    return thing


def image(name: str, pixels: np.ndarray) -> bpy.types.Image:
    """u1 [h,w,3] → a packed image."""
    height, width = pixels.shape[:2]
    made = bpy.data.images.new(name, width, height)
    values = np.ones((height, width, 4), np.float32)
    values[..., :3] = pixels / 255
    made.pixels.foreach_set(values.ravel())
    made.pack()
    return made


def put_image(material: bpy.types.Material, picture: bpy.types.Image, socket: str = "Base Color") -> bpy.types.Node:
    node = material.node_tree.nodes.new("ShaderNodeTexImage")
    node.image = picture
    material.node_tree.links.new(node.outputs["Color"], material.node_tree.nodes["Principled BSDF"].inputs[socket])
    return node


def noise(side: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, channels), dtype=np.uint8)


def read(addon: Addon) -> tuple[recipe.Subject, dict[str, np.ndarray]]:
    """The subject that would be sent, and its arrays by what they are."""
    found = addon("scene_reading").read_scene(bpy.context)
    (subject,) = found.recipe.subjects
    maps = subject.maps or recipe.SurfaceMaps()
    refs = {
        "color": maps.base_color, "roughness": maps.roughness, "metallic": maps.metallic, "normal": maps.normal,
        "mask": subject.texel_mask, "painted": subject.painted_triangles, "vertices": subject.mask,
        "uvs": subject.mesh.corner_uvs,
    }
    held = {
        name: np.frombuffer(found.blobs[ref.sha256], f"<{ref.dtype}").reshape(ref.shape) for name, ref in refs.items() if ref
    }
    return subject, held


def refused(addon: Addon) -> str:
    with pytest.raises(addon("_protocol").errors.MaquetteError) as caught:
        addon("scene_reading").read_scene(bpy.context)
    assert caught.value.remedy
    return str(caught.value)


# ---- what it starts from --------------------------------------------------------------------------
def test_the_existing_texture_is_sent_bit_for_bit(addon: Addon) -> None:
    thing, picture = crate(slots=1), noise(64)
    put_image(thing.data.materials[0], image("Planks", picture))
    target().paint.starts_from_texture, target().paint.keep_look = True, 0.25
    subject, held = read(addon)
    np.testing.assert_array_equal(held["color"], picture)
    assert subject.texture_size == 64, "the image's own size, so that kept texels stay as they are"
    assert subject.keep_look == 0.25
    assert set(held) == {"color", "uvs"}
    target().paint.texture_size = "256"
    assert read(addon)[1]["color"].shape == (256, 256, 3)


def test_an_image_that_is_not_srgb_is_sent_as_it_looks(addon: Addon) -> None:
    thing = crate(slots=1)
    picture = image("Linear", np.full((16, 16, 3), 55, np.uint8))
    picture.colorspace_settings.name = "Non-Color"
    put_image(thing.data.materials[0], picture)
    target().paint.starts_from_texture = True
    expected = (1.055 * (55 / 255) ** (1 / 2.4) - 0.055) * 255
    assert abs(int(read(addon)[1]["color"][0, 0, 0]) - expected) <= 1


def test_a_full_material_is_read_with_packed_channels_and_normals(addon: Addon) -> None:
    thing, orm, normal = crate(slots=1), noise(32, 1), noise(32, 2)
    material = thing.data.materials[0]
    tree, shader = material.node_tree, material.node_tree.nodes["Principled BSDF"]
    put_image(material, image("Planks", noise(32)))
    source = tree.nodes.new("ShaderNodeTexImage")
    source.image = image("ORM", orm)
    source.image.colorspace_settings.name = "Non-Color"
    parts, bump = tree.nodes.new("ShaderNodeSeparateColor"), tree.nodes.new("ShaderNodeNormalMap")
    tree.links.new(source.outputs["Color"], parts.inputs["Color"])
    tree.links.new(parts.outputs["Green"], shader.inputs["Roughness"])
    tree.links.new(parts.outputs["Blue"], shader.inputs["Metallic"])
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = image("Relief", normal)
    node.image.colorspace_settings.name = "Non-Color"
    tree.links.new(node.outputs["Color"], bump.inputs["Color"])
    tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    target().paint.starts_from_texture, target().paint.material = True, "pbr"
    subject, held = read(addon)
    assert subject.material == "pbr"
    np.testing.assert_array_equal(held["roughness"], orm[..., 1])
    np.testing.assert_array_equal(held["metallic"], orm[..., 2])
    np.testing.assert_array_equal(held["normal"], normal)


def test_each_slots_texels_come_from_its_own_material(addon: Addon) -> None:
    thing = crate(slots=2)
    put_image(thing.data.materials[0], image("Red", np.full((64, 64, 3), (200, 0, 0), np.uint8)))
    target().paint.starts_from_texture = True
    _, held = read(addon)
    uvs = held["uvs"].reshape(-1, 2, 3, 2).mean(axis=(1, 2))
    for index, (u, v) in enumerate(uvs):
        found = tuple(held["color"][int(v * 64), int(u * 64)].tolist())
        # the second material has a colour but no image
        linear = (0.1, 0.2, 0.3)
        plain = tuple(round((1.055 * part ** (1 / 2.4) - 0.055) * 255) for part in linear)
        assert found == ((200, 0, 0) if index % 2 == 0 else plain)


def test_a_large_packed_image_is_brought_to_the_texture_size(addon: Addon) -> None:
    thing = crate(slots=1)
    put_image(thing.data.materials[0], image("Large", np.full((2048, 2048, 3), (10, 20, 30), np.uint8)))
    target().paint.starts_from_texture, target().paint.texture_size = True, "512"
    assert (read(addon)[1]["color"] == (10, 20, 30)).all()
    assert tuple(bpy.data.images["Large"].size) == (2048, 2048)
    assert len(bpy.data.images) == 1


@pytest.mark.parametrize("kept", ["nowhere", "packed", "file"])
def test_what_was_painted_and_not_saved_yet_is_sent(addon: Addon, tmp_path: Path, kept: str) -> None:
    """As after Texture Paint: Blender's file, packed or beside, still has the older pixels."""
    thing = crate(slots=1)
    painted = bpy.data.images.new("Painted", 16, 16)
    if kept == "file":
        painted.filepath_raw, painted.file_format = str(tmp_path / "painted.png"), "PNG"
        painted.save()
    if kept == "packed":
        painted.pack()
    newer = noise(16)
    painted.pixels.foreach_set(np.concatenate([newer, np.full((16, 16, 1), 255, np.uint8)], -1).ravel() / np.float32(255))
    assert painted.is_dirty
    put_image(thing.data.materials[0], painted)
    target().paint.starts_from_texture = True
    np.testing.assert_array_equal(read(addon)[1]["color"], newer)
    assert painted.is_dirty
    assert list(bpy.data.images) == [painted]


def test_a_tiled_image_that_was_not_saved_is_named(addon: Addon) -> None:
    thing = crate(slots=1)
    tiled = bpy.data.images.new("Tiles", 16, 16, tiled=True)
    tiled.pixels[0] = 0.5
    assert tiled.is_dirty
    put_image(thing.data.materials[0], tiled)
    target().paint.starts_from_texture = True
    assert "painted on since it was saved" in refused(addon)


def test_what_cannot_be_started_from_is_said(addon: Addon, tmp_path: Path) -> None:
    thing = crate()
    target().paint.starts_from_texture = True
    assert "No material of Crate has an image" in refused(addon)
    material = bpy.data.materials.new("Plain")
    material.use_nodes = False
    thing.data.materials.append(material)
    assert "No material of Crate has an image" in refused(addon)
    material.use_nodes = True
    if not any(node.bl_idname == "ShaderNodeBsdfPrincipled" for node in material.node_tree.nodes):
        shader, output = (material.node_tree.nodes.new(f"Shader{kind}") for kind in ("NodeBsdfPrincipled", "NodeOutputMaterial"))
        material.node_tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    kept = tmp_path / "gone.png"
    saved = image("Gone", noise(16))
    saved.filepath_raw, saved.file_format = str(kept), "PNG"
    saved.save()
    bpy.data.images.remove(saved)
    missing = bpy.data.images.load(str(kept))
    kept.unlink()
    node = put_image(material, missing)
    assert f"there is no file {kept}" in refused(addon)
    node.image = image("There", noise(16))
    assert read(addon)[1]["color"].shape == (16, 16, 3)
    place = material.node_tree.nodes.new("ShaderNodeUVMap")
    place.uv_map = "Other"
    material.node_tree.links.new(place.outputs["UV"], node.inputs["Vector"])
    assert "lies on the UV map “Other”, but “UVMap” is active" in refused(addon)
    coordinates = material.node_tree.nodes.new("ShaderNodeTexCoord")
    material.node_tree.links.new(coordinates.outputs["Generated"], node.inputs["Vector"])
    assert "is placed by “Texture Coordinate”" in refused(addon)
    material.node_tree.links.new(coordinates.outputs["UV"], node.inputs["Vector"])
    assert read(addon)[1]["color"].shape == (16, 16, 3)
    for loop in thing.data.polygons[0].loop_indices:
        thing.data.uv_layers.active.uv[loop].vector = (0.5, 0.5)
    assert "1 face has no area" in refused(addon)


# ---- what may change ------------------------------------------------------------------------------
def test_selected_faces_are_painted_exactly_and_a_group_by_its_weights(addon: Addon) -> None:
    thing = crate()
    for face in thing.data.polygons:
        face.select = face.index == 2
    target().mask_source = "SELECTED"
    _, held = read(addon)
    assert held["painted"].reshape(6, 2).tolist() == [[int(index == 2)] * 2 for index in range(6)]
    assert "vertices" not in held
    target().mask_invert = True
    assert read(addon)[1]["painted"].sum() == 10
    target().mask_source, target().mask_invert = "GROUP", False
    group = thing.vertex_groups.new(name="Top")
    group.add([0, 1], 0.5, "REPLACE")
    target().mask_group, target().mask_feather = "Top", 0.0
    assert read(addon)[1]["vertices"].tolist() == [0.5, 0.5, 0, 0, 0, 0, 0, 0]


def test_a_mask_image_is_sent_in_grey_and_needs_a_texture(addon: Addon) -> None:
    thing, grey = crate(slots=1), np.repeat(noise(32, 5, 1), 3, axis=2)
    target().paint.mask_image = image("Mask", grey)
    assert "has a mask image, but no texture" in refused(addon)
    put_image(thing.data.materials[0], image("Planks", noise(32)))
    target().paint.starts_from_texture = True
    np.testing.assert_array_equal(read(addon)[1]["mask"], grey[..., 0])


def refine(addon: Addon) -> bpy.types.Object:
    begin(addon)
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    assert addon("pump").runtime().last_error is None
    return target().object.maquette.result


def test_of_twelve_slots_only_the_chosen_change(addon: Addon, connected: SmallBackend) -> None:
    thing = crate(slots=12)
    thing.data.polygons[0].material_index = 11
    target().paint.slots = "CHOSEN"
    assert "No material slot of Crate is chosen" in refused(addon)
    target().paint.chosen_slots[3] = target().paint.chosen_slots[11] = True
    subject, held = read(addon)
    assert held["painted"].reshape(6, 2)[:, 0].tolist() == [1, 0, 0, 1, 0, 0]
    assert subject.mode == "texture_only"
    result = refine(addon)
    names = [slot.material.name for slot in result.material_slots]
    kept = [f"Part {index}" for index in range(12)]
    assert [name for index, name in enumerate(names) if index not in (3, 11)] == [
        name for index, name in enumerate(kept) if index not in (3, 11)
    ]
    assert names[3] == names[11] == "Crate refined"
    assert [slot.material.name for slot in thing.material_slots] == kept
    assert [face.material_index for face in result.data.polygons] == [face.material_index for face in thing.data.polygons]
    assert [layer.name for layer in result.data.uv_layers if layer.active_render] == ["UVMap"]


def test_a_full_material_comes_back_wired(addon: Addon, connected: SmallBackend) -> None:
    crate(slots=1)
    target().paint.material = "pbr"
    result = refine(addon)
    (material,) = result.data.materials
    images = {node.label: node.image for node in material.node_tree.nodes if node.bl_idname == "ShaderNodeTexImage"}
    assert set(images) == {"Base Colour", "Roughness", "Metallic", "Normal"}
    expected = {"Base Colour": texture(), **{name.capitalize(): data for name, data in data_maps().items()}}
    for label, picture in images.items():
        values = np.array(picture.pixels).reshape(32, 32, 4)[..., :3]
        want = expected[label] if expected[label].ndim == 3 else np.repeat(expected[label][..., None], 3, axis=2)
        np.testing.assert_array_equal(np.rint(values * 255).astype(np.uint8), want)
        assert picture.packed_file is not None
        assert not picture.use_fake_user
    assert bpy.ops.maquette.discard_result() == {"FINISHED"}
    assert not len(bpy.data.images)


def test_images_go_beside_the_file_when_asked(addon: Addon, connected: SmallBackend, tmp_path: Path) -> None:
    crate()
    bpy.context.scene.maquette_look.images = "BESIDE"
    result = refine(addon)
    assert result.data.materials[0].node_tree.nodes.active.image.packed_file is not None, "a new file has no place yet"
    bpy.ops.maquette.discard_result()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "crate.blend"))
    picture = refine(addon).data.materials[0].node_tree.nodes.active.image
    assert picture.filepath == "//textures/Crate refined Base Colour.png"
    assert (tmp_path / "textures" / "Crate refined Base Colour.png").is_file()


def test_udim_tiles_go_out_as_one_square_and_come_back_as_tiles(addon: Addon, connected: SmallBackend) -> None:
    thing = crate()
    layer = thing.data.uv_layers.active
    for face in (3, 4):
        for loop in thing.data.polygons[face].loop_indices:
            layer.uv[loop].vector[0] += 1
    target().paint.texture_size = "256"
    subject, held = read(addon)
    assert subject.texture_size == 512
    assert held["uvs"].min() >= 0
    assert held["uvs"].max() <= 1
    result = refine(addon)
    picture = result.data.materials[0].node_tree.nodes.active.image
    assert picture.source == "TILED"
    assert [tile.number for tile in picture.tiles] == [1001, 1002]
    assert [one.name for one in result.data.uv_layers] == ["UVMap"], "the artist's own map is used"


def test_settings_of_target_and_scene_reach_the_recipe(addon: Addon) -> None:
    crate()
    paint, look = target().paint, bpy.context.scene.maquette_look
    paint.has_seed, paint.seed = True, 7
    look.scene_prompt, look.scene_steps, look.finish_steps = " a workshop ", 30, 5
    whole = addon("scene_reading").read_scene(bpy.context).recipe
    assert whole.subjects[0].seed == 7
    assert (whole.scene_prompt, whole.stages.scene_steps, whole.stages.finish_steps) == ("a workshop", 30, 5)
    assert (whole.lighting.environment, whole.lighting.lamps) == (None, ())
    paint.has_seed = False
    assert addon("scene_reading").read_scene(bpy.context).recipe.subjects[0].seed is None


def test_gltf_has_the_maps_where_engines_look_for_them(addon: Addon, connected: SmallBackend, tmp_path: Path) -> None:
    """Exported by Blender, read from the file's own JSON and pixels: roughness in green, metallic in blue, factors 1."""
    crate(slots=1)
    target().paint.material = "pbr"
    result = refine(addon)
    for thing in bpy.context.view_layer.objects:
        thing.select_set(thing == result)
    path = tmp_path / "crate.glb"
    bpy.ops.export_scene.gltf(filepath=str(path), use_selection=True, export_format="GLB")
    data = path.read_bytes()
    length = int.from_bytes(data[12:16], "little")
    held, binary = json.loads(data[20 : 20 + length]), data[28 + length :]
    (material,) = held["materials"]
    surface = material["pbrMetallicRoughness"]
    assert surface.get("baseColorFactor", [1, 1, 1, 1]) == [1, 1, 1, 1]
    assert surface.get("metallicFactor", 1) == surface.get("roughnessFactor", 1) == 1
    assert material["normalTexture"].get("scale", 1) == 1

    def pixels(texture_index: int) -> np.ndarray:
        found = held["images"][held["textures"][texture_index]["source"]]
        view = held["bufferViews"][found["bufferView"]]
        file = tmp_path / f"{texture_index}.png"
        file.write_bytes(binary[view.get("byteOffset", 0) :][: view["byteLength"]])
        shown = bpy.data.images.load(str(file))
        return np.rint(np.array(shown.pixels).reshape(32, 32, 4)[..., :3] * 255).astype(np.uint8)

    maps = data_maps()
    np.testing.assert_array_equal(pixels(surface["baseColorTexture"]["index"]), texture())
    np.testing.assert_array_equal(pixels(material["normalTexture"]["index"]), maps["normal"])
    packed = pixels(surface["metallicRoughnessTexture"]["index"])
    np.testing.assert_array_equal(packed[..., 1], maps["roughness"])
    np.testing.assert_array_equal(packed[..., 2], maps["metallic"])


def pixels_in_faces(thing: bpy.types.Object, side: int, slot: int) -> np.ndarray:
    """bool [side,side]: pixels wholly inside the UV rectangles of a slot's faces."""
    uvs, found = thing.data.uv_layers.active.uv, np.zeros((side, side), bool)
    for face in thing.data.polygons:
        if face.material_index == slot:
            corners = np.array([uvs[loop].vector for loop in face.loop_indices]) * side
            low, high = np.ceil(corners.min(axis=0) - 1e-3).astype(int), np.floor(corners.max(axis=0) + 1e-3).astype(int)
            found[low[1] : high[1], low[0] : high[0]] = True
    return found
