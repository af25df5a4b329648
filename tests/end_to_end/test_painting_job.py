"""A full material with the real backend: chosen slots only, kept texels to the last bit, wired and in the file."""

from __future__ import annotations

from pathlib import Path

import blender_scenes as scenes
import bpy
import numpy as np
import pytest
from driving import Addon
from test_main_job import small
from test_painting import image, noise, pixels_in_faces, put_image

pytestmark = [pytest.mark.blender, pytest.mark.timeout(240)]


def painted_crate() -> bpy.types.Object:
    """A cube of two materials that share one texture, 64²."""
    crate = scenes.cube(prompt=None)
    scenes.add_target(crate, "a red crate", mode="texture_only")
    picture = image("Planks", noise(64))
    for name in ("Wood", "Iron"):
        material = bpy.data.materials.new(name)
        material.use_nodes = True
        put_image(material, picture)
        crate.data.materials.append(material)
    for face in crate.data.polygons:
        face.material_index = face.index % 2
    return crate


def test_a_full_material_on_chosen_slots(addon: Addon, served: Path) -> None:
    crate = painted_crate()
    small(2)
    bpy.context.scene.maquette.geometry_steps = 0
    bpy.context.scene.maquette.appearance_steps = 4
    paint = bpy.context.scene.maquette.targets[0].paint
    paint.material, paint.slots, paint.starts_from_texture, paint.keep_look = "pbr", "CHOSEN", True, 0.2
    paint.chosen_slots[1] = True
    assert bpy.ops.maquette.refine() == {"FINISHED"}, addon("pump").runtime().last_error
    result = crate.maquette.result
    assert [slot.material.name for slot in result.material_slots] == ["Wood", "Crate refined"]
    material = result.material_slots[1].material
    images = {node.label: node.image for node in material.node_tree.nodes if node.bl_idname == "ShaderNodeTexImage"}
    assert set(images) == {"Base Colour", "Roughness", "Metallic", "Normal"}
    assert {tuple(one.size) for one in images.values()} == {(64, 64)}
    assert images["Base Colour"].colorspace_settings.name == "sRGB"
    assert all(images[name].colorspace_settings.name == "Non-Color" for name in ("Roughness", "Metallic", "Normal"))
    shown = np.rint(np.array(images["Base Colour"].pixels).reshape(64, 64, 4)[..., :3] * 255).astype(np.uint8)
    kept = pixels_in_faces(crate, 64, slot=0)
    changed = pixels_in_faces(crate, 64, slot=1)
    np.testing.assert_array_equal(shown[kept], noise(64)[kept])
    assert (shown[changed] != noise(64)[changed]).any()
    normal = np.array(images["Normal"].pixels).reshape(64, 64, 4)[..., :3][changed] * 2 - 1
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1, atol=0.02)
    assert [layer.name for layer in result.data.uv_layers] == ["UVMap"]
