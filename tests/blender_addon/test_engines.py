"""A result's material as each of Blender's engines shows it: the same colours, and hills that are hills."""

from __future__ import annotations

import ctypes.util
import math
from pathlib import Path

import bpy
import numpy as np
import pytest
from driving import Addon

pytestmark = pytest.mark.blender
SIDE = 64
RED, BLUE = (200, 40, 30), (30, 70, 190)
draws = pytest.mark.skipif(ctypes.util.find_library("EGL") is None, reason="Workbench and EEVEE need libEGL")


def plate(addon: Addon, lean: tuple[int, int, int] = (128, 128, 255)) -> None:
    """A square that faces up in a result's material: red on its left half, blue on its right, its normals all ``lean``."""
    color = np.zeros((SIDE, SIDE, 3), np.uint8)
    color[:, : SIDE // 2], color[:, SIDE // 2 :] = RED, BLUE
    flat = np.full((SIDE, SIDE), 0, np.uint8)
    images = {"COLOR": color, "ROUGHNESS": flat + 255, "METALLIC": flat, "NORMAL": np.broadcast_to(np.uint8(lean), color.shape).copy()}
    bpy.ops.mesh.primitive_plane_add(size=2)
    mesh = bpy.context.object.data
    uvs = np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]], np.float32)
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
    triangles = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    maps = addon("surface_maps").SurfaceMaps(images)
    mesh.materials.append(addon("coloring").make_material(mesh, "Plate", addon("refined").Surface(corners, triangles, uvs, maps=maps)))


def studio(sun_deg: float) -> None:
    """A camera above, and a sun that stands towards +Y by so much from the zenith; colours as they are stored."""
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    camera.location, sun.rotation_euler, sun.data.energy = (0, 0, 4), (-math.radians(sun_deg), 0, 0), 3.0
    for thing in (camera, sun):
        scene.collection.objects.link(thing)
    scene.camera, scene.world = camera, bpy.data.worlds.new("World")
    scene.world.color = (0, 0, 0)
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x = scene.render.resolution_y = 48
    scene.cycles.samples, scene.cycles.use_denoising, scene.eevee.taa_render_samples = 16, False, 4


def halves(engine: str, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean sRGB of the left half and of the right one, as ``engine`` renders them."""
    scene = bpy.context.scene
    scene.render.engine, scene.render.filepath = engine, str(path / f"{engine}.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    pixels = np.array(image.pixels[:]).reshape(48, 48, 4)[18:30, :, :3]
    return pixels[:, 16:22].mean((0, 1)), pixels[:, 26:32].mean((0, 1))


def srgb(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def linear(encoded: np.ndarray) -> np.ndarray:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


@pytest.mark.slow  # in a process of few tests: with a GL context in it, one of many later tests crashed once
@draws
def test_solid_view_shows_the_texture_as_it_is_stored(addon: Addon, tmp_path: Path) -> None:
    plate(addon)
    studio(0)
    shading = bpy.context.scene.display.shading
    shading.light, shading.color_type = "FLAT", "TEXTURE"
    for found, expected in zip(halves("BLENDER_WORKBENCH", tmp_path), (RED, BLUE), strict=True):
        np.testing.assert_allclose(found * 255, expected, atol=2)


def test_cycles_shows_base_colour_and_nothing_else(addon: Addon, tmp_path: Path) -> None:
    """A matt surface under a sun overhead: colour × light / π, and a little gloss on top."""
    plate(addon)
    studio(0)
    for found, color in zip(halves("CYCLES", tmp_path), (RED, BLUE), strict=True):
        matt = srgb(linear(np.array(color) / 255) * 3.0 / math.pi)
        assert (found > matt - 0.03).all()
        assert (found < matt + 0.09).all()


def test_green_is_up_in_cycles(addon: Addon, tmp_path: Path) -> None:
    """Normals that lean to +V catch a sun that stands there; the same picture upside down (DirectX) turns away from it."""
    found = []
    for lean in ((128, 218, 218), (128, 128, 255), (128, 38, 218)):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        plate(addon, lean)
        studio(40)
        found.append(float(linear(halves("CYCLES", tmp_path)[0])[0]))
    towards, level, away = found
    assert towards / level == pytest.approx(math.cos(math.radians(5)) / math.cos(math.radians(40)), rel=0.08)
    assert away / level == pytest.approx(math.cos(math.radians(85)) / math.cos(math.radians(40)), abs=0.08)


@draws
@pytest.mark.slow
def test_eevee_shows_what_cycles_shows(addon: Addon, tmp_path: Path) -> None:
    plate(addon, (128, 190, 238))
    studio(30)
    eevee = "BLENDER_EEVEE" if bpy.app.version >= (5, 0) else "BLENDER_EEVEE_NEXT"
    for found, expected in zip(halves(eevee, tmp_path), halves("CYCLES", tmp_path), strict=True):
        np.testing.assert_allclose(found, expected, atol=0.04)
